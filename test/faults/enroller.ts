// A device that enrolls as a person would make it: its keys and requests from openssl, its questions from curl. It remembers every
// certificate that it was ever given, for the account of what was handed out.

import { X509Certificate } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { run } from './tool.ts'

/** A key, and the request that it signed. */
export interface Wish {
  readonly device: string
  readonly key: string
  readonly csr: string
}

/** A certificate that a client holds. */
export interface Held {
  readonly device: string
  readonly serial: string
  /** Of its DER, hex. */
  readonly sha256: string
  readonly pem: string
  /** What it is shown with: itself, and the CA that issued then. PEM. */
  readonly chain: string
  /** The file of its key. */
  readonly key: string
}

export interface EstReply {
  /** Undefined when the connection was gone before the answer. */
  readonly status: number | undefined
  readonly retryAfter: string | undefined
  readonly reason: string | undefined
  readonly text: string
  readonly held: Held | undefined
  readonly ms: number
}

/** How a client proves who it is. */
export type Proof = { readonly token: string } | { readonly certificate: Held }

const ANSWER_S = 60

export class Enroller {
  readonly #folder: string
  readonly #root: string
  readonly #issuing: string
  #wishes = 0
  readonly held: Held[] = []

  /** `folder` is its own; `local` is certs/local of the home. */
  constructor(folder: string, local: string) {
    mkdirSync(folder, { recursive: true })
    this.#folder = folder
    this.#root = path.join(local, 'root.pem')
    this.#issuing = path.join(local, 'issuing.pem')
  }

  /** A new key for this device. */
  async wish(device: string): Promise<Wish> {
    const name = path.join(this.#folder, `${device}-${(this.#wishes += 1)}`)
    const wish = { device, key: `${name}.key`, csr: `${name}.csr` }
    const made = await run('openssl', ['req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', wish.key, '-subj', `/CN=${device}`, '-out', wish.csr])
    if (made.status !== 0) throw new Error(made.stderr)
    return wish
  }

  /** Asks at `url`, an EST address with its operation. Never rejects: a server that dies answers nothing. */
  async ask(url: string, wish: Wish, proof: Proof): Promise<EstReply> {
    const [body, headers] = [`${wish.csr}.answer`, `${wish.csr}.headers`]
    const since = performance.now()
    writeFileSync(headers, '')
    const proving = 'token' in proof ? ['-u', `${wish.device}:${proof.token}`] : ['--cert', this.#chainFile(proof.certificate), '--key', proof.certificate.key]
    const asked = await run('curl', ['-sS', '--max-time', String(ANSWER_S), '--cacert', this.#root, ...proving, '-H', 'Content-Type: application/pkcs10', '--data-binary', `@${wish.csr}`, '-D', headers, '-o', body, '-w', '%{http_code}', url])
    const header = (name: string): string | undefined => new RegExp(`^${name}: (.*?)\r?$`, 'im').exec(readFileSync(headers, 'utf8'))?.[1]
    const status = asked.status === 0 ? Number(asked.stdout) : undefined
    const held = status === 200 ? await this.#take(wish, body) : undefined
    return { status, retryAfter: header('Retry-After'), reason: header('Sallyport-Reason'), text: status === undefined ? asked.stderr : readFileSync(body, 'utf8'), held, ms: performance.now() - since }
  }

  #chainFile(held: Held): string {
    const file = `${held.key}.chain`
    writeFileSync(file, held.chain)
    return file
  }

  async #take({ device, key }: Wish, body: string): Promise<Held> {
    const der = `${body}.der`
    writeFileSync(der, Buffer.from(readFileSync(body, 'utf8'), 'base64'))
    const read = await run('openssl', ['pkcs7', '-inform', 'DER', '-in', der, '-print_certs'])
    const pem = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n/.exec(read.stdout)?.[0]
    if (pem === undefined) throw new Error(`the answer is no certificate: ${read.stderr}`)
    return this.note(device, key, pem)
  }

  /** Enters a certificate that came some other way. */
  note(device: string, key: string, pem: string): Held {
    const certificate = new X509Certificate(pem)
    const held: Held = { device, key, pem, chain: pem + readFileSync(this.#issuing, 'utf8'), serial: certificate.serialNumber.toLowerCase(), sha256: certificate.fingerprint256.replaceAll(':', '').toLowerCase() }
    this.held.push(held)
    return held
  }
}

// A home whose CA is disturbed while it issues: a server, clients that enroll, and the look at what came of it, from outside: the
// registry by a reader of its own, certificates and CRLs by openssl.

import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { DatabaseSync } from 'node:sqlite'
import type { Packet } from 'mqtt-packet'
import { within } from '../../device-sim/within.ts'
import { Enroller, type EstReply, type Held, type Wish } from './enroller.ts'
import { wrongs, type HandedOut, type Recorded } from './handed-out.ts'
import { openLine, type Line } from './line.ts'
import { Stage } from './stage.ts'
import { run } from './tool.ts'

/** One thread in the pool of the server: then the Nth call of a thread is the same in every round. The signer is not concerned. */
const ENVIRONMENT = { UV_THREADPOOL_SIZE: '1' }

/** A signer that was killed runs again within some seconds, a disk that is cured at once. */
const PATIENCE_MS = 20_000
const AGAIN_MS = 200
const ACKNOWLEDGE_MS = 5_000

export class IssuingStage implements AsyncDisposable {
  readonly stage = new Stage(ENVIRONMENT)
  readonly enroller = new Enroller(path.join(this.stage.home, 'clients'), this.#file('certs/local'))
  readonly #asked: string[] = []
  readonly #crls: HandedOut['crls'][number][] = []
  readonly #verified = new Set<string>()
  #devices = 0

  #file(name: string): string {
    return path.join(this.stage.home, name)
  }

  get registry(): string {
    return this.#file('data/registry.db')
  }

  get estPort(): number {
    return (JSON.parse(readFileSync(this.#file('data/endpoints.json'), 'utf8')) as { readonly enroll: { readonly port: number } }).enroll.port
  }

  #est(operation: 'simpleenroll' | 'simplereenroll'): string {
    return `https://localhost:${this.estPort}/.well-known/est/${operation}`
  }

  /** A device id that nobody else has used. */
  name(label: string): string {
    return `${label}-${(this.#devices += 1)}`
  }

  /** A registered device. */
  async device(label: string): Promise<string> {
    const id = this.name(label)
    // By a command, which reads the operator's certificate anew: a rotation replaces it.
    await this.must('device', 'add', id, '--group', 'sensors')
    return id
  }

  /** A token for this device, good once. */
  async token(device: string): Promise<string> {
    const made = await this.must('token', 'create', '--id', device)
    return made.split('\n')[0] ?? ''
  }

  /** A device that has its certificate. */
  async enrolled(label: string): Promise<Held> {
    const device = await this.device(label)
    const { held, text } = await this.enroll(await this.enroller.wish(device), await this.token(device))
    if (held === undefined) throw new Error(`${device} got no certificate: ${text}`)
    return held
  }

  enroll(wish: Wish, token: string): Promise<EstReply> {
    return this.enroller.ask(this.#est('simpleenroll'), wish, { token })
  }

  /** Asks as the client of a 503 does: again. */
  async enrollAtLast(wish: Wish, token: string): Promise<EstReply> {
    const until = performance.now() + PATIENCE_MS
    for (;;) {
      const answer = await this.enroll(wish, token)
      if (answer.status !== 503 || answer.retryAfter === undefined || performance.now() > until) return answer
      await delay(AGAIN_MS)
    }
  }

  renew(wish: Wish, certificate: Held): Promise<EstReply> {
    return this.enroller.ask(this.#est('simplereenroll'), wish, { certificate })
  }

  /** A connection with this certificate; rejects when the door does not open. */
  connect(held: Held, onPacket: (packet: Packet) => void = () => {}): Promise<Line> {
    return openLine({ target: this.stage.target, credentials: { cert: held.chain, key: readFileSync(held.key, 'utf8') }, clientId: held.device, version: 5, clean: true, onPacket })
  }

  async opens(held: Held): Promise<boolean> {
    try {
      const line = await this.connect(held)
      await line.end()
      return true
    } catch {
      return false
    }
  }

  /** A connected device that publishes with QoS 1; each resolves with whether it was acknowledged in time. */
  async publisher(held: Held): Promise<Disposable & { readonly publish: () => Promise<boolean> }> {
    let acknowledged = (): void => {}
    const line = await this.connect(held, (packet) => void (packet.cmd === 'puback' && acknowledged()))
    let messageId = 0
    return {
      async publish() {
        const puback = new Promise<true>((resolve) => void (acknowledged = () => resolve(true)))
        messageId += 1
        line.send({ cmd: 'publish', topic: `t/${held.device}/a`, payload: 'x', qos: 1, dup: false, retain: false, messageId })
        return (await within(puback, ACKNOWLEDGE_MS)) === true
      },
      [Symbol.dispose]: () => line.cut(),
    }
  }

  /** A command of the program, whose output is wanted. */
  async must(...args: readonly string[]): Promise<string> {
    const { status, stdout, stderr } = await this.stage.command(...args)
    if (status !== 0) throw new Error(`${args.join(' ')} ended with ${status}: ${stderr}`)
    return stdout
  }

  /** Serial numbers that were on their way to the signer. */
  noteAsked(serials: readonly string[]): void {
    this.#asked.push(...serials)
  }

  recorded(): readonly Recorded[] {
    return this.#read('SELECT issuer, serial, profile, state, device, sha256 FROM certificates').map(({ issuer, serial, profile, state, device, sha256 }) => ({
      issuer: String(issuer), serial: String(serial), profile: String(profile), state: String(state),
      device: typeof device === 'string' ? device : undefined, sha256: typeof sha256 === 'string' ? sha256 : undefined,
    }))
  }

  stateOf({ serial }: Held): string | undefined {
    return this.recorded().find((record) => record.serial === serial)?.state
  }

  /** Everything that can be seen now, judged. */
  async wrongs(): Promise<readonly string[]> {
    const { status } = await this.stage.command('audit', 'verify')
    return [...(await this.wrongsAtRest()), ...(status === 0 ? [] : ['the audit chain does not verify'])]
  }

  /** The same without the audit chain: what needs no server. */
  async wrongsAtRest(): Promise<readonly string[]> {
    await this.#noteCrls()
    return wrongs({ held: await this.#held(), asked: this.#asked, recorded: this.recorded(), tokens: this.#tokens(), crls: this.#crls })
  }

  /** Every plan that came to nothing is listed by the journal, and can be revoked; what is wrong about that. */
  async orphanWrongs(): Promise<readonly string[]> {
    const planned = this.recorded().filter(({ state }) => state === 'planned').map(({ serial }) => serial)
    const { entries } = JSON.parse(await this.must('cert', 'journal', '--json')) as { readonly entries: readonly { readonly serial: string; readonly journal: string }[] }
    const listed = new Set(entries.filter(({ journal }) => journal !== 'issued').map(({ serial }) => serial))
    for (const serial of planned) await this.must('cert', 'revoke', '--serial', serial, '--yes')
    const left = this.recorded().filter(({ state }) => state === 'planned')
    return [...planned.filter((serial) => !listed.has(serial)).map((serial) => `the journal does not list ${serial}`), ...left.map(({ serial }) => `${serial} was revoked and is planned`)]
  }

  #read(sql: string): Record<string, unknown>[] {
    const db = new DatabaseSync(this.registry, { readOnly: true, timeout: 10_000 })
    try {
      return db.prepare(sql).all()
    } finally {
      db.close()
    }
  }

  /** Whoever holds a certificate for a token, as the plans say and as they came to clients. */
  #tokens(): HandedOut['tokens'] {
    const signed = this.#read("SELECT plan ->> '$.actor.name' AS token, serial FROM certificate_plans JOIN certificates USING (number) WHERE plan ->> '$.actor.kind' = 'token' AND sha256 IS NOT NULL")
    return this.#read('SELECT name, uses, uses_max FROM tokens').map(({ name, uses, uses_max }) => ({
      name: String(name), uses: Number(uses), usesMax: Number(uses_max), holders: signed.filter(({ token }) => token === name).length,
    }))
  }

  /** The certificates of CAs, by their role, as files for openssl. */
  #caFile(role: 'root' | 'issuing'): string {
    const file = this.#file(`${role}s.pem`)
    const pem = (der: Uint8Array): string => `-----BEGIN CERTIFICATE-----\n${Buffer.from(der).toString('base64').replaceAll(/.{64}/g, '$&\n')}\n-----END CERTIFICATE-----\n`
    writeFileSync(file, this.#read(`SELECT der FROM cas WHERE role = '${role}'`).map(({ der }) => pem(der as Uint8Array)).join(''))
    return file
  }

  async #held(): Promise<HandedOut['held']> {
    const { held } = this.enroller
    const fresh = held.filter(({ sha256 }) => !this.#verified.has(sha256))
    const files = fresh.map(({ sha256, pem }) => {
      const file = this.#file(`clients/${sha256}.pem`)
      writeFileSync(file, pem)
      return file
    })
    const verified = files.length === 0 ? '' : (await run('openssl', ['verify', '-CAfile', this.#caFile('root'), '-untrusted', this.#caFile('issuing'), '-purpose', 'sslclient', ...files])).stdout
    for (const [i, { sha256 }] of fresh.entries()) if (verified.includes(`${files[i] ?? ''}: OK`)) this.#verified.add(sha256)
    return held.map(({ device, serial, sha256 }) => ({ device, serial, sha256, verifies: this.#verified.has(sha256) }))
  }

  /** The published lists, as openssl reads them. */
  async #noteCrls(): Promise<void> {
    const folder = this.#file('data/pki')
    for (const name of readdirSync(folder).filter((each) => each.endsWith('.crl'))) this.#crls.push(await this.#crl(name, path.join(folder, name)))
  }

  /** Does a published list of this CA name this certificate, now or soon? */
  async listed({ serial }: Held): Promise<boolean> {
    const folder = this.#file('data/pki')
    const until = performance.now() + PATIENCE_MS
    for (;;) {
      for (const name of readdirSync(folder).filter((each) => each.endsWith('.crl'))) {
        const { stdout } = await run('openssl', ['crl', '-inform', 'DER', '-in', path.join(folder, name), '-noout', '-text'])
        if (stdout.includes(`Serial Number: ${serial.toUpperCase()}`)) return true
      }
      if (performance.now() > until) return false
      await delay(AGAIN_MS)
    }
  }

  async #crl(name: string, file: string): Promise<HandedOut['crls'][number]> {
    // A copy: it may be replaced between two looks.
    const [bytes, copy] = [readFileSync(file), this.#file('seen.crl')]
    writeFileSync(copy, bytes)
    const cas = this.#file('cas.pem')
    writeFileSync(cas, readFileSync(this.#caFile('root')).toString() + readFileSync(this.#caFile('issuing')).toString())
    const read = await run('openssl', ['crl', '-inform', 'DER', '-in', copy, '-noout', '-crlnumber', '-CAfile', cas])
    const number = /crlNumber=(?:0x)?([0-9A-F]+)/.exec(read.stdout)?.[1]
    const whole = read.status === 0 && `${read.stdout}${read.stderr}`.includes('verify OK')
    return { name, number: whole && number !== undefined ? Number.parseInt(number, 16) : undefined, sha256: createHash('sha256').update(bytes).digest('hex') }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stage[Symbol.asyncDispose]()
  }
}

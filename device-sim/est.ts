// The device's side of EST (RFC 7030): asks for a certificate with a token or with a certificate, and for the next one. It trusts the fleet's CA and nothing else.

import { createPrivateKey, X509Certificate } from 'node:crypto'
import https from 'node:https'
import { fromBER } from 'asn1js'
import { Certificate, ContentInfo, SignedData } from 'pkijs'
import { pem } from './forge/certificate.ts'
import { SIM_LIMITS } from './limits.ts'
import type { Credentials } from './raw-peer.ts'

export interface EstDoor {
  readonly host: string
  readonly port: number
  /** PEM. */
  readonly ca: string
}

export interface EstAnswer {
  readonly status: number
  /** The reason of a refusal, as the server names it. */
  readonly reason: string | undefined
  readonly body: string
}

export interface EstRequest {
  readonly operation: 'simpleenroll' | 'simplereenroll' | 'serverkeygen' | 'cacerts'
  /** Of a device that proves itself with a token: its user name. */
  readonly id?: string
  readonly token?: string
  /** Of one that proves itself with a certificate. */
  readonly credentials?: Pick<Credentials, 'cert' | 'key'>
  /** PEM. */
  readonly csr?: string
  readonly source?: string | undefined
}

/** One request, whatever comes of it. */
export function askEst({ host, port, ca }: EstDoor, { operation, id, token, credentials, csr, source }: EstRequest): Promise<EstAnswer> {
  // Base64 on one line, without the armour. RFC 8951 §3.1.
  const body = csr?.replaceAll(/-----[^-]+-----|\s/g, '')
  return new Promise((resolve, reject) => {
    const sent = https.request(
      {
        method: body === undefined ? 'GET' : 'POST', host, port, path: `/.well-known/est/${operation}`, ca, servername: 'localhost', agent: false, timeout: SIM_LIMITS.adminRequestMs,
        headers: {
          ...(token === undefined ? {} : { authorization: `Basic ${Buffer.from(`${id ?? ''}:${token}`).toString('base64')}` }),
          ...(body === undefined ? {} : { 'content-type': 'application/pkcs10', 'content-length': body.length }),
        },
        ...(credentials === undefined ? {} : { cert: credentials.cert, key: credentials.key }),
        ...(source === undefined ? {} : { localAddress: source }),
      },
      (response) => {
        let text = ''
        response.setEncoding('latin1')
        response.on('data', (chunk: string) => {
          text += chunk
          if (text.length > SIM_LIMITS.estAnswerCharsMax) sent.destroy(new Error('answer too large'))
        })
        response.on('end', () => {
          const reason = response.headers['sallyport-reason']
          resolve({ status: response.statusCode ?? 0, reason: typeof reason === 'string' ? reason : undefined, body: text })
        })
        response.on('error', reject)
      },
    )
    sent.on('timeout', () => sent.destroy(new Error('no answer in time')))
    sent.on('error', reject)
    sent.end(body)
  })
}

/** What a device makes of the answer: its certificate, and behind it what leads to the root, as /cacerts has it. Rejects with the refusal. */
export async function enrolledBy(door: EstDoor, request: EstRequest): Promise<string> {
  return withIssuer(door, certificatesOf(accepted(await askEst(door, request)).body))
}

/** serverkeygen: two parts, the key (PKCS#8) and the certificate. RFC 7030 §4.4.2. */
export async function enrolledWithKey(door: EstDoor, request: Omit<EstRequest, 'operation'>): Promise<Pick<Credentials, 'cert' | 'key'>> {
  const { body } = accepted(await askEst(door, { ...request, operation: 'serverkeygen' }))
  const part = (type: string): string => new RegExp(`Content-Type: application/${type}[^]*?\\r\\n\\r\\n([^-]*)`).exec(body)?.[1] ?? ''
  const key = createPrivateKey({ key: Buffer.from(part('pkcs8'), 'base64'), format: 'der', type: 'pkcs8' })
  return { cert: await withIssuer(door, certificatesOf(part('pkcs7-mime'))), key: key.export({ type: 'pkcs8', format: 'pem' }).toString() }
}

function accepted(answer: EstAnswer): EstAnswer {
  if (answer.status !== 200) throw new Error(`HTTP ${answer.status} ${answer.reason ?? ''}`.trim())
  return answer
}

async function withIssuer(door: EstDoor, certificates: readonly string[]): Promise<string> {
  const [leaf] = certificates
  if (leaf === undefined) throw new Error('no certificate came back')
  const parsed = new X509Certificate(leaf)
  const known = certificatesOf((await askEst(door, { operation: 'cacerts' })).body)
  // The root is what everybody has.
  const issuer = known.find((each) => parsed.checkIssued(new X509Certificate(each)) && !isRoot(each))
  return [leaf, ...(issuer === undefined ? [] : [issuer])].join('')
}

function isRoot(certificate: string): boolean {
  const { subject, issuer } = new X509Certificate(certificate)
  return subject === issuer
}

/** The certificates of a certs-only CMS, PEM. RFC 8951 §3.1. */
export function certificatesOf(body: string): readonly string[] {
  const parsed = fromBER(new Uint8Array(Buffer.from(body, 'base64')))
  const { certificates } = new SignedData({ schema: new ContentInfo({ schema: parsed.result }).content })
  return (certificates ?? []).flatMap((each) => (each instanceof Certificate ? [pem('CERTIFICATE', Buffer.from(each.toSchema(true).toBER()))] : []))
}

// The device's side of EST (RFC 7030): asks for a certificate with a token. It trusts the fleet's CA and nothing else.

import https from 'node:https'
import { fromBER } from 'asn1js'
import { Certificate, ContentInfo, SignedData } from 'pkijs'
import { pem } from './forge/certificate.ts'
import { SIM_LIMITS } from './limits.ts'

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
  readonly id: string
  readonly token: string
  /** PEM. */
  readonly csr: string
  readonly source?: string | undefined
}

/** One `simpleenroll`, whatever comes of it. */
export function simpleEnroll({ host, port, ca }: EstDoor, { id, token, csr, source }: EstRequest): Promise<EstAnswer> {
  // Base64 on one line, without the armour. RFC 8951 §3.1.
  const body = csr.replaceAll(/-----[^-]+-----|\s/g, '')
  return new Promise((resolve, reject) => {
    const sent = https.request(
      {
        method: 'POST', host, port, path: '/.well-known/est/simpleenroll', ca, servername: 'localhost', agent: false, timeout: SIM_LIMITS.adminRequestMs,
        headers: { 'authorization': `Basic ${Buffer.from(`${id}:${token}`).toString('base64')}`, 'content-type': 'application/pkcs10', 'content-length': body.length },
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

/** The certificates of a certs-only CMS, PEM. RFC 8951 §3.1. */
export function certificatesOf(body: string): readonly string[] {
  const parsed = fromBER(new Uint8Array(Buffer.from(body, 'base64')))
  const { certificates } = new SignedData({ schema: new ContentInfo({ schema: parsed.result }).content })
  return (certificates ?? []).flatMap((each) => (each instanceof Certificate ? [pem('CERTIFICATE', Buffer.from(each.toSchema(true).toBER()))] : []))
}

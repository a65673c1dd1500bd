// The asker's side of OCSP (RFC 6960): a request for one serial number, and what the answer says of it. It verifies nothing: what is
// looked at is what a server says, not whether it may.

import { createHash } from 'node:crypto'
import http from 'node:http'
import { fromBER, Integer, Null } from 'asn1js'
import { BasicOCSPResponse, OCSPResponse } from 'pkijs'
import { arrayBuffer, der, octets, oid, sequence } from './forge/der.ts'
import { content, readCertificate } from './forge/certificate.ts'
import { SIM_LIMITS } from './limits.ts'

export type CertificateStatus = 'good' | 'revoked' | 'unknown'

const SHA1 = '1.3.14.3.2.26'
const sha1 = (bytes: Uint8Array): Buffer => createHash('sha1').update(bytes).digest()

/** `issuer` in DER, the serial number in hexadecimal. */
export function ocspRequest(issuer: Uint8Array, serial: string): Buffer {
  const { subject, spki } = readCertificate(issuer)
  const key = content(Buffer.from(fromBER(arrayBuffer(spki)).result.toBER()))
  // The BIT STRING is the last element of the key's information; its first octet counts unused bits.
  const bitString = lastElement(key)
  const certId = sequence(sequence(oid(SHA1), new Null()), octets(sha1(subject)), octets(sha1(bitString.subarray(1))), new Integer({ valueHex: arrayBuffer(positive(Buffer.from(serial, 'hex'))) }))
  return der(sequence(sequence(sequence(sequence(certId)))))
}

function positive(bytes: Buffer): Buffer {
  return ((bytes[0] ?? 0) & 0x80) === 0 ? bytes : Buffer.concat([Buffer.from([0]), bytes])
}

function lastElement(elements: Buffer): Buffer {
  let rest = elements
  let last: Buffer = Buffer.alloc(0)
  while (rest.length > 0) {
    const { offset } = fromBER(arrayBuffer(rest))
    if (offset <= 0) break
    last = rest.subarray(0, offset)
    rest = rest.subarray(offset)
  }
  return content(last)
}

export interface OcspAnswer {
  readonly http: number
  /** RFC 6960 §4.2.1: 0 is successful; undefined when it is no OCSP. */
  readonly response: number | undefined
  readonly status: CertificateStatus | undefined
}

const STATUS: readonly CertificateStatus[] = ['good', 'revoked', 'unknown']

export function askOcsp(door: { readonly host: string; readonly port: number }, request: { readonly body: Buffer } | { readonly path: string }, source?: string): Promise<OcspAnswer> {
  const posted = 'body' in request
  return new Promise((resolve, reject) => {
    const sent = http.request(
      {
        method: posted ? 'POST' : 'GET', host: door.host, port: door.port, path: posted ? '/ocsp' : request.path, agent: false, timeout: SIM_LIMITS.verdictMs,
        ...(posted ? { headers: { 'content-type': 'application/ocsp-request', 'content-length': request.body.length } } : {}), ...(source === undefined ? {} : { localAddress: source }),
      },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => void chunks.push(chunk))
        response.on('end', () => resolve({ http: response.statusCode ?? 0, ...read(Buffer.concat(chunks)) }))
        response.on('error', reject)
      },
    )
    sent.on('timeout', () => sent.destroy(new Error('no answer in time')))
    sent.on('error', reject)
    sent.end(posted ? request.body : undefined)
  })
}

function read(body: Buffer): Pick<OcspAnswer, 'response' | 'status'> {
  try {
    const parsed = OCSPResponse.fromBER(arrayBuffer(body))
    const response = parsed.responseStatus.valueBlock.valueDec
    const bytes = parsed.responseBytes?.response.valueBlock.valueHexView
    if (bytes === undefined) return { response, status: undefined }
    const [first] = BasicOCSPResponse.fromBER(arrayBuffer(bytes)).tbsResponseData.responses
    const tag: unknown = first?.certStatus.idBlock.tagNumber
    return { response, status: typeof tag === 'number' ? STATUS[tag] : undefined }
  } catch {
    return { response: undefined, status: undefined } // Not OCSP: the status of HTTP says enough.
  }
}

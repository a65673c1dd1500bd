// The body of an EST request: base64 as RFC 8951 §3 has it, with line breaks or without, whatever the header says of it; PEM and plain
// DER, which clients send all the same. What comes out is bytes; what they are is the business of x509.

import { allow, deny, type Decision } from '../core/decision.ts'
import { X509_LIMITS } from '../limits.ts'
import { decodePem } from '../x509/pem.ts'

const SEQUENCE = 0x30
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/

/** The DER of a request. Reason: csr-malformed. */
export function decodeBody(body: Uint8Array): Decision<Uint8Array> {
  // In base64 a SEQUENCE begins with M: only DER begins with the tag itself.
  const der = body[0] === SEQUENCE ? allow(body) : decodeText(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('latin1'))
  if (!der.allow) return der
  return der.value.length <= X509_LIMITS.csrBytesMax ? der : deny('csr-malformed', `more than ${X509_LIMITS.csrBytesMax} bytes`)
}

function decodeText(text: string): Decision<Uint8Array> {
  if (text.includes('-----BEGIN')) {
    const blocks = decodePem(text.replaceAll('NEW CERTIFICATE REQUEST', 'CERTIFICATE REQUEST'), 'CERTIFICATE REQUEST')
    const [der] = blocks.allow ? blocks.value : []
    return der === undefined || (blocks.allow && blocks.value.length > 1) ? deny('csr-malformed', 'not one PEM block of a certificate request') : allow(der)
  }
  const base64 = text.replaceAll(/[ \t\r\n]/g, '')
  if (!BASE64.test(base64)) return deny('csr-malformed', 'the body is neither base64 nor DER')
  return allow(Buffer.from(base64, 'base64'))
}

import { describe, expect, test } from 'vitest'
import { decodeBody } from '../../src/enroll/body.ts'
import { generateKey } from '../../src/x509/keys.ts'
import { makeCsr } from '../../src/x509/csr.ts'

const pem = makeCsr(generateKey('P-256'), 'sensor-1')
const der = Buffer.from(pem.split('\n').slice(1, -2).join(''), 'base64')
const text = (body: string): string => {
  const decoded = decodeBody(Buffer.from(body))
  return decoded.allow ? Buffer.from(decoded.value).toString('hex') : decoded.reason
}

describe('a body is a request in', () => {
  test.each([
    ['base64 on one line', der.toString('base64')],
    ['base64 in lines of 64, ended by CRLF or LF', der.toString('base64').replaceAll(/.{64}/g, '$&\r\n')],
    ['base64 with blanks around it', ` \n${der.toString('base64')}\n\n`],
    ['PEM', pem],
    ['PEM of old tools', pem.replaceAll('CERTIFICATE REQUEST', 'NEW CERTIFICATE REQUEST')],
  ])('%s', (_, body) => {
    expect(text(body)).toBe(der.toString('hex'))
  })

  test('DER', () => {
    expect(decodeBody(der)).toEqual({ allow: true, value: der })
  })
})

describe('a body is no request (E14)', () => {
  test.each([
    ['nothing', ''],
    ['text', 'please, a certificate'],
    ['base64 with a letter that is none', `${der.toString('base64')}!`],
    ['base64url', Buffer.from(der).toString('base64url').replaceAll(/[^-_]/g, (c) => c) + '-_'],
    ['JSON', JSON.stringify({ csr: der.toString('base64') })],
    ['two requests in PEM', pem + pem],
    ['a certificate in PEM', pem.replaceAll('CERTIFICATE REQUEST', 'CERTIFICATE')],
    ['PEM that does not end', pem.slice(0, 200)],
    ['NUL', '\0'.repeat(100)],
  ])('%s', (_, body) => {
    expect(text(body)).toBe('csr-malformed')
  })

  test('more than a request may have, in whatever form', () => {
    const large = Buffer.alloc(17_000, 0x30)
    expect([decodeBody(large).allow, text(large.toString('base64'))]).toEqual([false, 'csr-malformed'])
    expect(decodeBody(Buffer.alloc(16 * 1024, 0x30)).allow).toBe(true)
  })
})

// Changes as text: that bytes come back as bytes, whatever kind of array they were, and as earlier versions wrote them.

import { expect, test } from 'vitest'
import { changeToJson, parseChange } from '../../src/store/change-json.ts'
import { CA, planned, printOf, serialOf } from '../contract/records.ts'

const ISSUED = { kind: 'certificate-issued', issuer: CA, serial: serialOf('x'), sha256: printOf('x'), state: 'active' } as const

test('the bytes of a certificate come back, also when they were a Buffer', () => {
  const bytes = Uint8Array.of(0x30, 0, 255)
  for (const der of [bytes, Buffer.from(bytes)]) {
    const text = changeToJson({ ...ISSUED, der })
    expect(text).toContain('"der":"MAD/"')
    expect(parseChange(text)).toMatchObject({ der: bytes })
  }
})

test('what an earlier version wrote of a Buffer is read', () => {
  const text = JSON.stringify({ ...ISSUED, der: Buffer.from([1, 2, 3]) })
  expect(text).toContain('"type":"Buffer"')
  expect(parseChange(text)).toMatchObject({ der: Uint8Array.of(1, 2, 3) })
})

test('a token of an earlier version, which knew secrets alone, is one that a secret proves', () => {
  const facts = { name: 'ABCDEFGH', target: { device: 'a' }, uses: 0 }
  expect(parseChange(JSON.stringify({ kind: 'token-added', token: { ...facts, secretSha256: 'ab' } }))).toEqual({ kind: 'token-added', token: { ...facts, proof: { kind: 'secret', sha256: 'ab' } } })
  const claim = { kind: 'token-added', token: { ...facts, proof: { kind: 'claim', sha256: 'cd' } } }
  expect(parseChange(JSON.stringify(claim))).toEqual(claim)
})

test('a plan of an earlier version, which said in its plan alone which token was used, is one that came through that token', () => {
  const certificate = planned('x', 'a')
  const parsed = (actor: object): unknown => parseChange(JSON.stringify({ kind: 'certificate-planned', certificate, plan: { commonName: 'a', subjectAltNames: [], actor } }))
  expect(parsed({ kind: 'token', name: 'ABCDEFGH' })).toMatchObject({ certificate: { ...certificate, through: 'ABCDEFGH' } })
  expect(parsed({ kind: 'operator', name: 'ABCDEFGH' })).not.toHaveProperty('certificate.through')
  expect(parseChange(JSON.stringify({ kind: 'certificate-planned', certificate }))).toEqual({ kind: 'certificate-planned', certificate })
})

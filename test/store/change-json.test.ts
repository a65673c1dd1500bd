// Changes as text: that bytes come back as bytes, whatever kind of array they were, and as earlier versions wrote them.

import { expect, test } from 'vitest'
import { changeToJson, parseChange } from '../../src/store/change-json.ts'
import { CA, printOf, serialOf } from '../contract/records.ts'

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

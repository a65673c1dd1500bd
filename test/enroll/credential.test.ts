import { expect, test } from 'vitest'
import { tokenOf } from '../../src/enroll/credential.ts'

const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`

test('Basic names the device and the token; the token may have colons', () => {
  expect(tokenOf(basic('sensor-1:ABC'))).toEqual({ allow: true, value: { device: 'sensor-1', token: 'ABC' } })
  expect(tokenOf(basic(':a:b'))).toEqual({ allow: true, value: { device: '', token: 'a:b' } })
})

test('Bearer has the token alone', () => {
  expect(tokenOf('Bearer ABC-DEF')).toEqual({ allow: true, value: { token: 'ABC-DEF' } })
  expect(tokenOf('bearer  ABC')).toEqual({ allow: true, value: { token: 'ABC' } })
})

test('no header is no credential; one that cannot be read is refused', () => {
  expect(tokenOf(undefined)).toEqual({ allow: true, value: undefined })
  for (const header of ['', 'Basic', 'Basic !!!', basic('no colon'), 'Digest username="x"', 'Negotiate abc', 'Bearer a b', 'x'.repeat(9_000)]) expect(tokenOf(header), header).toMatchObject({ allow: false, reason: 'credential-missing' })
})

// Where certificates point, by their profile and the public door; and that our own door accepts what points.

import { expect, test } from 'vitest'
import { openAuthority } from '../../src/ca/issue.ts'
import { judgeLeaf } from '../../src/core/certificate-rules.ts'
import { shardOf } from '../../src/core/crl-scope.ts'
import { spkiOf } from '../../src/x509/keys.ts'
import { parseCertificate } from '../../src/x509/certificate.ts'
import { readPointers } from '../../src/x509/pointers.ts'
import { newKey } from '../x509/forge.ts'
import { ACTOR, addDevice, authorityPorts, issued, openPlace, requestOf } from './organisation.ts'

test('a device points to issuer, responder and its shard, and our door accepts it; without a URL it points nowhere', async () => {
  using place = openPlace()
  await place.make(addDevice('a'), addDevice('b'), addDevice('c'))
  const ports = authorityPorts(place)
  const at = async (device: string, door?: { readonly url: string; readonly crlShards: number }): Promise<{ readonly serial: string; readonly pointers: unknown }> => {
    const { der, record } = issued(await openAuthority({ ...ports, door }).issue(requestOf(device), ACTOR))
    const facts = parseCertificate(der)
    expect(facts.allow && judgeLeaf(facts.value, place.now)).toEqual({ allow: true, value: undefined })
    return { serial: record.serial, pointers: readPointers(der) }
  }
  const whole = { issuer: 'http://p.example/ca/issuing-1.cer', ocsp: 'http://p.example/ocsp', crl: 'http://p.example/crl/issuing-1.crl' }
  expect(await at('a')).toMatchObject({ pointers: {} })
  expect((await at('b', { url: 'http://p.example', crlShards: 1 })).pointers).toEqual(whole)
  const { serial, pointers } = await at('c', { url: 'http://p.example', crlShards: 16 })
  expect(pointers).toEqual({ ...whole, crl: `http://p.example/crl/issuing-1-${shardOf(serial, 16)}.crl` })
})

test('the OCSP responder is not to be asked about itself, and points nowhere', async () => {
  using place = openPlace()
  const authority = openAuthority({ ...authorityPorts(place), door: { url: 'http://p.example', crlShards: 4 } })
  const { der } = issued(await authority.issue({ profile: 'ocsp-responder', commonName: 'r', spki: spkiOf(newKey()) }, ACTOR))
  expect(readPointers(der)).toEqual({ ocspNoCheck: true })
})

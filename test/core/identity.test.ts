// Which device a certificate speaks for: by its common name where the CA is ours, by the rule of its CA where it is not.

import { describe, expect, test } from 'vitest'
import type { CertificateFacts } from '../../src/core/certificate.ts'
import { identify, identifyForeign, type Identity } from '../../src/core/identity.ts'
import type { CaName, DeviceId } from '../../src/core/ids.ts'
import type { CompiledPolicy } from '../../src/core/policy/compile.ts'
import type { Decision } from '../../src/core/decision.ts'
import { readPolicy } from '../../src/policy-file.ts'
import { leaf, nameOf, reasonOf, valueOf } from './facts.ts'

const FACTORY = 'factory' as CaName
const OURS = 'issuing-1' as CaName

function rules(yaml: string): CompiledPolicy['identity'] {
  const read = readPolicy('policy.yaml', `version: 1\nidentity:\n${yaml}`, 1)
  if ('policy' in read) return read.policy.identity
  throw new Error(JSON.stringify(read.problems))
}

const RULES = rules(`  - { ca: factory, device: "\${cert.subject.CN}", idPattern: "[A-Z]{2}-[0-9]{8}", groups: ["\${cert.subject.OU}", foreign], register: auto }
  - { ca: spiffe, device: "\${spiffe.path[1]}" }
  - { ca: serials, device: "sn-\${cert.subject.serialNumber}" }`)

const factory = (facts: Partial<CertificateFacts>): Decision<Identity> => identify(leaf({ subject: nameOf('CN=AB-12345678', 'OU=sensors'), ...facts }), FACTORY, false, RULES)
const cn = (value: string): Decision<Identity> => factory({ subject: nameOf(`CN=${value}`) })

describe('our own CA', () => {
  test('names the device in the common name; it must be registered, and is given no group', () => {
    expect(valueOf(identify(leaf(), OURS, true, RULES))).toEqual({ device: 'sensor-7', register: 'known', groups: [] })
  })

  test('an ambiguous name is refused', () => {
    expect(reasonOf(identify(leaf({ subject: nameOf('CN=a', 'CN=b') }), OURS, true, RULES))).toBe('certificate-name-ambiguous')
  })

  test('no identity rule speaks for our own CA, even one that has its name', () => {
    const hostile = rules('  - { ca: issuing-1, device: "${cert.subject.OU}", register: auto, groups: [backend] }')
    expect(valueOf(identify(leaf({ subject: nameOf('OU=admin', 'CN=sensor-7') }), OURS, true, hostile))).toEqual({ device: 'sensor-7', register: 'known', groups: [] })
  })
})

describe('a CA of others', () => {
  test('is read by its rule', () => {
    expect(valueOf(factory({}))).toEqual({ device: 'AB-12345678', register: 'auto', groups: ['sensors', 'foreign'] })
    const uri = leaf({ subjectAltNames: [{ kind: 'uri', value: 'spiffe://example.org/fleet/sensor-9' }] })
    expect(valueOf(identify(uri, 'spiffe' as CaName, false, RULES))).toEqual({ device: 'sensor-9', register: 'known', groups: [] })
    expect(valueOf(identify(leaf({ subject: nameOf('serialNumber=77') }), 'serials' as CaName, false, RULES)).device).toBe('sn-77')
  })

  test('without a rule is nobody, whatever the other rules say', () => {
    expect(reasonOf(identify(leaf(), 'other' as CaName, false, RULES))).toBe('device-unknown')
    expect(reasonOf(identify(leaf(), 'constructor' as CaName, false, RULES))).toBe('device-unknown')
    expect(reasonOf(identify(leaf(), '__proto__' as CaName, false, new Map()))).toBe('device-unknown')
  })

  test.each(['AB-1234567', 'AB-123456789', 'xAB-12345678', 'AB-12345678x', 'ab-12345678', 'AB-12345678.'])('the id pattern means the whole id: %s does not fit', (id) => {
    expect(reasonOf(cn(id))).toBe('device-unknown')
  })

  test('the next id that fits is accepted', () => expect(valueOf(cn('ZZ-00000000')).device).toBe('ZZ-00000000'))

  test.each<[string, Partial<CertificateFacts>]>([
    ['no common name', { subject: nameOf('OU=sensors') }], ['two', { subject: nameOf('CN=AB-12345678', 'CN=AB-12345678') }], ['one that does not decode', { subject: nameOf('CN!') }],
    ['an empty one', { subject: nameOf('CN=') }], ['one with a slash', { subject: nameOf('CN=a/b') }], ['one with a wildcard', { subject: nameOf('CN=+') }], ['one with a NUL', { subject: nameOf('CN=AB-12345678\0') }], ['one that is not NFC', { subject: nameOf('CN=e\u0301') }],
  ])('%s: there is no single value', (_, facts) => {
    expect(reasonOf(factory(facts))).toBe('certificate-name-ambiguous')
  })

  test.each(['$SYS', '__proto__', 'a b', 'dеv', 'a:b', '${cert.subject.OU}', ' AB-12345678'])('%j is no device id, and not looked into again', (value) => {
    expect(reasonOf(cn(value))).toBe('certificate-name-invalid')
  })

  test('a value fills its place in the text, and only its place', () => {
    expect(reasonOf(identify(leaf({ subject: nameOf('serialNumber=../admin') }), 'serials' as CaName, false, RULES))).toBe('certificate-name-ambiguous')
    expect(reasonOf(identify(leaf({ subjectAltNames: [{ kind: 'uri', value: 'spiffe://example.org/fleet' }] }), 'spiffe' as CaName, false, RULES))).toBe('certificate-name-ambiguous')
  })

  test('a group that is none is left out: the device has fewer rights, not other ones', () => {
    for (const ou of ['', 'a/b', '+', '$x', 'a b']) expect(valueOf(factory({ subject: nameOf('CN=AB-12345678', `OU=${ou}`) })).groups).toEqual(['foreign'])
    expect(valueOf(factory({ subject: nameOf('CN=AB-12345678', 'OU=a', 'OU=b') })).groups).toEqual(['foreign'])
    expect(valueOf(factory({ subject: nameOf('CN=AB-12345678', 'OU=a') })).groups).toEqual(['a', 'foreign'])
  })

  test('a group is given once, and 16 at the most', () => {
    const many = rules(`  - { ca: factory, device: "\${cert.subject.CN}", groups: ["\${cert.subject.OU}", "\${cert.subject.OU}", ${Array.from({ length: 20 }, (_, i) => `g${i}`).join(', ')}] }`)
    const { groups } = valueOf(identify(leaf({ subject: nameOf('CN=a', 'OU=g3') }), FACTORY, false, many))
    expect(groups).toEqual(['g3', 'g0', 'g1', 'g2', ...Array.from({ length: 12 }, (_, i) => `g${i + 4}`)])
  })
})

describe('a certificate of a foreign CA that is recorded for a device', () => {
  const again = (recorded: string | undefined, by = RULES): Decision<Identity> => identifyForeign(leaf({ subject: nameOf('CN=AB-12345678', 'OU=sensors') }), FACTORY, recorded as DeviceId | undefined, by)

  test('still speaks for that device, and so does one that is not recorded yet', () => {
    expect(valueOf(again('AB-12345678')).device).toBe('AB-12345678')
    expect(valueOf(again(undefined)).device).toBe('AB-12345678')
  })

  test('is moved to no other device by a rule that has changed', () => {
    expect(reasonOf(again('sensor-7'))).toBe('device-name-mismatch')
    expect(reasonOf(again('AB-12345678', rules('  - { ca: factory, device: "${cert.subject.OU}" }')))).toBe('device-name-mismatch')
  })

  test('speaks for nobody when its rule is gone or fits no longer, whatever is recorded', () => {
    expect(reasonOf(again('AB-12345678', rules('  - { ca: other, device: "${cert.subject.CN}" }')))).toBe('device-unknown')
    expect(reasonOf(again('AB-12345678', rules('  - { ca: factory, device: "${cert.subject.CN}", idPattern: "[A-Z]{3}-[0-9]{8}" }')))).toBe('device-unknown')
  })
})

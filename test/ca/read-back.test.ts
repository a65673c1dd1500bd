// The last look at our own output: every difference from the plan is found, by its name.

import { describe, expect, test } from 'vitest'
import { ISSUING } from '../../src/ca/genesis.ts'
import { readBack } from '../../src/ca/issue.ts'
import { SallyportError } from '../../src/core/errors.ts'
import type { SerialNumber } from '../../src/core/ids.ts'
import { parseCertificate } from '../../src/x509/certificate.ts'
import { planned } from '../contract/records.ts'
import { hex, integer, time, utf8, type Bytes } from '../x509/asn1.ts'
import { altNames, attribute, authorityKeyId, basicConstraints, cn, DAY, dns, EKU, extension, extKeyUsage, keyIdOf, keyUsage, makeCa, makeLeaf, name, nameConstraints, newKey, NOW, O, spkiOf, subjectKeyId, type Plan, type LeafOptions } from '../x509/forge.ts'
import { shippedProfiles } from './organisation.ts'

const CA = makeCa({ name: 'Issuing', pathLength: 0 })
const PROFILE = shippedProfiles().device

describe('reading back', () => {
  const key = newKey()
  const serial = '4d'.repeat(16) as SerialNumber
  const SUBJECT = name(attribute(O, utf8('Acme')), cn('sensor-1'))
  const keyIds = [subjectKeyId(keyIdOf(spkiOf(key))), authorityKeyId(CA.keyId)] as const
  const plan = {
    record: { ...planned('x', 'sensor-1'), issuer: ISSUING, serial, notBefore: NOW, notAfter: NOW + DAY }, subjectDer: SUBJECT, issuerDer: CA.subject, issuerKeyId: CA.keyId, request: {},
  }
  const leaf = (options: Partial<LeafOptions> = {}, change: Partial<Plan> = {}): Bytes => makeLeaf({ under: CA, key, subject: SUBJECT, ...options }, { serial: integer(hex(serial)), notBefore: time(NOW), notAfter: time(NOW + DAY), ...change })
  const compare = (der: Bytes): string => {
    const parsed = parseCertificate(leaf())
    const record = { ...plan.record, spkiSha256: parsed.allow ? parsed.value.key.spkiSha256 : plan.record.spkiSha256 }
    try {
      readBack(der, { ...plan, record, profile: PROFILE })
      return 'as planned'
    } catch (error) {
      return error instanceof SallyportError ? /different from its plan: (.*)\. It was not/.exec(error.message)![1]! : String(error)
    }
  }

  test.each<[string, () => Bytes, string]>([
    ['the plan itself', () => leaf(), 'as planned'],
    ['another version', () => leaf({}, { version: null }), 'version'],
    ['another serial', () => leaf({}, { serial: integer(hex('01')) }), 'serial'],
    ['another subject', () => leaf({ subject: name(cn('sensor-1')) }), 'subject'],
    ['another issuer', () => leaf({}, { issuer: name(cn('x')) }), 'issuer'],
    ['another beginning', () => leaf({}, { notBefore: time(NOW - 1_000) }), 'validity'],
    ['another end', () => leaf({}, { notAfter: time(NOW + 2 * DAY) }), 'validity'],
    ['another key', () => leaf({ key: newKey() }), 'key'],
    ['a CA', () => leaf({ basic: basicConstraints(true) }), 'basic constraints'],
    ['no basic constraints', () => leaf({ basic: null }), 'basic constraints'],
    ['one usage more', () => leaf({ usage: keyUsage('digitalSignature', 'keyCertSign') }), 'key usage'],
    ['no usage', () => leaf({ usage: null }), 'key usage'],
    ['one purpose more', () => leaf({ eku: extKeyUsage(EKU.client, EKU.server) }), 'extended key usage'],
    ['another purpose', () => leaf({ eku: extKeyUsage(EKU.server) }), 'extended key usage'],
    ['an alternative name', () => leaf({ more: [altNames(dns('sensor-1'))] }), 'alternative names'],
    ['no subject key id', () => leaf({ keyIds: [keyIds[1]] }), 'key identifiers'],
    ['no authority key id', () => leaf({ keyIds: [keyIds[0]] }), 'key identifiers'],
    ['another authority key id', () => leaf({ keyIds: [keyIds[0], authorityKeyId(hex('00'))] }), 'key identifiers'],
    ['an unknown critical extension', () => leaf({ more: [extension('1.2.3', hex('0500'), true)] }), 'extensions'],
    ['an extension twice', () => leaf({ more: [extKeyUsage(EKU.client)] }), 'extensions'],
    ['name constraints', () => leaf({ more: [nameConstraints({ permitted: [dns('a')] })] }), 'extensions'],
    ['something that is no certificate', () => hex('3000'), 'not a Certificate'],
  ])('%s', (_, der, difference) => {
    expect(compare(der())).toBe(difference)
  })
})

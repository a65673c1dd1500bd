// R3: every variable, every way in which a value is unusable, and that what is filled in is never looked into again.

import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ATTRIBUTE_SHORT_NAMES, type CertificateFacts, type SubjectAltName } from '../../../src/core/certificate.ts'
import type { Device } from '../../../src/core/device.ts'
import type { CaName, Fingerprint } from '../../../src/core/ids.ts'
import { parseParts, resolveParts, resolveTemplate, variableReader, type Parts, type Principal, type Template } from '../../../src/core/policy/template.ts'
import { readDer } from '../../../src/x509/der.ts'
import { readName } from '../../../src/x509/names.ts'
import { anyText, device, leaf, nameOf, valueOf } from '../facts.ts'

const principal = (changed: Partial<Principal> = {}, facts: Partial<Device> = {}): Principal => ({ device: device('d1', facts), ca: 'issuing-1' as CaName, clientId: 'd1', certificate: leaf(), ...changed })

function partsOf(text: string): Parts {
  const parts = parseParts(text)
  if ('problem' in parts) throw new Error(parts.problem)
  return parts
}

/** The text with its variables filled in; the variable that cannot be as {unresolved}. */
const fill = (text: string, who: Principal = principal()): string | { readonly unresolved: string } => resolveParts(partsOf(text), who, {})
const certified = (facts: Partial<CertificateFacts>): Principal => principal({ certificate: leaf(facts) })
const san = (...names: [SubjectAltName['kind'], string][]): Principal => certified({ subjectAltNames: names.map(([kind, value]) => ({ kind, value })) })

describe('every variable', () => {
  test.each<[string, Principal, string]>([
    ['${device.id}', principal(), 'd1'],
    ['${device.tenant}', principal(), 'default'],
    ['${device.group}', principal(), 'sensors'],
    ['${device.attr.site}', principal(), 'north'],
    ['${device.attr.constructor}', principal({}, { attributes: { constructor: 'x' } }), 'x'],
    ['${cert.subject.CN}', principal(), 'sensor-7'],
    ['${cert.subject.OU}', certified({ subject: nameOf('CN=a', 'OU=lab') }), 'lab'],
    ['${cert.subject.serialNumber}', certified({ subject: nameOf('serialNumber=77') }), '77'],
    ['${cert.subject.UID}', certified({ subject: nameOf(['CN=a', 'UID=u']) }), 'u'],
    ['${cert.issuer.CN}', principal(), 'issuing-1'],
    ['${cert.issuer.O}', principal(), 'Sallyport'],
    ['${cert.serial}', principal(), '4001'],
    ['${cert.sha256}', certified({ sha256: 'cd'.repeat(32) as Fingerprint }), 'cd'.repeat(32)],
    ['${cert.san.dns}', san(['dns', 'a.b'], ['ip', '10.0.0.1']), 'a.b'],
    ['${cert.san.dns[0]}', san(['dns', 'a.b'], ['dns', 'c.d']), 'a.b'],
    ['${cert.san.dns[1]}', san(['dns', 'a.b'], ['ip', '10.0.0.1'], ['dns', 'c.d']), 'c.d'],
    ['${san.dns[1]}', san(['dns', 'a.b'], ['dns', 'c.d']), 'c.d'],
    ['${cert.san.uri[0]}', san(['uri', 'urn:x']), 'urn:x'],
    ['${cert.san.email[0]}', san(['email', 'a@b.c']), 'a@b.c'],
    ['${cert.san.ip[0]}', san(['ip', '2001:db8:0:0:0:0:0:1']), '2001:db8:0:0:0:0:0:1'],
    ['${spiffe.path[0]}', san(['uri', 'spiffe://td/fleet/s-1']), 'fleet'],
    ['${spiffe.path[1]}', san(['dns', 'x'], ['uri', 'spiffe://td/fleet/s-1']), 's-1'],
    ['${clientId}', principal(), 'd1'],
    ['${clientId}', principal({ clientId: 'd1:tool' }), 'd1:tool'],
    ['a-${device.id}-${device.attr.site}.z', principal(), 'a-d1-north.z'],
    ['plain', principal(), 'plain'],
    ['', principal(), ''],
  ])('%s', (text, who, expected) => {
    expect(fill(text, who)).toBe(expected)
  })

  test('every short name of an attribute is one that a certificate is read with', () => {
    const oids: Readonly<Record<(typeof ATTRIBUTE_SHORT_NAMES)[number], readonly number[]>> = {
      CN: [0x55, 4, 3], SN: [0x55, 4, 4], serialNumber: [0x55, 4, 5], C: [0x55, 4, 6], L: [0x55, 4, 7], ST: [0x55, 4, 8], street: [0x55, 4, 9], O: [0x55, 4, 10], OU: [0x55, 4, 11], title: [0x55, 4, 12], GN: [0x55, 4, 42], dnQualifier: [0x55, 4, 46],
      UID: [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1], DC: [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25], emailAddress: [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1],
    }
    const tlv = (tag: number, contents: readonly number[]): readonly number[] => [tag, contents.length, ...contents]
    for (const short of ATTRIBUTE_SHORT_NAMES) {
      const der = tlv(0x30, tlv(0x31, tlv(0x30, [...tlv(0x06, oids[short]), ...tlv(0x0c, [0x78])])))
      const subject = readName(valueOf(readDer(new Uint8Array(der))))
      expect(fill(`\${cert.subject.${short}}`, certified({ subject: subject ?? [] }))).toBe('x')
    }
  })
})

describe('what is missing or ambiguous is unresolved', () => {
  test.each<[string, Principal]>([
    ['${device.group}', principal({}, { groups: [] })],
    ['${device.group}', principal({}, { groups: ['a', 'b'] as never })],
    ['${device.attr.none}', principal()],
    ['${device.attr.constructor}', principal()],
    ['${device.attr.toString}', principal()],
    ['${cert.subject.OU}', principal()],
    ['${cert.subject.CN}', certified({ subject: nameOf('CN=a', 'CN=b') })],
    ['${cert.subject.CN}', certified({ subject: nameOf('CN=a', 'CN=a') })],
    ['${cert.subject.CN}', certified({ subject: nameOf('CN!') })],
    ['${cert.san.dns}', principal()],
    ['${cert.san.dns}', san(['dns', 'a'], ['dns', 'b'])],
    ['${cert.san.dns[2]}', san(['dns', 'a'], ['dns', 'b'])],
    ['${cert.san.dns[0]}', san(['email', 'a@b'])],
    ['${cert.san.uri[0]}', san(['uri', 'spiffe://td/x'])],
    ['${spiffe.path[0]}', san(['uri', 'https://td/x'])],
    ['${spiffe.path[0]}', san(['uri', 'spiffe://td'])],
    ['${spiffe.path[0]}', san(['uri', 'spiffe://td/'])],
    ['${spiffe.path[1]}', san(['uri', 'spiffe://td/a//b'])],
    ['${spiffe.path[2]}', san(['uri', 'spiffe://td/a/b'])],
    ['${spiffe.path[0]}', san(['uri', 'spiffe://td/a'], ['uri', 'spiffe://td/b'])],
    ['${clientId}', principal({ clientId: '' })],
    ...(['cert.serial', 'cert.sha256', 'cert.subject.CN', 'cert.issuer.CN', 'cert.san.dns[0]', 'spiffe.path[0]'].map((v) => [`\${${v}}`, { device: device('d1'), ca: 'c' as CaName }] as [string, Principal])),
    ['${clientId}', { device: device('d1'), ca: 'c' as CaName }],
  ])('%s', (text, who) => {
    expect(fill(`pre-${text}-post`, who)).toEqual({ unresolved: text.slice(2, -1) })
  })

  test('a client id that is not the device\'s own fills in nothing, whatever the policy admits', () => {
    for (const clientId of ['d2', 'd11', 'd1:', 'D1', 'gw-d1', 'd2:d1', 'x']) expect(fill('${clientId}', principal({ clientId }))).toEqual({ unresolved: 'clientId' })
  })
})

describe('what could change the shape of a topic is unresolved', () => {
  const withValue = (value: string): Principal => principal({}, { attributes: { v: value } })

  test.each([
    ['', 'empty'], ['a/b', 'a separator'], ['/', 'a separator'], ['+', 'a wildcard'], ['#', 'a wildcard'], ['a+b', 'a wildcard'], ['a#', 'a wildcard'], ['\0', 'NUL'], ['a\nb', 'a control character'], ['\u007F', 'a control character'], ['\u0085', 'a control character'],
    ['e\u0301', 'not NFC'], ['\uD800', 'half a character'], ['\uFFFE', 'a noncharacter'], ['\uFFFD', 'bytes that were not UTF-8'], ['a'.repeat(129), '129 bytes'], ['ä'.repeat(65), '130 bytes'], ['😀'.repeat(33), '132 bytes'],
  ])('%j: %s', (value) => {
    expect(fill('${device.attr.v}', withValue(value))).toEqual({ unresolved: 'device.attr.v' })
  })

  test.each(['a', ' ', 'é', '😀', 'a'.repeat(128), 'ä'.repeat(64), '..', '-', ':', '=', '$', '$SYS', '%c', '$share', '\u200D'])('%j is usable inside a level', (value) => {
    expect(fill('${device.attr.v}', withValue(value))).toBe(value)
  })

  test('nothing that a variable yields is looked into again', () => {
    for (const value of ['${device.id}', '$${device.id}', '${cert.subject.CN}', '${', '}']) expect(fill('${device.attr.v}', withValue(value))).toBe(value)
    expect(fill('$${device.attr.v}', withValue('x'))).toBe('${device.attr.v}')
    expect(fill('$${${device.attr.v}', withValue('device.id'))).toBe('${device.id')
  })
})

describe('parts', () => {
  test.each([['a$b', 'a$b'], ['$', '$'], ['$$', '$$'], ['a{b}', 'a{b}'], ['}', '}'], ['$${', '${'], ['$${a}', '${a}'], ['$$${a}', '$${a}'], ['x$${y', 'x${y'], ['%i', '%i']])('%j is the literal %j', (text, literal) => {
    expect(fill(text)).toBe(literal)
  })

  test.each(['${', 'a${b', '${device.id', '${device.id${device.id}', '${${device.id}}', '${device.id}${', '$${device.id}${x'])('%j is not closed', (text) => {
    expect(parseParts(text)).toMatchObject({ problem: 'a variable is not closed with "}".' })
  })

  test('an unknown variable has a suggestion, and is shown without control characters', () => {
    expect(variableReader('device.idd')).toMatchObject({ fix: 'Did you mean ${device.id}?' })
    expect(variableReader('\u001B')).toMatchObject({ problem: 'there is no variable ${\\u{1b}}.' })
    for (const name of ['constructor', '__proto__', 'toString', 'hasOwnProperty', '', 'device', 'cert']) expect(variableReader(name)).toHaveProperty('problem')
  })
})

describe('patterns', () => {
  const template = (text: string): Template => ({ text, levels: text.split('/').map((level) => (level === '+' || level === '#' ? level : partsOf(level))) })
  const inAllow = (text: string, who = principal()): readonly string[] | undefined => resolveTemplate(template(text), who, () => undefined)?.levels
  const inDeny = (text: string, who = principal()): readonly string[] | undefined => resolveTemplate(template(text), who, () => '+')?.levels

  test('wildcards stay, variables are filled in, the rest is literal', () => {
    expect(inAllow('t/${device.id}/+/x//#')).toEqual(['t', 'd1', '+', 'x', '', '#'])
    expect(resolveTemplate(template('t/${device.id}/${device.attr.site}'), principal(), () => undefined)?.bindings).toEqual({ 'device.id': 'd1', 'device.attr.site': 'north' })
  })

  test('unresolved: no allow at all, and a deny whose whole level is "+"', () => {
    expect(inAllow('t/${device.attr.none}/x')).toBeUndefined()
    expect(inDeny('t/a-${device.attr.none}-b/x')).toEqual(['t', '+', 'x'])
    expect(inDeny('${device.attr.none}/${cert.subject.OU}/#')).toEqual(['+', '+', '#'])
  })

  test('who is told names the variable', () => {
    const told: string[] = []
    resolveTemplate(template('${device.attr.a}/${device.attr.b}'), principal(), (variable) => {
      told.push(variable)
      return '+'
    })
    expect(told).toEqual(['device.attr.a', 'device.attr.b'])
  })

  test('no value moves a pattern below a reserved root, and "$" is a letter further on', () => {
    const who = principal({ clientId: 'd1:$' }, { attributes: { v: '$SYS', w: '$share' } })
    for (const text of ['${device.attr.v}/#', '${device.attr.w}/g/a', '${device.attr.v}x']) {
      expect(inAllow(text, who)).toBeUndefined()
      expect(inDeny(text, who)?.[0]).toBe('+')
    }
    expect(inAllow('a/${device.attr.v}/#', who)).toEqual(['a', '$SYS', '#'])
    expect(inAllow('x${device.attr.v}/#', who)).toEqual(['x$SYS', '#'])
  })

  test('whatever the value, a pattern keeps its number of levels and its wildcards', () => {
    const text = 'a${device.attr.v}b/${device.attr.v}/+/${device.attr.v}${device.attr.v}/#'
    fc.assert(fc.property(fc.oneof(anyText(12), fc.constantFrom('+', '#', '/', 'a/+', '#/x', '${device.id}', '$', '')), (v) => {
      const levels = inAllow(text, principal({}, { attributes: { v } }))
      if (levels === undefined) return
      expect(levels).toHaveLength(5)
      expect([levels[2], levels[4]]).toEqual(['+', '#'])
      for (const i of [0, 1, 3]) expect(levels[i]).not.toMatch(/[/+#]/)
    }), { numRuns: 3_000 })
  })
})

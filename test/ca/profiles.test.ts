// Profiles: the shipped ones, and every problem of a bad one with its place.

import { describe, expect, test } from 'vitest'
import { collectProfiles, parseProfile, type Profile } from '../../src/ca/profiles.ts'
import { EXTENDED_KEY_USAGES } from '../../src/core/certificate.ts'
import { SallyportError } from '../../src/core/errors.ts'
import { PROFILE_NAMES } from '../../src/core/registry.ts'
import { LIFE } from '../../src/limits.ts'
import { readYaml } from '../../src/yaml-source.ts'
import { shippedProfiles } from './organisation.ts'

function read(text: string): Profile {
  return parseProfile(readYaml('p.yaml', text).tree!)
}

/** The problems of a profile, one to a line, as a person reads them. */
function problems(text: string): string[] {
  try {
    read(text)
  } catch (error) {
    if (error instanceof SallyportError && error.code === 'profile-invalid') {
      const { file, line, column } = error.at!
      if (!error.message.startsWith(`${file}:${line}:${column}: `)) throw error
      return error.message.split('\n')
    }
    throw error
  }
  return []
}

const DEVICE = 'name: device\nkey: P-256\nvalidity: 365d\nkeyUsage: [digitalSignature]\nextendedKeyUsage: [clientAuth]\n'
const ROOT = 'name: root\nkey: P-384\nvalidity: 7300d\nca: true\nkeyUsage: [keyCertSign, cRLSign]\n'
const PLACE = expect.stringMatching(/^p\.yaml:\d+:\d+: /) as unknown

describe('the shipped profiles', () => {
  const profiles = shippedProfiles()

  test('are one of each name', () => {
    expect(Object.keys(profiles).toSorted()).toEqual([...PROFILE_NAMES].toSorted())
  })

  test('are what they should be', () => {
    expect(profiles.root).toMatchObject({ ca: true, pathLength: 1, extendedKeyUsage: [], keyUsage: ['keyCertSign', 'cRLSign'], altNames: 'none' })
    expect(profiles.issuing).toMatchObject({ ca: true, pathLength: 0, keyUsage: ['keyCertSign', 'cRLSign'] })
    expect(profiles.server).toMatchObject({ ca: false, altNames: 'hosts', extendedKeyUsage: [EXTENDED_KEY_USAGES.serverAuth] })
    for (const name of ['device', 'operator', 'claim'] as const) expect(profiles[name]).toMatchObject({ name, ca: false, keyUsage: ['digitalSignature'], extendedKeyUsage: [EXTENDED_KEY_USAGES.clientAuth] })
    expect(profiles['ocsp-responder']).toMatchObject({ ca: false, extendedKeyUsage: [EXTENDED_KEY_USAGES.ocspSigning] })
    for (const { validityMs } of Object.values(profiles)) expect(validityMs).toBeLessThan(profiles.root.validityMs + 1)
  })
})

describe('reading', () => {
  test('what is not said has a default', () => {
    expect(read(DEVICE)).toEqual({ name: 'device', key: 'P-256', validityMs: 365 * LIFE.day, keyUsage: ['digitalSignature'], extendedKeyUsage: [EXTENDED_KEY_USAGES.clientAuth], ca: false, altNames: 'none', pointers: [], ocspNoCheck: false })
    expect(read(ROOT)).toEqual({ name: 'root', key: 'P-384', validityMs: 7_300 * LIFE.day, keyUsage: ['keyCertSign', 'cRLSign'], extendedKeyUsage: [], ca: true, altNames: 'none', pointers: [], ocspNoCheck: false })
  })

  test('only leaves point somewhere, and only an OCSP responder is not checked', () => {
    expect(read(`${DEVICE}\npointers: [crl, ocsp]`)).toMatchObject({ pointers: ['crl', 'ocsp'] })
    expect(() => read(`${ROOT}\npointers: [crl]`)).toThrow('pointers are for certificates of leaves')
    expect(() => read(`${DEVICE}\nocspNoCheck: true`)).toThrow('ocspNoCheck is for the OCSP responder')
  })

  test('a path length is kept, also that of zero', () => {
    expect(read(`${ROOT.replace('root', 'issuing')}pathLength: 0\n`)).toMatchObject({ pathLength: 0 })
    expect(read(`${ROOT}pathLength: 1\n`)).toMatchObject({ pathLength: 1 })
  })

  test.each<[string, string, string]>([
    ['an unknown key', `${DEVICE}keyUse: []\n`, 'p.yaml:6:1: unknown key "keyUse" in a profile.'],
    ['an unknown name', DEVICE.replace('name: device', 'name: divice'), 'p.yaml:1:7: name must be root or issuing or server or operator or device or claim or ocsp-responder, not divice.'],
    ['a key kind that we do not make', DEVICE.replace('P-256', 'RSA-1024'), 'p.yaml:2:6: key must be P-256 or P-384 or Ed25519 or RSA-2048 or RSA-3072 or RSA-4096, not RSA-1024.'],
    ['a duration without a unit', DEVICE.replace('365d', '365'), 'p.yaml:3:11: validity must be a duration, not 365. Write a number and a unit: 500ms, 90s, 15m, 24h or 7d.'],
    ['no time at all', DEVICE.replace('365d', '0s'), 'p.yaml:3:11: validity must be more than 300s and at most 36500d. A certificate begins a little in the past, for clocks that lag.'],
    ['a time that has passed when the certificate is made', DEVICE.replace('365d', '5m'), 'p.yaml:3:11: validity must be more than 300s and at most 36500d. A certificate begins a little in the past, for clocks that lag.'],
    ['a time beyond all plans', DEVICE.replace('365d', '36501d'), 'p.yaml:3:11: validity must be more than 300s and at most 36500d. A certificate begins a little in the past, for clocks that lag.'],
    ['an unknown usage', DEVICE.replace('digitalSignature', 'digitalSignatur'), 'p.yaml:4:12: keyUsage must be digitalSignature or nonRepudiation or keyEncipherment or dataEncipherment or keyAgreement or keyCertSign or cRLSign or encipherOnly or decipherOnly, not digitalSignatur.'],
    ['a usage that is no list', DEVICE.replace('[digitalSignature]', 'digitalSignature'), 'p.yaml:4:11: keyUsage must be a list, not "digitalSignature". Write: [ digitalSignature ]'],
    ['no usage in the list', DEVICE.replace('[digitalSignature]', '[]'), 'p.yaml:4:11: a profile needs a keyUsage. Leaves: [digitalSignature]. CAs: [keyCertSign, cRLSign].'],
    ['an unknown purpose', DEVICE.replace('clientAuth', 'anyAuth'), 'p.yaml:5:20: extendedKeyUsage must be serverAuth or clientAuth or ocspSigning, not anyAuth.'],
    ['a ca that is no boolean', ROOT.replace('true', 'yes'), 'p.yaml:4:5: ca must be true or false, not yes. Write: true'],
    ['a path length that is no number', `${ROOT}pathLength: one\n`, 'p.yaml:6:13: pathLength must be a whole number from 0 to 10, not "one".'],
    ['a negative path length', `${ROOT}pathLength: -1\n`, 'p.yaml:6:13: pathLength must be a whole number from 0 to 10, not -1.'],
    ['unknown alternative names', `${DEVICE}altNames: all\n`, 'p.yaml:6:11: altNames must be none or hosts, not all.'],
    ['keyCertSign in a leaf', DEVICE.replace('[digitalSignature]', '[digitalSignature, keyCertSign]'), 'p.yaml:4:11: ca and keyUsage contradict each other. keyCertSign belongs to CAs, to all of them and to nobody else.'],
    ['a CA without keyCertSign', ROOT.replace('keyCertSign, ', ''), 'p.yaml:5:11: ca and keyUsage contradict each other. keyCertSign belongs to CAs, to all of them and to nobody else.'],
    ['a path length in a leaf', `${DEVICE}pathLength: 0\n`, 'p.yaml:6:13: a pathLength belongs to CAs. Remove it.'],
    ['a root that may not sign an issuing CA', `${ROOT}pathLength: 0\n`, 'p.yaml:6:13: a root with pathLength 0 may not sign an issuing CA. Write pathLength: 1, or leave it out.'],
    ['a device that does not speak to servers', DEVICE.replace('clientAuth', 'serverAuth'), 'p.yaml:5:19: a certificate of the kind "device" needs the extended key usage clientAuth. Add: extendedKeyUsage: [clientAuth].'],
    ['a device without a purpose', DEVICE.replace(/extended.*\n/, ''), 'p.yaml:1:1: a certificate of the kind "device" needs the extended key usage clientAuth. Add: extendedKeyUsage: [clientAuth].'],
    ['a device that does not sign', DEVICE.replace('digitalSignature', 'keyEncipherment'), 'p.yaml:4:11: a certificate of the kind "device" signs handshakes, and no lists. Write keyUsage: [digitalSignature].'],
    ['a device that signs lists', DEVICE.replace('digitalSignature', 'digitalSignature, cRLSign'), 'p.yaml:4:11: a certificate of the kind "device" signs handshakes, and no lists. Write keyUsage: [digitalSignature].'],
    ['a server for clients', DEVICE.replace('name: device', 'name: server'), 'p.yaml:5:19: a certificate of the kind "server" needs the extended key usage serverAuth. Add: extendedKeyUsage: [serverAuth].'],
    ['a list in the place of the profile', '- name: device\n', 'p.yaml:1:1: a profile must be a mapping (key: value), not a list.'],
  ])('refuses %s', (_, text, problem) => {
    // Which word is nearest is for core/source-tree.ts to say.
    expect(problems(text).map((p) => p.replace(/ Did you mean .*/, ''))).toEqual([problem])
  })

  test.each(['name', 'key', 'validity'])('refuses a profile that does not say its %s, once', (key) => {
    expect(problems(DEVICE.replace(new RegExp(`${key}: .*\n`), ''))).toEqual([`p.yaml:1:1: the profile does not say "${key}". Add: ${key}: …`])
  })

  test('a CA that is called a device, and a root that is no CA', () => {
    expect(new Set(problems(ROOT.replace('name: root', 'name: device')))).toEqual(new Set([
      'p.yaml:4:5: a certificate of the kind "device" is not a CA. Remove ca: true.',
      'p.yaml:1:1: a certificate of the kind "device" needs the extended key usage clientAuth. Add: extendedKeyUsage: [clientAuth].',
      'p.yaml:5:11: a certificate of the kind "device" signs handshakes, and no lists. Write keyUsage: [digitalSignature].',
    ]))
    expect(problems(DEVICE.replace('name: device', 'name: root'))).toEqual(['p.yaml:1:1: a certificate of the kind "root" is a CA. Add: ca: true.'])
  })

  test('tells every problem at once, each with its place', () => {
    expect(problems('name: x\nkey: x\nvalidity: x\nkeyUsage: x\nextendedKeyUsage: x\nca: x\npathLength: x\naltNames: x\nx: x\n')).toEqual(Array(9).fill(PLACE))
    expect(problems('{}')).toHaveLength(4)
  })
})

describe('the set', () => {
  const all = Object.values(shippedProfiles())
  const failure = (found: readonly Profile[]): string => {
    try {
      collectProfiles(found)
    } catch (error) {
      if (error instanceof SallyportError && error.code === 'profile-invalid') return error.message
    }
    return 'complete'
  }

  test('has each name once', () => {
    expect(failure(all)).toBe('complete')
    expect(failure(all.filter((p) => p.name !== 'device' && p.name !== 'claim'))).toBe('There is no profile named device, claim.')
    expect(failure([...all, { ...read(DEVICE), validityMs: 1 }])).toBe('There are two profiles named device.')
    expect(failure([])).toContain('root, issuing')
  })
})

// What is said before anything is sent, and which targets a person named.

import { describe, expect, test } from 'vitest'
import { STARTER_ACL } from '../../device-sim/acl.ts'
import type { Aim } from '../../device-sim/aim.ts'
import { announcement, wishesOf } from '../../device-sim/audit.ts'
import { CASE_IDS } from '../../device-sim/attacks/catalogue.ts'
import { openSources } from '../../device-sim/target.ts'
import { forgeRoot } from '../../device-sim/forge/authority.ts'
import { mintedIdentities } from '../../device-sim/minted.ts'

const root = forgeRoot('Test')
const aim = (host: string, floods: boolean): Aim => ({
  name: 'mqtts://broker', target: { host, port: 8883, serverName: 'broker', ca: '' }, identities: mintedIdentities(root, [], {}, 'run'), acl: { ...STARTER_ACL, identity: 'certificate', ears: undefined, backend: undefined },
  root: root.certificate, issuing: root.certificate, issuingAuthority: root, operator: {}, measure: 'promises', severalSessions: false, intermediate: true, floods, pid: () => Promise.resolve(undefined),
})

describe('the announcement', () => {
  test('of a target elsewhere says what it gets, that it is bounded, and that there are no floods unless they are wanted', async () => {
    expect(await announcement(aim('192.0.2.1', false), ['T01', 'T02', 'T46', 'Q01', 'Q37', 'E01'])).toBe('sending to mqtts://broker at 192.0.2.1:8883: 3 cases (tls 2, mqtt 1), no floods, at most 20 connections a second for at most 15 minutes')
    expect(await announcement(aim('192.0.2.1', true), ['T01', 'T46', 'Q37'])).toContain('2 cases (tls 1, mqtt 1), floods Q37, at most')
  })

  test('of this machine names the floods, and no bound', async () => {
    const floods = openSources({ host: '127.0.0.1' }).next() === undefined ? 'Q37' : 'T46, Q37'
    expect(await announcement(aim('127.0.0.1', false), ['T01', 'T46', 'Q37'])).toMatch(new RegExp(`, floods ${floods}$`))
  })

  test('counts only what can be run there: without ears, registry, enrollment and revocation', async () => {
    expect(await announcement(aim('192.0.2.1', false), CASE_IDS)).not.toMatch(/enrollment|undefined/)
    expect(await announcement(aim('192.0.2.1', false), ['E01'])).toContain(': 0 cases, no floods')
  })
})

describe('the targets behind --target', () => {
  test('one, or none, is the run as it was asked for', () => {
    expect(wishesOf({})).toEqual([{}])
    expect(wishesOf({ target: 'home', address: 'mqtts://127.0.0.1:1' })).toEqual([{ target: 'home', address: 'mqtts://127.0.0.1:1' }])
  })

  test('of several the one that is an address gets the files, and all of them what is common', () => {
    expect(wishesOf({ target: 'sallyport, mqtts://localhost:1', ca: 'ca.pem', issuerCert: 'c', issuerKey: 'k', floods: true })).toEqual([
      { target: 'sallyport', floods: true },
      { target: 'mqtts://localhost:1', ca: 'ca.pem', issuerCert: 'c', issuerKey: 'k', floods: true },
    ])
  })

  test.each([['a,a'], ['a,'], ['mqtts://a,mqtts://b']])('%s is a mistake', (target) => expect(() => wishesOf({ target })).toThrow(/--target names each|One run takes one address/))
  test('files that no target takes, and an address for several homes, are mistakes', () => {
    expect(() => wishesOf({ target: 'a,b', ca: 'ca.pem' })).toThrow('--ca, --issuer-cert')
    expect(() => wishesOf({ target: 'a,b', address: 'mqtts://127.0.0.1:1' })).toThrow('--address goes with one')
  })
})

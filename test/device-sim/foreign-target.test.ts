// Any broker as the target, by its address and its CA's key: what the files must be, and the audit of a real one whose access control
// list has topics of its own.

import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { startMosquitto } from '../../device-sim/adapters/mosquitto.ts'
import { attack } from '../../device-sim/attack.ts'
import type { CaseId } from '../../device-sim/attacks/catalogue.ts'
import { powersOf, type Aim } from '../../device-sim/aim.ts'
import { SimError } from '../../device-sim/failure.ts'
import { forgeIssuing, forgeRoot, type ForgedAuthority } from '../../device-sim/forge/authority.ts'
import { pem } from '../../device-sim/forge/certificate.ts'
import { keyPem } from '../../device-sim/forge/keys.ts'
import { openForeign } from '../../device-sim/foreign-target.ts'
import { has } from '../e2e/program.ts'
import { tinyBroker } from './tiny-broker.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-foreign-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const write = (name: string, text: string): string => {
  writeFileSync(path.join(folder, name), text)
  return path.join(folder, name)
}

const root = forgeRoot('Foreign')
const issuing = forgeIssuing(root, 'Foreign')
const filesOf = (ca: string, authority: ForgedAuthority) => ({ ca: write('ca.pem', ca), issuerCert: write('issuing.pem', pem('CERTIFICATE', authority.certificate)), issuerKey: write('issuing.key', keyPem(authority.key)) })
const FILES = filesOf(pem('CERTIFICATE', root.certificate), issuing)
const AT = { host: '127.0.0.1', port: 8883 }

describe('the files', () => {
  test.each([
    ['no CA', { ...FILES, ca: undefined }, '--target mqtts://… needs --ca FILE'],
    ['no issuer', { ...FILES, issuerCert: undefined }, 'needs --issuer-cert FILE'],
    ['no key', { ...FILES, issuerKey: undefined }, 'needs --issuer-key FILE'],
    ['a file that is not there', { ...FILES, ca: path.join(folder, 'nowhere') }, '--ca '],
    ['a key for a certificate', { ...FILES, issuerCert: FILES.issuerKey }, '--issuer-cert holds no certificate in PEM'],
    ['a certificate for a key', { ...FILES, issuerKey: FILES.issuerCert }, '--issuer-key holds no private key that can be read'],
    ['the key of another CA', { ...FILES, issuerKey: write('other.key', keyPem(root.key)) }, '--issuer-key is not the key of the certificate'],
    ['a key of a type that the forge does not sign with', { ...FILES, issuerKey: write('ed.key', generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' }).toString()) }, '--issuer-key is of type ed25519'],
    ['a sealed key', { ...FILES, issuerKey: write('sealed.key', issuing.key.export({ format: 'pem', type: 'pkcs8', cipher: 'aes-256-cbc', passphrase: 'x' }).toString()) }, 'without a passphrase'],
    ['garbage between the lines of a certificate', { ...FILES, ca: write('bad.pem', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n') }, '--ca holds a certificate that is none of version 3'],
    ['a book', { ...FILES, ca: write('book.pem', 'x'.repeat(2_000_000)) }, 'is larger than 1048576 bytes'],
  ])('%s is a usage error', async (_, wishes, message) => {
    await expect(openForeign(AT, wishes, 'run')).rejects.toThrow(expect.toSatisfy((error: unknown) => error instanceof SimError && error.code === 'usage' && error.message.includes(message)))
  })

  test('that fit make a target with the CA\'s key, and without registry, revocation, audit log and ears', async () => {
    const aim = await openForeign(AT, FILES, 'run')
    expect(aim).toMatchObject({ name: 'mqtts://127.0.0.1:8883', measure: 'promises', target: { serverName: 'localhost' } })
    const powers = await powersOf(aim)
    expect(['ca-key', 'floods', 'starter-topics'].every((need) => [...powers].some((power) => power === need))).toBe(true)
    expect(['second-ca', 'registry', 'enrollment', 'revocation', 'audit', 'ears', 'several-sessions'].filter((need) => [...powers].some((power) => power === need))).toEqual([])
    const [one, two] = await aim.identities.batch('x', 2)
    expect(one?.chain).toHaveLength(2)
    expect(one?.id).not.toBe(two?.id)
  })

  test('a device does not send a CA along that the target trusts itself', async () => {
    const aim = await openForeign(AT, filesOf(pem('CERTIFICATE', root.certificate), root), 'run')
    expect((await aim.identities.fresh('x')).chain).toHaveLength(1)
    expect(aim.root.equals(root.certificate)).toBe(true)
  })
})

describe('an address', () => {
  test('elsewhere is held to its own name, gets its turns, and floods only when they are wanted', async () => {
    const elsewhere = await openForeign({ host: 'broker.example.org', port: 1 }, FILES, 'run')
    expect(elsewhere.target).toMatchObject({ host: 'broker.example.org', serverName: 'broker.example.org', turn: expect.any(Function) })
    expect((await powersOf(elsewhere)).has('floods')).toBe(false)
    expect((await powersOf(elsewhere)).has('loopback-sources')).toBe(false)
    expect((await powersOf(await openForeign({ host: 'broker.example.org', port: 1 }, { ...FILES, floods: true }, 'run'))).has('floods')).toBe(true)
    expect((await openForeign({ host: '192.0.2.1', port: 1 }, FILES, 'run')).target.serverName).toBe('192.0.2.1')
    expect((await openForeign({ host: '192.0.2.1', port: 1 }, { ...FILES, serverName: 'broker' }, 'run')).target.serverName).toBe('broker')
  })

  test('localhost is not looked up: it is this machine', async () => {
    expect((await openForeign({ host: 'localhost', port: 1 }, FILES, 'run')).target).toMatchObject({ host: '127.0.0.1', serverName: 'localhost' })
  })
})

async function verdicts(aim: Aim, ...cases: readonly CaseId[]): Promise<Readonly<Record<string, string>>> {
  const { results } = await attack({ aim, cases, signal: new AbortController().signal, onBegin: () => {}, onResult: () => {} })
  return Object.fromEntries(results.map((result) => [result.case, result.verdict]))
}

test('a broker that checks nothing falls short, beside the one thing that it does: speak TLS', async () => {
  await using broker = await tinyBroker()
  const aim: Aim = { ...(await openForeign({ host: '127.0.0.1', port: broker.target.port }, FILES, 'run')), target: broker.target }
  expect(await verdicts(aim, 'T01', 'T03', 'T48', 'Q09', 'I18')).toEqual({ T01: 'falls short', T03: 'falls short', T48: 'ok', Q09: 'not run', I18: 'not run' })
})

test('a broker that lets nobody in is not audited: its canary is not admitted', async () => {
  await using broker = await tinyBroker({ instead: (packet, from) => packet.cmd === 'connect' && from.socket.destroy().destroyed })
  const aim: Aim = { ...(await openForeign({ host: '127.0.0.1', port: broker.target.port }, FILES, 'run')), target: broker.target }
  await expect(verdicts(aim, 'T01')).rejects.toThrow(/The canary device run-canary-1 was not admitted: closed without an answer/)
})

const ACL_OF_PLANTS = 'publish: ["plants/${id}/up/+"]\nsubscribe: ["plants/${id}/down/#"]\nears: { id: auditor, subscribe: ["plants/#"] }\nbackend: { id: hub, publish: ["plants/+/down/#"] }\n'
const MOSQUITTO_OF_PLANTS = 'pattern write plants/%u/up/+\npattern read plants/%u/down/#\n\nuser auditor\ntopic read plants/#\n\nuser hub\ntopic write plants/+/down/#\n'

describe.skipIf(!has('mosquitto'))('a real broker by its address, whose devices have topics of their own (needs mosquitto)', () => {
  async function plants(acl: string): Promise<{ readonly aim: Aim } & AsyncDisposable> {
    const file = write('mosquitto.acl', acl)
    const broker = await startMosquitto('plants', new AbortController().signal, (config) => config.replace(/^acl_file .*$/m, `acl_file ${file}`))
    const { target, issuingAuthority } = broker.aim
    if (issuingAuthority === undefined) throw new Error('the adapter has the key')
    const aim = await openForeign({ host: 'localhost', port: target.port }, { ...filesOf(target.ca, issuingAuthority), acl: write('acl.yaml', ACL_OF_PLANTS) }, 'run')
    return { aim, [Symbol.asyncDispose]: () => broker[Symbol.asyncDispose]() }
  }

  test('is audited on these: nothing falls short, and what needs the starter topics is not run', async () => {
    await using broker = await plants(MOSQUITTO_OF_PLANTS)
    const seen = await verdicts(broker.aim, 'T01', 'T10', 'Q01', 'Q02', 'Q06', 'Q07', 'Q09', 'Q11', 'Q13', 'Q14', 'Q24')
    expect(seen).toEqual({ T01: 'ok', T10: 'not run', Q01: 'differs', Q02: 'differs', Q06: 'ok', Q07: 'differs', Q09: 'ok', Q11: 'differs', Q13: 'differs', Q14: 'differs', Q24: 'differs' })
    expect((await powersOf(broker.aim)).has('starter-topics')).toBe(false)
  })

  test('falls short where its list is wider than the one that it was said to have, by one topic', async () => {
    await using broker = await plants(MOSQUITTO_OF_PLANTS.replace('pattern write plants/%u/up/+', 'pattern write plants/+/up/+'))
    expect(await verdicts(broker.aim, 'T01', 'Q09', 'Q11')).toEqual({ T01: 'ok', Q09: 'falls short', Q11: 'differs' })
  })

  test('has failed controls, and not holes, where its list is narrower', async () => {
    await using broker = await plants(MOSQUITTO_OF_PLANTS.replace('topic read plants/#', 'topic read other/#'))
    expect(await verdicts(broker.aim, 'T01', 'Q09')).toEqual({ T01: 'ok', Q09: 'FAILED' })
  })

  test('the files of its own CA are what it is told to trust, and nothing in them is written anywhere', async () => {
    await using broker = await plants(MOSQUITTO_OF_PLANTS)
    const key = readFileSync(path.join(folder, 'issuing.key'), 'utf8').split('\n')[1] ?? ''
    expect(key.length).toBeGreaterThan(20)
    const { results } = await attack({ aim: broker.aim, cases: ['T01', 'T36'], signal: new AbortController().signal, onBegin: () => {}, onResult: () => {} })
    expect(JSON.stringify(results)).not.toContain(key)
  })
})

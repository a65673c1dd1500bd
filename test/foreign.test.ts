// CAs of others: which files make a trusted CA, how its name is bound to its key, and what the first sight of one of its
// certificates writes, also when two come at once.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Peer } from '../src/broker/peer.ts'
import { loadConfig, type TrustedFile } from '../src/config.ts'
import { DEFAULT_TENANT, type CaName, type DeviceId, type SerialNumber } from '../src/core/ids.ts'
import { observeForeign, readForeignCas, recordForeignCas, type ForeignCa } from '../src/foreign.ts'
import { openHome, type OpenHome } from '../src/home.ts'
import { parseCertificate } from '../src/x509/certificate.ts'
import { encodePem } from '../src/x509/pem.ts'
import { forgeLeaf, forgeRoot } from '../device-sim/forge/authority.ts'

let folder: string
let home: OpenHome
beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'sallyport-foreign-'))
  home = await openHome(folder, loadConfig(folder, {}))
  await home.organisation({ kind: 'system' }, 'make')
})
afterAll(async () => {
  await home[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

const factory = forgeRoot('Factory')
const entry = (name: string, ...ders: readonly Uint8Array[]): TrustedFile => {
  const file = path.join(folder, `${name}.pem`)
  writeFileSync(file, ders.map((der) => encodePem('CERTIFICATE', der)).join(''))
  return { name: name as CaName, file, enrollsOnly: false }
}
function pipe(name: string): string {
  execFileSync('mkfifo', [path.join(folder, name)])
  return path.join(folder, name)
}
function large(name: string): string {
  writeFileSync(path.join(folder, name), '')
  truncateSync(path.join(folder, name), 2 ** 33)
  return path.join(folder, name)
}
const read = (...entries: readonly TrustedFile[]): readonly ForeignCa[] => readForeignCas(entries, home.registry.cas())

describe('what is a trusted CA', () => {
  test('one CA certificate in a file; several of them, each with a name and a key of its own', () => {
    expect(read(entry('a', factory.certificate), entry('b', forgeRoot('B').certificate))).toMatchObject([{ name: 'a', role: 'trusted', tenant: 'default' }, { name: 'b' }])
    expect(read()).toEqual([])
  })

  test.each<[string, () => readonly TrustedFile[], string]>([
    ['no certificate', () => [entry('a')], 'is not a PEM certificate'],
    ['two certificates', () => [entry('a', factory.certificate, forgeRoot('B').certificate)], 'holds 2 certificates'],
    ['the certificate of a device', () => [entry('a', forgeLeaf(factory, 'F-1').certificate)], 'is not the certificate of a CA'],
    ['no DER', () => [entry('a', Buffer.from('factory'))], 'is not the certificate of a CA'],
    ['a file that is gone', () => [{ name: 'a' as CaName, file: path.join(folder, 'gone.pem'), enrollsOnly: false }], 'cannot be read'],
    ['a pipe, which nobody waits for', () => [{ name: 'a' as CaName, file: pipe('a.pipe'), enrollsOnly: false }], 'cannot be read: it is not a file'],
    ['a device without an end', () => [{ name: 'a' as CaName, file: '/dev/zero', enrollsOnly: false }], 'cannot be read: it is not a file'],
    ['a file without an end in sight', () => [{ name: 'a' as CaName, file: large('a.large'), enrollsOnly: false }], 'cannot be read: it is larger than 1048576 bytes'],
    ['one key under two names', () => [entry('a', factory.certificate), entry('b', factory.certificate)], 'its key is that of the CA a'],
    ['our own root', () => [entry('a', home.registry.cas().find((ca) => ca.role === 'root')!.der)], 'its key is that of the CA root'],
  ])('not %s', (_, entries, message) => {
    expect(() => read(...entries())).toThrowError(expect.objectContaining({ code: 'config-invalid', message: expect.stringContaining(message) }))
  })

  test('a name is bound to its key for good, and a key to its name; the same pair comes back', async () => {
    const first = entry('bound', forgeRoot('Bound').certificate)
    const cas = read(first)
    await recordForeignCas(home, cas)
    expect(home.registry.cas().find((ca) => ca.name === 'bound')).toMatchObject({ role: 'trusted', spkiSha256: cas[0]!.spkiSha256 })
    await recordForeignCas(home, cas)
    expect(read(first)).toEqual(cas)
    expect(() => read({ ...first, name: 'renamed' as CaName })).toThrowError(expect.objectContaining({ code: 'config-invalid', fix: expect.stringContaining('use bound') }))
    expect(() => read(entry('bound', forgeRoot('Bound').certificate))).toThrowError(
      expect.objectContaining({ code: 'config-invalid', message: 'The trusted CA bound: the name bound belongs to another key.', fix: 'Give the new CA a name of its own.' }),
    )
    await home.audit.flush()
    expect(JSON.stringify(await home.audit.tail(10))).toContain('"bound"')
  })
})

describe('the first sight of a certificate', () => {
  function peer(id: string, register: 'known' | 'auto' = 'auto', leaf = forgeLeaf(factory, id).certificate, issuer = 'factory'): Peer {
    const facts = parseCertificate(leaf)
    if (!facts.allow) throw new Error(facts.reason)
    const { value } = facts
    return {
      issuer: issuer as CaName, serial: value.serial as SerialNumber, sha256: value.sha256, leaf, notAfter: value.notAfter, device: id as DeviceId,
      firstSight: { facts: value, tenant: DEFAULT_TENANT, register, groups: [] },
    }
  }
  const seen = async (one: Peer): Promise<string> => {
    const decision = await observeForeign(home, one, Date.now)
    return decision.allow ? 'allowed' : decision.reason
  }
  const recorded = (id: string): number => home.view.certificatesOf(id as DeviceId).length

  test('two certificates of one new device at once are both recorded, the same one once', async () => {
    expect(await Promise.all([seen(peer('r-1')), seen(peer('r-1'))])).toEqual(['allowed', 'allowed'])
    expect(recorded('r-1')).toBe(2)
    const same = peer('r-2')
    expect(await Promise.all([seen(same), seen(same), seen(same)])).toEqual(['allowed', 'allowed', 'allowed'])
    expect(recorded('r-2')).toBe(1)
  })

  test('of five at once, two are in force', async () => {
    const seenAtOnce = await Promise.all(Array.from({ length: 5 }, () => seen(peer('r-3'))))
    expect(seenAtOnce.toSorted()).toEqual(['allowed', 'allowed', 'certificates-limit', 'certificates-limit', 'certificates-limit'])
    expect(recorded('r-3')).toBe(2)
  })

  test('two foreign CAs that race for one new device: one has it', async () => {
    const other = forgeRoot('Other')
    const outcomes = await Promise.all([seen(peer('r-4')), seen(peer('r-4', 'auto', forgeLeaf(other, 'r-4').certificate, 'other'))])
    expect(outcomes).toEqual(['allowed', 'device-issuer-mismatch'])
  })

  test('register: known registers nobody', async () => {
    expect(await seen(peer('r-5', 'known'))).toBe('device-unknown')
    expect(home.view.device('r-5' as DeviceId)).toBeUndefined()
    await home.registry.commit([{ kind: 'device-added', device: { id: 'r-5' as DeviceId, tenant: DEFAULT_TENANT, groups: [], attributes: {}, state: 'active', createdAt: 1, revision: 1 } }], [], [])
    expect(await seen(peer('r-5', 'known'))).toBe('allowed')
  })

  test('the key of another device is not taken over', async () => {
    const leaf = forgeLeaf(factory, 'r-6')
    expect(await seen(peer('r-6', 'auto', leaf.certificate))).toBe('allowed')
    expect(await seen(peer('r-7', 'auto', forgeLeaf(factory, 'r-7', { key: leaf.key }).certificate))).toBe('key-in-use')
    expect(home.view.device('r-7' as DeviceId)).toBeUndefined()
  })
})

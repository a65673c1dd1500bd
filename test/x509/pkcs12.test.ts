// PKCS#12 as it is written: read back by pkijs, which shares nothing with the writer, and by the gate for DER. What programs make of it
// is in test/cli/bundle-p12.test.ts.

import { createPrivateKey, randomBytes, type KeyObject } from 'node:crypto'
import { BmpString, OctetString } from 'asn1js'
import * as pkijs from 'pkijs'
import { expect, test } from 'vitest'
import { readDer } from '../../src/x509/der.ts'
import { generateKey, privateKeyPem, spkiOf } from '../../src/x509/keys.ts'
import { encodeKeyStore } from '../../src/x509/pkcs12.ts'
import { makeCa, makeLeaf } from './forge.ts'

const [root, nextRoot] = [makeCa({ name: 'Root' }), makeCa({ name: 'Next Root' })]
const issuing = makeCa({ name: 'Issuing', under: root })
const FRIENDLY_NAME = '1.2.840.113549.1.9.20'
const LOCAL_KEY_ID = '1.2.840.113549.1.9.21'
const TRUSTED = '2.16.840.1.113894.746875.1.1'
const PASSWORD = 'correct horse'

const storeOf = (key: KeyObject, roots = [root.der]): Parameters<typeof encodeKeyStore>[0] =>
  ({ name: 'sensor-1', key, certificate: makeLeaf({ under: issuing, key }), chain: [issuing.der], roots })
const locked = (store: Parameters<typeof encodeKeyStore>[0], password = PASSWORD, rounds = 2): Promise<Uint8Array> => encodeKeyStore(store, { password, rounds, random: randomBytes })

interface Bag {
  readonly type: string
  readonly attributes: Readonly<Record<string, unknown>>
  readonly value: unknown
}

function valueOf(value: unknown): unknown {
  if (value instanceof BmpString) return value.getValue()
  return value instanceof OctetString ? value.getValue() : 'something else'
}

/** MAC checked, all bags opened. */
async function read(der: Uint8Array, password: string): Promise<readonly Bag[]> {
  const secret = new TextEncoder().encode(password).buffer
  const pfx = pkijs.PFX.fromBER(Uint8Array.from(der).buffer)
  await pfx.parseInternalValues({ password: secret, checkIntegrity: true })
  const safe = pfx.parsedValue?.authenticatedSafe as pkijs.AuthenticatedSafe
  await safe.parseInternalValues({ safeContents: [{ password: secret }, {}] })
  const bags = (safe.parsedValue as { safeContents: { value: pkijs.SafeContents }[] }).safeContents.flatMap(({ value }) => value.safeBags)
  return Promise.all(bags.map(async ({ bagId, bagValue, bagAttributes = [] }) => {
    const attributes = Object.fromEntries(bagAttributes.map((a) => [a.type, valueOf(a.values[0])]))
    if (bagValue instanceof pkijs.CertBag) return { type: 'certificate', attributes, value: Buffer.from((bagValue.certValue as OctetString).getValue()) }
    const shrouded = bagValue as pkijs.PKCS8ShroudedKeyBag
    await (shrouded as unknown as { parseInternalValues(options: { password: ArrayBuffer }): Promise<void> }).parseInternalValues({ password: secret })
    return { type: bagId, attributes, value: shrouded.parsedValue?.toSchema().toBER() }
  }))
}

test.each(['P-256', 'P-384', 'Ed25519', 'RSA-2048'] as const)('a key of %s is read back with its certificate, its chain and the roots', async (kind) => {
  const store = storeOf(generateKey(kind), [root.der, nextRoot.der])
  const [leaf, middle, first, second, key] = await read(await locked(store), PASSWORD)
  expect([leaf, middle, first, second].map((bag) => bag?.value)).toEqual([store.certificate, issuing.der, root.der, nextRoot.der].map((der) => Buffer.from(der)))
  const opened = createPrivateKey({ key: Buffer.from(key?.value as ArrayBuffer), format: 'der', type: 'pkcs8' })
  expect(spkiOf(opened)).toEqual(spkiOf(store.key))
  expect(privateKeyPem(opened)).toBe(privateKeyPem(store.key))
})

test('key and certificate have one name and one id; the issuing CA has neither; roots are named and trusted', async () => {
  const bags = await read(await locked(storeOf(generateKey('P-256'), [root.der, nextRoot.der])), PASSWORD)
  expect(bags.map(({ attributes }) => attributes[FRIENDLY_NAME])).toEqual(['sensor-1', undefined, 'root', 'root-2', 'sensor-1'])
  expect(bags.map(({ attributes }) => TRUSTED in attributes)).toEqual([false, false, true, true, false])
  const ids = bags.map(({ attributes }) => attributes[LOCAL_KEY_ID] as ArrayBuffer | undefined)
  expect(ids.map((id) => id?.byteLength)).toEqual([32, undefined, undefined, undefined, 32])
  expect(ids[0]).toEqual(ids[4])
})

test('it is DER, every part of it that is not a cipher text', async () => {
  const outer = readDer(await locked(storeOf(generateKey('P-256'))), 100_000)
  expect(outer.allow).toBe(true)
  const safes = outer.allow ? outer.value.children[1]?.children[1]?.children[0]?.contents : undefined
  expect(readDer(safes ?? new Uint8Array(), 100_000).allow).toBe(true)
})

test('another password, and a file of which a bit is another one, do not open', async () => {
  const der = await locked(storeOf(generateKey('P-256')))
  expect(await read(der, PASSWORD)).toHaveLength(4)
  await expect(read(der, `${PASSWORD} `)).rejects.toThrow()
  await expect(read(der, '')).rejects.toThrow()
  const changed = Buffer.from(der)
  changed[200] = (changed[200] ?? 0) ^ 1
  await expect(read(changed, PASSWORD)).rejects.toThrow()
})

test('passwords of one letter, of a block of the hash and longer than one are derived alike by the reader', async () => {
  for (const password of ['x', 'y'.repeat(31), 'z'.repeat(32), 'w'.repeat(128)]) expect(await read(await locked(storeOf(generateKey('P-256')), password, 3), password)).toHaveLength(4)
})

test('the same store with other random bytes is another file; with the same ones it is the same', async () => {
  const store = storeOf(generateKey('P-256'))
  const fixed = (count: number): Uint8Array => Buffer.alloc(count, 7)
  const lock = { password: PASSWORD, rounds: 2 }
  expect(await encodeKeyStore(store, { ...lock, random: fixed })).toEqual(await encodeKeyStore(store, { ...lock, random: fixed }))
  expect(await encodeKeyStore(store, { ...lock, random: randomBytes })).not.toEqual(await encodeKeyStore(store, { ...lock, random: randomBytes }))
})

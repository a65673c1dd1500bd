// Lists to be signed, by the signer's process: a list of this issuer with a number that grows, and nothing else.

import { randomBytes, verify } from 'node:crypto'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ISSUING, keyFileOf, openOrganisation } from '../../src/ca/genesis.ts'
import type { Signer } from '../../src/ca/signer.ts'
import { readIssuer } from '../../src/ca/tbs.ts'
import { LIFE } from '../../src/limits.ts'
import type { SignerProcess } from '../../src/signer/process.ts'
import { openSeparateSigner } from '../../src/signing.ts'
import { openPublicKey } from '../../src/x509/keys.ts'
import { genesisPorts, openPlace, type Place } from '../ca/organisation.ts'
import { big, explicit, hex, integer, join, octets, oid, seq, small, time, tlv, yes, type Bytes } from '../x509/asn1.ts'

let place: Place
let signer: Signer & SignerProcess
let issuerDer: Bytes

beforeAll(async () => {
  place = openPlace()
  const ports = genesisPorts(place)
  // The signer's own clock judges the times of a list.
  place.now = Date.now()
  await openOrganisation(ports)
  const ca = place.registry.cas().find(({ name }) => name === ISSUING)!
  issuerDer = readIssuer(ca).subjectDer
  signer = openSeparateSigner(ca, { registry: place.dir.file('registry.db'), keyFile: path.join(ports.paths.local, keyFileOf(ISSUING)), passphraseFile: ports.paths.passphrase }, () => {})
  await signer.opened
})
afterAll(async () => {
  await signer[Symbol.asyncDispose]()
  place[Symbol.dispose]()
})

interface List {
  readonly version?: Bytes
  readonly issuer?: Bytes
  readonly from?: number
  readonly to?: number
  readonly entries?: readonly Bytes[]
  readonly number?: bigint
  readonly more?: readonly Bytes[]
  readonly last?: readonly Bytes[]
}

const extension = (name: string, value: Bytes, critical = false): Bytes => seq(oid(name), ...(critical ? [yes] : []), octets(value))
const shard = (name: string): Bytes => extension('2.5.29.28', seq(explicit(0, explicit(0, tlv(0x86, Buffer.from(name))))), true)
const entry = (): Bytes => seq(integer(join(hex('40'), randomBytes(15))), time(Date.now()))

let counted = 0n
function tbsOf({ version = small(1), issuer = issuerDer, from = Date.now(), to = Date.now() + 7 * LIFE.day, entries = [entry()], number = ++counted, more = [], last = [] }: List): Bytes {
  const extensions = [extension('2.5.29.35', seq(tlv(0x80, randomBytes(20)))), extension('2.5.29.20', big(number)), ...more]
  return seq(version, signer.signatureIdentifier, issuer, time(from), time(to), ...(entries.length === 0 ? [] : [seq(...entries)]), explicit(0, seq(...extensions)), ...last)
}

async function answerTo(tbs: Bytes): Promise<string> {
  try {
    return verify('sha256', tbs, openPublicKey(signer.spki)!, await signer.signCrl(tbs)) ? 'signed' : 'does not verify'
  } catch (error) {
    return /refused to sign: (.*)\. Nothing/.exec((error as Error).message)?.[1] ?? String(error)
  }
}

test('a list is signed, an empty one and one of 200,000 entries too', async () => {
  expect(await answerTo(tbsOf({}))).toBe('signed')
  expect(await answerTo(tbsOf({ entries: [] }))).toBe('signed')
  const one = entry()
  expect(await answerTo(tbsOf({ entries: [Buffer.concat(Array.from({ length: 200_000 }, () => one))] }))).toBe('signed')
}, 30_000)

test('a number is signed once, and none that is lower; each shard counts for itself', async () => {
  const number = ++counted
  expect(await answerTo(tbsOf({ number }))).toBe('signed')
  expect(await answerTo(tbsOf({ number }))).toBe('the number of the CRL does not grow')
  expect(await answerTo(tbsOf({ number: number - 1n }))).toBe('the number of the CRL does not grow')
  expect(await answerTo(tbsOf({ number: 1n, more: [shard('http://x/1')] }))).toBe('signed')
  expect(await answerTo(tbsOf({ number: 1n, more: [shard('http://x/1')] }))).toBe('the number of the CRL does not grow')
  expect(await answerTo(tbsOf({ number: 1n, more: [shard('http://x/2')] }))).toBe('signed')
})

describe('not signed is', () => {
  test.each<readonly [string, () => Bytes, string]>([
    ['a list of version 1', () => tbsOf({ version: small(0) }), 'the CRL is not of version 2'],
    ['a list of another issuer', () => tbsOf({ issuer: seq() }), 'the CRL is of another issuer'],
    ['a list from the future', () => tbsOf({ from: Date.now() + LIFE.day }), 'the CRL is for another time'],
    ['a list that never ends', () => tbsOf({ to: Date.now() + 1_000 * LIFE.day }), 'the CRL is for another time'],
    ['a list that ends before it begins', () => tbsOf({ to: Date.now() - LIFE.day }), 'the CRL is for another time'],
    ['a delta', () => tbsOf({ more: [extension('2.5.29.27', small(1), true)] }), 'the CRL has an extension that is not known'],
    ['a number twice', () => tbsOf({ more: [extension('2.5.29.20', small(99))] }), 'the CRL lacks an extension, or has one twice'],
    ['a number below the last', () => tbsOf({ number: 0n }), 'the number of the CRL does not grow'],
    ['an entry that is none', () => tbsOf({ entries: [small(1)] }), 'the CRL has entries that are none'],
    ['a field more', () => tbsOf({ last: [small(1)] }), 'the CRL has fields that are not known'],
    ['an octet more', () => join(tbsOf({}), hex('00')), 'these bytes are no CRL to be signed'],
    ['a certificate', () => seq(small(1), signer.signatureIdentifier, issuerDer, seq(time(Date.now()), time(Date.now() + LIFE.day)), issuerDer), 'the CRL has no times'],
    ['noise', () => randomBytes(500), 'these bytes are no CRL to be signed'],
  ])('%s', async (_, make, why) => {
    expect(await answerTo(make())).toBe(why)
  })

  test('a list where a certificate is asked for', async () => {
    await expect(signer.sign(tbsOf({}))).rejects.toThrow('these bytes are no certificate to be signed')
  })
})

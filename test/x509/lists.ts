// CRLs for the tests of those who read them, made by the program's own writer. Their signature is none.

import { createHash } from 'node:crypto'
import { crlAround, encodeTbsCrl, openCrlEntries } from '../../src/x509/crl.ts'
import { NOW } from '../contract/records.ts'
import { ALGORITHM, cn, name } from './forge.ts'

export function listOf(nextUpdate: number, { thisUpdate = NOW, entries = 0, issuer = 'Issuing' }: { readonly thisUpdate?: number; readonly entries?: number; readonly issuer?: string } = {}): Buffer {
  const revoked = openCrlEntries()
  for (let i = 0; i < entries; i++) revoked.add(`40${createHash('sha256').update(String(i)).digest('hex').slice(0, 30)}`, NOW, 'keyCompromise')
  const tbs = encodeTbsCrl({ issuerDer: name(cn(issuer)), authorityKeyId: new Uint8Array(20), signatureIdentifier: ALGORITHM.ecdsaSha256, number: 7, thisUpdate, nextUpdate }, revoked)
  const { before, after } = crlAround(tbs, ALGORITHM.ecdsaSha256, new Uint8Array(70))
  return Buffer.concat([before, tbs, after])
}

// sallyport token create --claim | --manufacturer: tokens that a certificate proves. The key of a claim is made here, written to its folder and
// kept nowhere else; or there is a request, and it was made elsewhere.

import { existsSync, mkdirSync, rmSync } from 'node:fs'
import path from 'node:path'
import { writeSecretFile } from '../ca/key-file.ts'
import type { Desk } from '../core/desk.ts'
import type { ClaimMade, NewToken, TokenShown } from '../core/enrollment-desk.ts'
import { SallyportError } from '../core/errors.ts'
import { parseCaName } from '../core/ids.ts'
import { parsePrefix, type ManufacturerRule, type TokenProof, type TokenTarget } from '../core/token.ts'
import { makeCsr } from '../x509/csr.ts'
import { generateKey, privateKeyPem } from '../x509/keys.ts'
import { print, readText, required, time, withDesk, type CommonOptions } from './context.ts'

export interface ProofOptions {
  readonly claim?: string
  readonly csr?: string
  readonly manufacturer?: string
  readonly nameFrom?: ManufacturerRule['nameFrom']
  readonly prefix?: string
}

/** What is to prove a token. Failure: 'usage' where options of several kinds are given. */
export function proofOf({ claim, csr, manufacturer, nameFrom, prefix }: ProofOptions): TokenProof['kind'] {
  if (claim !== undefined && manufacturer !== undefined) throw new SallyportError('usage', '--claim and --manufacturer are two tokens.', { fix: 'Make one of each.' })
  if (csr !== undefined && claim === undefined) throw new SallyportError('usage', '--csr is for the certificate of a claim.', { fix: 'Name the folder for it: --claim DIR. A device enrolls with device enroll.' })
  if (manufacturer === undefined && (nameFrom !== undefined || prefix !== undefined)) throw new SallyportError('usage', '--name-from and --prefix are for the certificates of a manufacturer.', { fix: 'Name its CA: --manufacturer CA.' })
  return claim !== undefined ? 'claim' : manufacturer !== undefined ? 'manufacturer' : 'secret'
}

const PUBLIC_MODE = 0o644

export async function createClaim(token: NewToken, options: CommonOptions & ProofOptions): Promise<void> {
  const folder = options.claim ?? ''
  const file = (name: string): string => path.join(folder, name)
  const taken = ['claim.key', 'claim.pem'].map(file).find((name) => existsSync(name))
  if (taken !== undefined) throw new SallyportError('refused', `${taken} exists: a claim is not overwritten.`, { fix: 'Choose another folder.' })
  const key = options.csr === undefined ? generateKey('P-256') : undefined
  const csr = key === undefined ? readText(options.csr ?? '') : makeCsr(key, 'claim')
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  // On disk before there is a certificate for it: what proves something may not be lost.
  if (key !== undefined) writeSecretFile(file('claim.key'), privateKeyPem(key))
  const claimed = async (desk: Pick<Desk, 'createClaim'>): Promise<ClaimMade> => {
    try {
      return await desk.createClaim(token, csr)
    } catch (error) {
      // What proves nothing would only be in the way of the next try.
      if (key !== undefined) rmSync(file('claim.key'), { force: true })
      throw error
    }
  }
  await withDesk(options, async (desk) => {
    const { certificate, chain, root, ...made } = await claimed(desk)
    writeSecretFile(file('ca.pem'), root, PUBLIC_MODE)
    writeSecretFile(file('claim.pem'), certificate + chain.join(''), PUBLIC_MODE)
    print(options, { ...made, out: folder }, () => [
      `${folder}: claim.pem, ca.pem${key === undefined ? '' : ', claim.key'}`,
      `The claim ${made.name} for ${targetText(made.target)}, ${goodFor(token)}, until ${time(made.expiresAt)}.${key === undefined ? '' : ' Its key was made here and is nowhere else.'}`,
    ].join('\n'))
  })
}

export async function admitManufacturer(token: NewToken, options: CommonOptions & ProofOptions): Promise<void> {
  const rule: ManufacturerRule = { ca: required(parseCaName(options.manufacturer ?? '')), nameFrom: options.nameFrom ?? 'CN', prefix: required(parsePrefix(options.prefix ?? '')) }
  await withDesk(options, async (desk) => {
    const made = await desk.admitManufacturer(token, rule)
    print(options, made, () => `Certificates of ${rule.ca} enroll ${targetText(made.target)}, each the device ${rule.prefix === '' ? '' : `${rule.prefix} and `}its ${rule.nameFrom}, once, until ${time(made.expiresAt)}. The name of this token is ${made.name}.`)
  })
}

const goodFor = ({ uses }: NewToken): string => (uses === 1 ? 'good once' : `good ${uses} times`)

export const targetText = (target: TokenTarget): string => ('device' in target ? target.device : `all of ${target.pattern}`)

/** What proves a token, in the words of a list. */
export function proofText(proof: TokenShown['proof']): string {
  switch (proof.kind) {
    case 'secret':
      return 'a secret'
    case 'claim':
      return 'its claim'
    case 'manufacturer':
      return `${proof.ca}: ${proof.prefix}${NAME_TEXT[proof.nameFrom]}`
  }
}
const NAME_TEXT: Readonly<Record<ManufacturerRule['nameFrom'], string>> = { CN: '<CN>', serialNumber: '<serialNumber>' }

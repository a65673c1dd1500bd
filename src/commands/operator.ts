// sallyport operator add | renew | list | role | revoke. The key is made here, on the machine of whoever asks, and is never sent; the
// folder that is written is all that an operator needs: for curl and programs as PEM, for a browser as PKCS#12.

import { createPrivateKey, randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, rmSync } from 'node:fs'
import path from 'node:path'
import { readSecretFile, writeSecretFile } from '../ca/key-file.ts'
import { SallyportError } from '../core/errors.ts'
import { parseOperatorName, parseTenantId, type OperatorName } from '../core/ids.ts'
import { ROLES, type Role } from '../core/operator.ts'
import type { OperatorCertified, OperatorShown } from '../core/operator-desk.ts'
import { makeCsr } from '../x509/csr.ts'
import { generateKey, privateKeyPem } from '../x509/keys.ts'
import { decodePem } from '../x509/pem.ts'
import { encodeKeyStore } from '../x509/pkcs12.ts'
import { chosenPassword, madePassword, newPasswordSecret, type BundlePassword } from './bundle-password.ts'
import { confirm, print, required, table, time, withDesk, type CommonOptions } from './context.ts'
import { limitOf } from './page.ts'

interface BundleOptions extends CommonOptions {
  readonly out?: string
  readonly passwordFile?: string
}

export interface AddOptions extends BundleOptions {
  readonly role: Role
  readonly tenant?: string
}

const PUBLIC_MODE = 0o644

export async function add(text: string, options: AddOptions): Promise<void> {
  const name = required(parseOperatorName(text))
  const tenant = options.tenant === undefined ? undefined : required(parseTenantId(options.tenant))
  await withDesk(options, (desk, home) => bundle(name, home, options, (csr) => desk.addOperator({ name, role: options.role, tenant, csr })))
}

export async function renew(text: string, options: BundleOptions): Promise<void> {
  const name = required(parseOperatorName(text))
  await withDesk(options, (desk, home) => bundle(name, home, options, (csr) => desk.certifyOperator(name, csr)))
}

/** The key is on the disk before there is a certificate for it; a folder with a key in it is not written over. */
async function bundle(name: OperatorName, home: string, options: BundleOptions, certify: (csr: string) => Promise<OperatorCertified>): Promise<void> {
  const folder = options.out ?? path.join(home, 'operators', name)
  const file = (last: string): string => path.join(folder, last)
  if (existsSync(file('key.pem'))) throw new SallyportError('refused', `${file('key.pem')} exists: a key is not overwritten.`, { fix: 'Choose another --out.' })
  const lock = options.passwordFile === undefined ? madePassword(newPasswordSecret(), name) : chosenPassword(options.passwordFile)
  const key = generateKey('P-256')
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  writeSecretFile(file('key.pem'), privateKeyPem(key))
  const made = await certify(makeCsr(key, name)).catch((error: unknown) => {
    // What proves nothing would only be in the way of the next try.
    rmSync(file('key.pem'), { force: true })
    throw error
  })
  const { certificate, chain, root, ...rest } = made
  writeSecretFile(file('ca.pem'), root, PUBLIC_MODE)
  writeSecretFile(file('cert.pem'), certificate + chain.join(''), PUBLIC_MODE)
  writeSecretFile(file('browser.p12'), await keyStore(made, file('key.pem'), lock))
  print(options, { ...rest, out: folder, ...(lock.isMade ? { password: lock.password } : {}) }, () => [
    `${folder}: key.pem, cert.pem, ca.pem, browser.p12`,
    `${name} is ${made.role}${made.tenant === undefined ? '' : ` for tenant ${made.tenant}`}; the certificate ends ${time(made.notAfter)}. The key was made here and is nowhere else.`,
    ...(lock.isMade ? [`The password of browser.p12, shown now and never again: ${lock.password}`] : []),
  ].join('\n'))
}

function keyStore({ name, certificate, chain, root }: OperatorCertified, keyFile: string, { password, rounds }: BundlePassword): Promise<Uint8Array> {
  const ders = (pem: string): readonly Uint8Array[] => required(decodePem(pem, 'CERTIFICATE'))
  const [leaf] = ders(certificate)
  if (leaf === undefined) throw new SallyportError('internal', 'The answer has no certificate.')
  return encodeKeyStore({ name, key: createPrivateKey(readSecretFile(keyFile)), certificate: leaf, chain: chain.flatMap(ders), roots: ders(root) }, { password, rounds, random: randomBytes })
}

interface ListOptions extends CommonOptions {
  readonly after?: string
  readonly limit?: string
}

export async function list(options: ListOptions): Promise<void> {
  const limit = limitOf(options.limit)
  await withDesk(options, async (desk) => {
    const page = await desk.operators({ after: options.after, limit })
    print(options, page, () => [
      table([['NAME', 'ROLE', 'TENANT', 'STATE', 'CERTIFICATE UNTIL'], ...page.items.map((o) => [o.name, o.role, o.tenant ?? '(all)', stateOf(o), untilOf(o)])]),
      ...(page.next === undefined ? [] : [`more: --after ${page.next}`]),
    ].join('\n'))
  })
}

const stateOf = ({ revokedAt, certificates }: OperatorShown): string => (revokedAt !== undefined ? `revoked ${time(revokedAt)}` : certificates.length === 0 ? 'no certificate in force' : 'in force')
const untilOf = ({ certificates }: OperatorShown): string => (certificates.length === 0 ? '-' : time(Math.max(...certificates.map(({ notAfter }) => notAfter))))

export async function role(text: string, word: string, options: CommonOptions): Promise<void> {
  const name = required(parseOperatorName(text))
  const next = ROLES.find((each) => each === word)
  if (next === undefined) throw new SallyportError('usage', `A role is one of ${ROLES.join(', ')}.`)
  await withDesk(options, async (desk) => {
    const operator = await desk.changeOperatorRole(name, next)
    print(options, operator, () => `${name} is ${operator.role} from now on.`)
  })
}

export async function revoke(text: string, options: CommonOptions): Promise<void> {
  const name = required(parseOperatorName(text))
  await confirm(options, `Revoke ${name}, with all certificates? Nobody comes back under this name.`)
  await withDesk(options, async (desk) => {
    const operator = await desk.revokeOperator(name)
    print(options, operator, () => `${name} is out, with all certificates.`)
  })
}

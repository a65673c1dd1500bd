// The credentials that the program holds itself: the server's certificate and the operator's. Each is kept while it is good
// (key and certificate fit, recorded as active, of the right CA, in force, the right names, a third of its life left) and issued anew
// otherwise. The chain and the roots beside it follow the CAs without a new certificate.

import { existsSync, readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import path from 'node:path'
import type { CertificateFacts, SubjectAltName } from '../core/certificate.ts'
import { refused } from '../core/errors.ts'
import type { CaName, SerialNumber } from '../core/ids.ts'
import type { CaRecord } from '../core/registry.ts'
import { parseCertificate } from '../x509/certificate.ts'
import { generateKey, isKeyOf, privateKeyPem, spkiOf } from '../x509/keys.ts'
import { decodePem, encodePem } from '../x509/pem.ts'
import { chainOf, issuerOfServer, rootsInForce, serverChain } from './chains.ts'
import type { GenesisPorts, Organisation } from './genesis.ts'
import type { Authority } from './issue.ts'
import type { NamesAsked } from './name-rules.ts'
import { readSecretFile, writeSecretFile } from './key-file.ts'

const PUBLIC_MODE = 0o644
const ALWAYS: readonly string[] = ['localhost', '127.0.0.1', '::1']

const COMMON_NAMES = { 'server': 'sallyport server', 'operator': 'operator', 'ocsp-responder': 'sallyport OCSP responder' } as const
type Credential = keyof typeof COMMON_NAMES
/** As genesis.ts names it. */
const FIRST_ISSUING = 'issuing-1'

/** What a credential is of: its CA, what is shown with it, and what those who show it verify the other side with. PEM. */
interface Belongings {
  readonly issuer: CaRecord
  readonly chain: string
  readonly roots: string
}

/** The authority of a CA by its name; the current one is open already. */
export type AuthorityOf = (issuer: CaRecord) => Promise<Authority>

/** The names of the credentials that an issuing CA will be asked for: one that may not give them is of no use here. */
export function credentialNames({ organization, hosts }: Pick<GenesisPorts, 'organization' | 'hosts'>): readonly NamesAsked[] {
  return (['server', 'operator', 'ocsp-responder'] as const).map((kind) => ({ commonName: COMMON_NAMES[kind], organization, subjectAltNames: kind === 'server' ? serverNames(hosts) : [] }))
}

/** Where the credential is, below certs/local. A CA has a responder of its own; that of the first is older than the others. */
export function folderOfCredential(kind: Credential, issuer: CaName | undefined): string {
  return kind !== 'ocsp-responder' || issuer === undefined || issuer === FIRST_ISSUING ? kind : `${kind}-${issuer}`
}

/** Issues the credential unless a good one is there; `issuer`: of this CA and no other. Failure: 'refused', 'key-permissions'. */
export async function ensureCredential(kind: Credential, organisation: Organisation, ports: GenesisPorts, authorityOf: AuthorityOf, of?: CaRecord): Promise<'kept' | 'issued'> {
  const folder = path.join(ports.paths.local, folderOfCredential(kind, of?.name))
  const files = { cert: path.join(folder, 'cert.pem'), key: path.join(folder, 'key.pem'), ca: path.join(folder, 'ca.pem') }
  const altNames = kind === 'server' ? serverNames(ports.hosts) : []
  const belongings = belongingsOf(kind, organisation, ports, of)
  const good = ports.anew === kind ? undefined : goodLeaf(files, altNames, belongings.issuer, ports)
  if (good !== undefined) {
    writePublic(files.cert, encodePem('CERTIFICATE', good) + belongings.chain)
    writePublic(files.ca, belongings.roots)
    return 'kept'
  }
  const key = generateKey(ports.profiles[kind].key)
  const issued = await (await authorityOf(belongings.issuer)).issue(
    { profile: kind, commonName: COMMON_NAMES[kind], organization: ports.organization, spki: spkiOf(key), subjectAltNames: altNames },
    ports.actor,
  )
  if (!issued.allow) throw refused(issued, `The ${kind} certificate could not be issued (${issued.reason}).`)
  // Key first: a certificate without its key is found out at the next start, and issued anew.
  writeSecretFile(files.key, privateKeyPem(key))
  writeSecretFile(files.cert, encodePem('CERTIFICATE', issued.value.der) + belongings.chain, PUBLIC_MODE)
  writeSecretFile(files.ca, belongings.roots, PUBLIC_MODE)
  return 'issued'
}

function belongingsOf(kind: Credential, organisation: Organisation, ports: GenesisPorts, of: CaRecord | undefined): Belongings {
  const cas = ports.registry.cas()
  const crosses = ports.registry.crossCertificates()
  const pem = (ders: readonly Uint8Array[]): string => ders.map((der) => encodePem('CERTIFICATE', der)).join('')
  const roots = pem(rootsInForce(cas).map(({ der }) => der))
  if (of !== undefined) return { issuer: of, chain: pem(chainOf(of.name, cas)), roots }
  // Operators are known to this server alone, which has all roots.
  if (kind === 'operator') return { issuer: organisation.issuing, chain: pem(chainOf(organisation.issuing.name, cas)), roots }
  const issuer = issuerOfServer(cas, crosses) ?? organisation.issuing
  return { issuer, chain: pem(serverChain(issuer, cas, crosses, ports.clock())), roots }
}

function writePublic(file: string, text: string): void {
  if (existsSync(file) && readFileSync(file, 'utf8') === text) return
  writeSecretFile(file, text, PUBLIC_MODE)
}

/** The certificate in the file, DER, where it and its key are good. */
function goodLeaf(files: Readonly<Record<'cert' | 'key', string>>, altNames: readonly SubjectAltName[], issuer: CaRecord, ports: GenesisPorts): Uint8Array | undefined {
  if (!existsSync(files.cert) || !existsSync(files.key)) return undefined
  // A key file with wide permissions is a failure to tell of, not a reason for a new key.
  const key = readSecretFile(files.key)
  const chain = decodePem(readFileSync(files.cert, 'utf8'), 'CERTIFICATE')
  const der = chain.allow ? chain.value[0] : undefined
  const facts = der && parseCertificate(der)
  if (der === undefined || facts?.allow !== true) return undefined
  const { value: leaf } = facts
  const record = ports.registry.certificate(issuer.name, leaf.serial as SerialNumber)
  const now = ports.clock()
  const ca = parseCertificate(issuer.der)
  const caNotBefore = ca.allow ? ca.value.notBefore : 0
  const isGood =
    record?.state === 'active' &&
    record.sha256 === leaf.sha256 &&
    // One that was issued while the clock was ahead would be refused by everybody until then. Before its CA there is no better one.
    leaf.notBefore <= Math.max(now, caNotBefore) &&
    leaf.notAfter - now > (leaf.notAfter - leaf.notBefore) / 3 &&
    covers(leaf, altNames) &&
    isKeyOf(key, leaf.key.spkiSha256)
  return isGood ? der : undefined
}

function covers(leaf: CertificateFacts, wanted: readonly SubjectAltName[]): boolean {
  const has = new Set((leaf.subjectAltNames ?? []).map((n) => `${n.kind}:${canonical(n.value)}`))
  return wanted.every((n) => has.has(`${n.kind}:${canonical(n.value)}`))
}

function canonical(value: string): string {
  return value.includes(':') ? new URL(`http://[${value}]/`).hostname : value.toLowerCase()
}

/** localhost and its addresses, and each further host once. */
function serverNames(hosts: readonly string[]): readonly SubjectAltName[] {
  return [...new Set([...ALWAYS, ...hosts])].map((host) => (isIP(host) === 0 ? { kind: 'dns', value: host } : { kind: 'ip', value: host }))
}

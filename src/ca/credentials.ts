// The credentials that the program holds itself: the server's certificate and the operator's. Each is kept while it is good
// (key and certificate fit, recorded as active, in force, the right names, a third of its life left) and issued anew otherwise.

import { existsSync, readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import path from 'node:path'
import type { CertificateFacts, SubjectAltName } from '../core/certificate.ts'
import { refused } from '../core/errors.ts'
import type { SerialNumber } from '../core/ids.ts'
import { parseCertificate } from '../x509/certificate.ts'
import { generateKey, isKeyOf, privateKeyPem, spkiOf } from '../x509/keys.ts'
import { decodePem, encodePem } from '../x509/pem.ts'
import type { GenesisPorts, Organisation } from './genesis.ts'
import { readSecretFile, writeSecretFile } from './key-file.ts'

const PUBLIC_MODE = 0o644
const ALWAYS: readonly string[] = ['localhost', '127.0.0.1', '::1']

const COMMON_NAMES = { 'server': 'sallyport server', 'operator': 'operator', 'ocsp-responder': 'sallyport OCSP responder' } as const

/** Issues the credential unless a good one is there. Failure: 'refused', 'key-permissions'. */
export async function ensureCredential(kind: keyof typeof COMMON_NAMES, organisation: Organisation, ports: GenesisPorts): Promise<'kept' | 'issued'> {
  const folder = path.join(ports.paths.local, kind)
  const files = { cert: path.join(folder, 'cert.pem'), key: path.join(folder, 'key.pem'), ca: path.join(folder, 'ca.pem') }
  const altNames = kind === 'server' ? serverNames(ports.hosts) : []
  if (isGood(files, altNames, organisation, ports)) return 'kept'
  const key = generateKey(ports.profiles[kind].key)
  const issued = await organisation.authority.issue(
    { profile: kind, commonName: COMMON_NAMES[kind], organization: ports.organization, spki: spkiOf(key), subjectAltNames: altNames },
    ports.actor,
  )
  if (!issued.allow) throw refused(issued, `The ${kind} certificate could not be issued (${issued.reason}).`)
  // Key first: a certificate without its key is found out at the next start, and issued anew.
  writeSecretFile(files.key, privateKeyPem(key))
  writeSecretFile(files.cert, encodePem('CERTIFICATE', issued.value.der) + encodePem('CERTIFICATE', organisation.issuing.der), PUBLIC_MODE)
  writeSecretFile(files.ca, encodePem('CERTIFICATE', organisation.root.der), PUBLIC_MODE)
  return 'issued'
}

function isGood(files: Readonly<Record<'cert' | 'key' | 'ca', string>>, altNames: readonly SubjectAltName[], organisation: Organisation, ports: GenesisPorts): boolean {
  if (!existsSync(files.cert) || !existsSync(files.key) || !existsSync(files.ca)) return false
  // A key file with wide permissions is a failure to tell of, not a reason for a new key.
  const key = readSecretFile(files.key)
  const chain = decodePem(readFileSync(files.cert, 'utf8'), 'CERTIFICATE')
  const facts = chain.allow && chain.value[0] !== undefined ? parseCertificate(chain.value[0]) : undefined
  if (facts?.allow !== true) return false
  const { value: leaf } = facts
  const record = ports.registry.certificate(organisation.issuing.name, leaf.serial as SerialNumber)
  const now = ports.clock()
  const issuer = parseCertificate(organisation.issuing.der)
  const issuerNotBefore = issuer.allow ? issuer.value.notBefore : 0
  return (
    record?.state === 'active' &&
    record.sha256 === leaf.sha256 &&
    // One that was issued while the clock was ahead would be refused by everybody until then. Before its CA there is no better one.
    leaf.notBefore <= Math.max(now, issuerNotBefore) &&
    leaf.notAfter - now > (leaf.notAfter - leaf.notBefore) / 3 &&
    covers(leaf, altNames) &&
    isKeyOf(key, leaf.key.spkiSha256)
  )
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

// What a rotation makes: the successor of the issuing CA, of the root when it is wanted, and the certificates that two roots give
// each other. Each is made once: a key that an interrupted step left behind is used, what is recorded is not made again.

import type { KeyObject } from 'node:crypto'
import { existsSync } from 'node:fs'
import path from 'node:path'
import type { KeyLoan } from '../core/ca-desk.ts'
import { deny } from '../core/decision.ts'
import { failureOf, refused, SallyportError } from '../core/errors.ts'
import type { CaIds } from '../core/ca-names.ts'
import type { CaName, SerialNumber } from '../core/ids.ts'
import type { AuditEvent } from '../core/audit.ts'
import type { CaRecord, CertificateRecord } from '../core/registry.ts'
import { CA_LIMITS } from '../limits.ts'
import { certificateParts, parseCertificate, type CertificateParts } from '../x509/certificate.ts'
import type { CertificateFacts } from '../core/certificate.ts'
import { makeCsr } from '../x509/csr.ts'
import { openPublicKey } from '../x509/keys.ts'
import { currentCa, isInForce } from './chains.ts'
import { certify, ensureKey, issuingName, keyFileOf, openVault, recordCas, unseal, type GenesisPorts, type NewCa } from './genesis.ts'
import { checkImported, checkNames, type CaImport } from './import.ts'
import { newSerial } from './issue.ts'
import { openRootKey } from './root-key.ts'
import { openSigner } from './signer.ts'

/** The name of the next CA of this role. Numbers are not given twice: what is recorded under a name is of one key for good. */
function nextName(cas: readonly CaRecord[], role: 'root' | 'issuing'): { readonly name: CaName; readonly number: number } {
  // Whatever has such a name: a CA of others may have had it first.
  const numbers = cas.flatMap(({ name }) => (name === role ? [1] : name.startsWith(`${role}-`) && /^[1-9]\d{0,5}$/.test(name.slice(role.length + 1)) ? [Number(name.slice(role.length + 1))] : []))
  const number = Math.max(0, ...numbers) + 1
  return { name: `${role}-${number}` as CaName, number }
}

function needed(cas: readonly CaRecord[], role: 'root' | 'issuing'): CaRecord {
  const found = currentCa(cas, role)
  if (found === undefined) throw new SallyportError('internal', `There is no current ${role} CA.`)
  return found
}

export interface Successor {
  readonly root: boolean
  readonly loan: KeyLoan | undefined
  /** The device ids that it may name. */
  readonly ids?: CaIds
  /** The name (DER) below which it permits subjects. */
  readonly permitted?: Uint8Array | undefined
}

/** Makes the next issuing CA, below the current root or below a new one. Failures: those of certify, of opening the root's key, and 'certificate-unusable' for one that could not name what it is for. */
export async function makeSuccessor(ports: GenesisPorts, { root, loan, ids, permitted }: Successor): Promise<readonly CaName[]> {
  const vault = openVault(ports)
  const cas = ports.registry.cas()
  const made: NewCa[] = []
  const oldRoot = needed(cas, 'root')
  let above: { readonly key: KeyObject; readonly der: Uint8Array }
  if (root) {
    const { name } = nextName(cas, 'root')
    const key = await ensureKey(ports, vault, name, ports.profiles.root)
    // The name of the root before: only so can one be put below the other without counting as a step of the path (RFC 5280 §6.1.4).
    const der = await certify(ports, { profile: ports.profiles.root, key, subjectDer: readCa(oldRoot).parts.subject.raw, signer: openSigner(key) })
    made.push({ name, role: 'root', state: 'created', der })
    above = { key, der }
  } else above = { key: await openRootKey(ports, vault, oldRoot, loan), der: oldRoot.der }
  const { name, number } = nextName(cas, 'issuing')
  const key = await ensureKey(ports, vault, name, ports.profiles.issuing)
  const der = await certify(ports, { profile: ports.profiles.issuing, key, subjectDer: issuingName(ports, above.der, number), signer: openSigner(above.key), issuer: above.der, permitted })
  checkNames({ name, der, root: above.der, ids }, ports)
  made.push({ name, role: 'issuing', state: 'created', der, ids })
  // Together: one without the other is no rotation that could go on.
  await recordCas(ports, made)
  return made.map((ca) => ca.name)
}

/** Two roots vouch for each other: whoever knows one can verify what stands below the other. Returns how many certificates were made. */
export async function crossSign(ports: GenesisPorts, a: CaRecord, b: CaRecord, loan: KeyLoan | undefined): Promise<number> {
  const vault = openVault(ports)
  const pairs = ([[a, b], [b, a]] as const).filter(([subject, issuer]) => !ports.registry.crossCertificates().some((cross) => cross.issuer === issuer.name && cross.spkiSha256 === subject.spkiSha256 && cross.notAfter > ports.clock()))
  // Before anything is planned: of a key that is missing no half is left.
  const keys = new Map<CaName, KeyObject>()
  for (const [, issuer] of pairs) keys.set(issuer.name, await openRootKey(ports, vault, issuer, loan))
  for (const [subject, issuer] of pairs) {
    const key = keys.get(issuer.name)
    if (key !== undefined) await crossOne(ports, subject, issuer, key)
  }
  return pairs.length
}

/** In the order of every issuance: the plan is recorded, then it is signed, then that is recorded. */
async function crossOne(ports: GenesisPorts, subject: CaRecord, issuer: CaRecord, issuerKey: KeyObject): Promise<void> {
  const [below, above] = [readCa(subject), readCa(issuer)]
  const key = openPublicKey(below.parts.spki.raw)
  if (key === undefined || below.facts.subjectKeyId === undefined) throw new SallyportError('certificate-unusable', `The certificate of ${subject.name} cannot be given another issuer: it has no key identifier.`)
  const now = ports.clock()
  const serial = Buffer.from(newSerial(ports.random)).toString('hex') as SerialNumber
  const notBefore = Math.floor(Math.max(now - CA_LIMITS.backdateMs, below.facts.notBefore, above.facts.notBefore) / SECOND_MS) * SECOND_MS
  const record: CertificateRecord = { issuer: issuer.name, serial, profile: 'root', state: 'planned', spkiSha256: subject.spkiSha256, notBefore, notAfter: Math.min(below.facts.notAfter, above.facts.notAfter), createdAt: now }
  const audit = { issuer: issuer.name, serial, profile: 'root', actor: ports.actor } as const
  await must(ports.registry.commit([{ kind: 'certificate-planned', certificate: record }], [], [{ kind: 'certificate-planned', at: now, ...audit }]), subject)
  const again = { serial, subjectKeyId: below.facts.subjectKeyId, notBefore, notAfter: record.notAfter }
  const der = await certify(ports, { profile: ports.profiles.root, key, subjectDer: below.parts.subject.raw, signer: openSigner(issuerKey), issuer: issuer.der, again })
  const { sha256 } = readCa({ name: subject.name, der }).facts
  await must(ports.registry.commit(
    [{ kind: 'certificate-issued', issuer: issuer.name, serial, sha256, der, state: 'active' }],
    [{ kind: 'certificate-state', issuer: issuer.name, serial, states: ['planned'] }],
    [{ kind: 'certificate-issued', at: ports.clock(), ...audit, sha256 } satisfies AuditEvent],
  ), subject)
}

const SECOND_MS = 1_000

async function must(committing: ReturnType<GenesisPorts['registry']['commit']>, subject: CaRecord): Promise<void> {
  const committed = await committing
  if (!committed.allow) throw refused(committed, `The certificate that vouches for ${subject.name} could not be recorded (${committed.reason}).`)
}

function readCa({ name, der }: Pick<CaRecord, 'name' | 'der'>): { readonly facts: CertificateFacts; readonly parts: CertificateParts } {
  const facts = parseCertificate(der)
  const parts = certificateParts(der)
  if (!facts.allow || !parts.allow) throw new SallyportError('certificate-unusable', `The certificate of ${name} cannot be read.`, { fix: 'Restore data/registry.db from your backup.' })
  return { facts: facts.value, parts: parts.value }
}

/** A request for the next issuing CA: its key is made here and stays here. */
export async function requestIssuing(ports: GenesisPorts): Promise<{ readonly ca: CaName; readonly csr: string }> {
  const { name, number } = nextName(ports.registry.cas(), 'issuing')
  const key = await ensureKey(ports, openVault(ports), name, ports.profiles.issuing)
  return { ca: name, csr: makeCsr(key, `${ports.organization} Issuing ${number}`) }
}

/** Takes in the certificate for that request, below a root of ours or below one that comes with it. Failures: 'certificate-unusable', 'refused'. */
export async function importIssuing(ports: GenesisPorts, source: Pick<CaImport, 'cert' | 'chain'>, ids?: CaIds): Promise<readonly CaName[]> {
  const cas = ports.registry.cas()
  const { name } = nextName(cas, 'issuing')
  const file = path.join(ports.paths.local, keyFileOf(name))
  if (!existsSync(file)) throw failureOf(deny('ca-step', 'no request of this home waits for a certificate: ca csr'))
  const key = await unseal(openVault(ports), file)
  const roots = cas.filter((ca) => ca.role === 'root' && isInForce(ca))
  const { ca, root } = checkImported(source, key, ports, roots)
  checkNames({ name, der: ca, root, ids }, ports)
  const known = roots.find(({ der }) => Buffer.compare(der, root) === 0)
  const made: readonly NewCa[] = [
    ...(known === undefined ? [{ name: nextName(cas, 'root').name, role: 'root', state: 'created', der: root } as const] : []),
    { name, role: 'issuing', state: 'created', der: ca, ids },
  ]
  await recordCas(ports, made)
  return made.map((each) => each.name)
}


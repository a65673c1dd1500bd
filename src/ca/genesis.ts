// The first start of an organisation, and every later one: root → issuing → server and operator. Each step looks at what is
// recorded and does what is missing, so that a process killed anywhere goes on where it was. The registry holds the
// certificates; the PEM files are written from it. Keys are made, sealed and written before anything refers to them.

import type { KeyObject } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import type { Actor } from '../core/audit.ts'
import { judgeIssuer } from '../core/certificate-rules.ts'
import { SallyportError, refused } from '../core/errors.ts'
import { DEFAULT_TENANT, type CaName, type EpochMs } from '../core/ids.ts'
import type { CaRecord, Registry } from '../core/registry.ts'
import { CA_LIMITS } from '../limits.ts'
import { certificateParts, parseCertificate } from '../x509/certificate.ts'
import { generateKey, keyHash, openPublicKey, spkiOf } from '../x509/keys.ts'
import { encodeName } from '../x509/names.ts'
import { encodePem } from '../x509/pem.ts'
import { isCertificateSignedBy } from '../x509/signatures.ts'
import { joinCertificate, openTemplate, subjectKeyId } from '../x509/template.ts'
import { newSerial, openAuthority, type Authority } from './issue.ts'
import { openPassphrase, readSecretFile, sealKey, unsealKey, writeSecretFile } from './key-file.ts'
import { ensureCredential } from './credentials.ts'
import type { Profile, Profiles } from './profiles.ts'
import { openSigner, type Signer } from './signer.ts'

export const ROOT = 'root' as CaName
export const ISSUING = 'issuing-1' as CaName

/** Where the organisation's PKI lives; `local` is certs/local of a home. */
interface CaPaths {
  readonly local: string
  readonly passphrase: string
}

export interface GenesisPorts {
  readonly registry: Registry
  readonly profiles: Profiles
  readonly paths: CaPaths
  readonly organization: string
  /** DNS names and IP addresses under which the server is reached. */
  readonly hosts: readonly string[]
  readonly clock: () => EpochMs
  readonly random: (count: number) => Uint8Array
  readonly actor: Actor
  /** Who signs for the issuing CA, where that is not this process: then nobody here opens its key. */
  readonly signerOf?: (ca: CaRecord) => Signer
}

export interface Organisation {
  readonly root: CaRecord
  readonly issuing: CaRecord
  readonly authority: Authority
}

const PUBLIC_MODE = 0o644

/** The way to the sealed keys during one opening. Stretching the passphrase is slow on purpose: no key is unsealed twice. */
interface Vault {
  readonly passphrase: () => Uint8Array
  /** By file: what was made or unsealed already. */
  readonly opened: Map<string, KeyObject>
}

/** Where the sealed key of an issuing CA lies. */
export function issuingKeyFile({ local }: Pick<CaPaths, 'local'>): string {
  return path.join(local, 'issuing.key')
}

/** Is there an organisation in this home already? */
export function isInitialized(registry: Registry): boolean {
  return registry.cas().some((ca) => ca.name === ISSUING)
}

/** Makes what is missing of an organisation and opens it. Failures: 'key-unreadable', 'key-permissions', 'passphrase-wrong'. */
export async function openOrganisation(ports: GenesisPorts): Promise<Organisation> {
  const organisation = await openAuthorityOnly(ports, true)
  await ensureCredentials(organisation, ports)
  return organisation
}

/** Issues what server and operator are missing, with a CA that is open: to open its key takes a good part of a second. */
export async function ensureCredentials(organisation: Organisation, ports: GenesisPorts): Promise<void> {
  await ensureCredential('server', organisation, ports)
  await ensureCredential('operator', organisation, ports)
}

/** Opens the CA itself, without touching server and operator credentials. With `mayMake`, makes it where there is none. */
export async function openAuthorityOnly(ports: GenesisPorts, mayMake: boolean): Promise<Organisation> {
  const initialized = isInitialized(ports.registry)
  if (!initialized && !mayMake) throw new SallyportError('home-empty', 'There is no certificate authority in this home yet.', { fix: 'Make one: sallyport ca init, or start the server: sallyport serve.' })
  const vault: Vault = { passphrase: () => openPassphrase(ports.paths.passphrase, !initialized), opened: new Map() }
  const root = await ensureRoot(ports, vault)
  const issuing = await ensureIssuing(ports, vault, root)
  const signer = ports.signerOf?.(issuing) ?? openSigner(await openKey(ports, vault, 'issuing.key', issuing))
  const authority = openAuthority({ registry: ports.registry, signer, issuer: issuing, profiles: ports.profiles, clock: ports.clock, random: ports.random })
  return { root, issuing, authority }
}

async function ensureRoot(ports: GenesisPorts, vault: Vault): Promise<CaRecord> {
  const recorded = ports.registry.cas().find((ca) => ca.name === ROOT)
  const root = recorded ?? (await makeRoot(ports, vault))
  writePublic(path.join(ports.paths.local, 'root.pem'), encodePem('CERTIFICATE', root.der))
  return root
}

async function ensureIssuing(ports: GenesisPorts, vault: Vault, root: CaRecord): Promise<CaRecord> {
  const recorded = ports.registry.cas().find((ca) => ca.name === ISSUING)
  const issuing = recorded ?? (await makeIssuing(ports, vault, root))
  writePublic(path.join(ports.paths.local, 'issuing.pem'), encodePem('CERTIFICATE', issuing.der))
  return issuing
}

async function makeRoot(ports: GenesisPorts, vault: Vault): Promise<CaRecord> {
  const key = await ensureKey(ports, vault, 'root.key', ports.profiles.root)
  const name = encodeName({ organization: ports.organization, commonName: `${ports.organization} Root` })
  return record(ports, { name: ROOT, role: 'root', der: await certify(ports, ports.profiles.root, key, name, openSigner(key), undefined) })
}

async function makeIssuing(ports: GenesisPorts, vault: Vault, root: CaRecord): Promise<CaRecord> {
  const rootKey = await openKey(ports, vault, 'root.key', root)
  const key = await ensureKey(ports, vault, 'issuing.key', ports.profiles.issuing)
  const name = encodeName({ organization: ports.organization, commonName: `${ports.organization} Issuing 1` })
  return record(ports, { name: ISSUING, role: 'issuing', der: await certify(ports, ports.profiles.issuing, key, name, openSigner(rootKey), root.der) })
}

/** A CA certificate for this key, signed by `signer`; self-signed when there is no issuer. */
async function certify(ports: GenesisPorts, profile: Profile, key: KeyObject, subjectDer: Uint8Array, signer: Signer, issuerCertificate: Uint8Array | undefined): Promise<Uint8Array> {
  const issuer = issuerCertificate === undefined ? undefined : certificateParts(issuerCertificate)
  const issuerFacts = issuerCertificate === undefined ? undefined : parseCertificate(issuerCertificate)
  if (issuer?.allow === false || issuerFacts?.allow === false) throw new SallyportError('certificate-unusable', 'The root certificate cannot be read.', { fix: 'Restore data/registry.db from your backup.' })
  const spki = spkiOf(key)
  const now = ports.clock()
  const seconds = (ms: EpochMs): EpochMs => Math.floor(ms / 1_000) * 1_000
  const tbs = openTemplate({
    issuerDer: issuer?.value.subject.raw ?? new Uint8Array(),
    authorityKeyId: issuer === undefined ? undefined : Buffer.from(issuerFacts?.value.subjectKeyId ?? Buffer.from(subjectKeyId(signer.spki)).toString('hex'), 'hex'),
    signatureIdentifier: signer.signatureIdentifier,
    basicConstraints: profile.pathLength === undefined ? { ca: true } : { ca: true, pathLength: profile.pathLength },
    keyUsage: profile.keyUsage,
    extendedKeyUsage: profile.extendedKeyUsage,
  })({
    serial: newSerial(ports.random),
    notBefore: seconds(Math.max(now - CA_LIMITS.backdateMs, issuerFacts?.value.notBefore ?? 0)),
    notAfter: seconds(Math.min(now + profile.validityMs, issuerFacts?.value.notAfter ?? Number.POSITIVE_INFINITY)),
    subjectDer, spki, subjectAltNames: [],
  })
  const der = joinCertificate(tbs, signer.signatureIdentifier, await signer.sign(tbs))
  const made = parseCertificate(der)
  const issuerKey = openPublicKey(signer.spki)
  // Below a root stands one CA at most. A clock that was set back does not make the certificate a bad one.
  const judged = made.allow ? judgeIssuer(made.value, issuer === undefined ? 1 : 0, Math.max(now, made.value.notBefore)) : made
  if (!judged.allow) throw new SallyportError('issuance-mismatch', `The certificate of a new CA cannot be used: ${judged.reason}${judged.detail === undefined ? '' : ` (${judged.detail})`}. It was not recorded.`, { fix: 'Check certs/profiles/root.yaml and issuing.yaml.' })
  if (issuerKey === undefined || !isCertificateSignedBy(der, issuerKey)) throw new SallyportError('issuance-mismatch', 'The signature of a new CA certificate does not verify. It was not recorded.', { fix: 'Restore certs/local and data from the same backup.' })
  return der
}

/** A CA to record. `der` is its certificate; its key is on disk already. */
export interface NewCa {
  readonly name: CaName
  readonly role: CaRecord['role']
  readonly der: Uint8Array
}

/** Records CAs, all of them or none. Failures: 'certificate-unusable', 'refused'. */
export async function recordCas(ports: Pick<GenesisPorts, 'registry' | 'clock' | 'actor'>, found: readonly NewCa[]): Promise<void> {
  const at = ports.clock()
  const cas = found.map(({ name, role, der }): CaRecord => {
    const parts = certificateParts(der)
    if (!parts.allow) throw new SallyportError('certificate-unusable', `The certificate of ${name} cannot be read: ${parts.detail ?? parts.reason}.`)
    return { name, role, tenant: DEFAULT_TENANT, der, spkiSha256: keyHash(parts.value.spki.raw), createdAt: at }
  })
  const committed = await ports.registry.commit(
    cas.map((ca) => ({ kind: 'ca-added', ca })),
    cas.map(({ spkiSha256 }) => ({ kind: 'key-free', spkiSha256 })),
    cas.map(({ name }) => ({ kind: 'ca-added', at, ca: name, actor: ports.actor })),
  )
  if (!committed.allow) throw refused(committed, `The CA ${cas.map((ca) => ca.name).join(', ')} could not be recorded (${committed.reason}).`)
}

async function record(ports: GenesisPorts, ca: NewCa): Promise<CaRecord> {
  await recordCas(ports, [ca])
  return recordedCa(ports.registry, ca.name)
}

function recordedCa(registry: Registry, name: CaName): CaRecord {
  const found = registry.cas().find((ca) => ca.name === name)
  if (found === undefined) throw new SallyportError('internal', `The CA ${name} was recorded and is not there.`)
  return found
}

/** The key of a CA that is not recorded yet: the one an interrupted start left behind, or a new one. */
async function ensureKey(ports: GenesisPorts, vault: Vault, name: string, profile: Profile): Promise<KeyObject> {
  const file = path.join(ports.paths.local, name)
  if (existsSync(file)) return unseal(vault, file)
  const key = generateKey(profile.key)
  writeSecretFile(file, await sealKey(key, vault.passphrase()))
  vault.opened.set(file, key)
  return key
}

/** The file is looked at in any case: one that others may read is refused, whatever is in memory. */
async function unseal(vault: Vault, file: string): Promise<KeyObject> {
  const text = readSecretFile(file).toString('utf8')
  const key = vault.opened.get(file) ?? (await unsealKey(text, vault.passphrase(), file))
  vault.opened.set(file, key)
  return key
}

/** The key of a recorded CA: it must fit the certificate. */
async function openKey(ports: GenesisPorts, vault: Vault, name: string, ca: CaRecord): Promise<KeyObject> {
  const file = path.join(ports.paths.local, name)
  const key = await unseal(vault, file)
  if (keyHash(spkiOf(key)) !== ca.spkiSha256) throw new SallyportError('key-unreadable', `The key in ${file} does not belong to the recorded certificate of ${ca.name}.`, { fix: 'Restore certs/local and data from the same backup.' })
  return key
}

function writePublic(file: string, text: string): void {
  if (existsSync(file) && readFileSync(file, 'utf8') === text) return
  writeSecretFile(file, text, PUBLIC_MODE)
}

// The first start of an organisation, and every later one: root → issuing → server and operator. Each step looks at what is
// recorded and does what is missing, so that a process killed anywhere goes on where it was. The registry holds the
// certificates; the PEM files are written from it. Keys are made, sealed and written before anything refers to them.

import type { KeyObject } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import type { Actor } from '../core/audit.ts'
import type { CaIds } from '../core/ca-names.ts'
import { judgeIssuer } from '../core/certificate-rules.ts'
import { SallyportError, refused } from '../core/errors.ts'
import { DEFAULT_TENANT, type CaName, type EpochMs, type SerialNumber } from '../core/ids.ts'
import type { CaRecord, CaState, Registry } from '../core/registry.ts'
import { CA_LIMITS } from '../limits.ts'
import { certificateParts, parseCertificate } from '../x509/certificate.ts'
import { generateKey, keyHash, openPublicKey, spkiOf } from '../x509/keys.ts'
import { encodeName, encodeNameBelow } from '../x509/names.ts'
import { permittedBase } from '../x509/permitted-names.ts'
import { encodePem } from '../x509/pem.ts'
import { isCertificateSignedBy } from '../x509/signatures.ts'
import { joinCertificate, openTemplate, subjectKeyId } from '../x509/template.ts'
import { currentCa, rootOf, rootsInForce } from './chains.ts'
import { newSerial, openAuthority, type Authority } from './issue.ts'
import { openPassphrase, readSecretFile, sealKey, unsealKey, writeSecretFile } from './key-file.ts'
import { ensureCredential, type AuthorityOf } from './credentials.ts'
import type { PublicDoor } from './pointers.ts'
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
  /** Where certificates point to. */
  readonly door?: PublicDoor | undefined
  /** DNS names and IP addresses under which the server is reached. */
  readonly hosts: readonly string[]
  readonly clock: () => EpochMs
  readonly random: (count: number) => Uint8Array
  readonly actor: Actor
  /** A credential of ours that is issued anew, however good it is. */
  readonly anew?: 'server' | 'operator' | undefined
  /** Who signs for the issuing CA, where that is not this process: then nobody here opens its key. */
  readonly signerOf?: (ca: CaRecord) => SeparateSigner
}

/** One that holds the key elsewhere, and looks at what it signs: certificates by their plans, lists by their form. */
export interface SeparateSigner extends Signer {
  signCrl(tbs: Uint8Array): Promise<Uint8Array>
}

export interface Organisation {
  readonly root: CaRecord
  readonly issuing: CaRecord
  readonly authority: Authority
}

const PUBLIC_MODE = 0o644

/** The file of a CA's key, below certs/local. The first two are older than the numbers. */
export function keyFileOf(name: CaName): string {
  return name === ROOT ? 'root.key' : name === ISSUING ? 'issuing.key' : `${name}.key`
}

/** The way to the sealed keys during one opening. Stretching the passphrase is slow on purpose: no key is unsealed twice. */
export interface Vault {
  readonly passphrase: () => Uint8Array
  /** By file: what was made or unsealed already. */
  readonly opened: Map<string, KeyObject>
}

/** Is there an organisation in this home already? */
export function isInitialized(registry: Registry): boolean {
  return registry.cas().some((ca) => ca.role === 'issuing' && ca.state === 'current')
}

/** Makes what is missing of an organisation and opens it. Failures: 'key-unreadable', 'key-permissions', 'passphrase-wrong'. */
export async function openOrganisation(ports: GenesisPorts): Promise<Organisation> {
  const organisation = await openAuthorityOnly(ports, true)
  await ensureCredentials(organisation, ports)
  return organisation
}

/** Issues what server and operator are missing, with a CA that is open: to open its key takes a good part of a second. */
export async function ensureCredentials(organisation: Organisation, ports: GenesisPorts, authorityOf: AuthorityOf = async (issuer) => (issuer.name === organisation.issuing.name ? organisation.authority : openAuthorityOf(ports, issuer))): Promise<void> {
  await ensureCredential('server', organisation, ports, authorityOf)
  await ensureCredential('operator', organisation, ports, authorityOf)
}

/** Opens the CA itself, without touching server and operator credentials. With `mayMake`, makes it where there is none. */
export async function openAuthorityOnly(ports: GenesisPorts, mayMake: boolean): Promise<Organisation> {
  const initialized = isInitialized(ports.registry)
  if (!initialized && !mayMake) throw new SallyportError('home-empty', 'There is no certificate authority in this home yet.', { fix: 'Make one: sallyport ca init, or start the server: sallyport serve.' })
  const vault = openVault(ports, !initialized)
  const root = await ensureRoot(ports, vault)
  const issuing = await ensureIssuing(ports, vault, root)
  return { root, issuing, authority: await openAuthorityOf(ports, issuing, vault) }
}

/** The passphrase is read when the first key is opened: where another process signs, nobody reads it here. */
export function openVault(ports: GenesisPorts, mayMake = false): Vault {
  return { passphrase: () => openPassphrase(ports.paths.passphrase, mayMake), opened: new Map() }
}

/** Opens the authority of one CA that is recorded. Failures: 'key-unreadable', 'key-permissions', 'passphrase-wrong'. */
export async function openAuthorityOf(ports: GenesisPorts, issuer: CaRecord, vault: Vault = openVault(ports)): Promise<Authority> {
  const signer = ports.signerOf?.(issuer) ?? openSigner(await openKey(ports, vault, issuer))
  return openAuthority({ registry: ports.registry, signer, issuer: { ...issuer, root: rootOf(issuer, ports.registry.cas())?.der }, profiles: ports.profiles, door: ports.door, clock: ports.clock, random: ports.random })
}

/** What signs the CRLs of this CA; undefined while its key is elsewhere, as that of a root may be. Failures: as above. */
export async function openListSigner(ports: GenesisPorts, ca: CaRecord): Promise<Signer | undefined> {
  if (!existsSync(path.join(ports.paths.local, keyFileOf(ca.name)))) return undefined
  const separate = ca.role === 'issuing' ? ports.signerOf?.(ca) : undefined
  return separate === undefined ? openSigner(await openKey(ports, openVault(ports), ca)) : { spki: separate.spki, signatureIdentifier: separate.signatureIdentifier, sign: (tbs) => separate.signCrl(tbs) }
}

/** The certificates that everybody may have, as the registry has them: all roots in force, the current one first, and the issuing CA. */
export function publishCas({ registry, paths }: Pick<GenesisPorts, 'registry' | 'paths'>): void {
  const cas = registry.cas()
  writePublic(path.join(paths.local, 'root.pem'), rootsInForce(cas).map(({ der }) => encodePem('CERTIFICATE', der)).join(''))
  const issuing = currentCa(cas, 'issuing')
  if (issuing !== undefined) writePublic(path.join(paths.local, 'issuing.pem'), encodePem('CERTIFICATE', issuing.der))
}

async function ensureRoot(ports: GenesisPorts, vault: Vault): Promise<CaRecord> {
  const root = currentCa(ports.registry.cas(), 'root') ?? (await makeRoot(ports, vault))
  publishCas(ports)
  return root
}

async function ensureIssuing(ports: GenesisPorts, vault: Vault, root: CaRecord): Promise<CaRecord> {
  const issuing = currentCa(ports.registry.cas(), 'issuing') ?? (await makeIssuing(ports, vault, root))
  publishCas(ports)
  return issuing
}

async function makeRoot(ports: GenesisPorts, vault: Vault): Promise<CaRecord> {
  const key = await ensureKey(ports, vault, ROOT, ports.profiles.root)
  const name = encodeName({ organization: ports.organization, commonName: `${ports.organization} Root` })
  return record(ports, { name: ROOT, role: 'root', state: 'current', der: await certify(ports, { profile: ports.profiles.root, key, subjectDer: name, signer: openSigner(key) }) })
}

async function makeIssuing(ports: GenesisPorts, vault: Vault, root: CaRecord): Promise<CaRecord> {
  const rootKey = await openKey(ports, vault, root)
  const key = await ensureKey(ports, vault, ISSUING, ports.profiles.issuing)
  const name = issuingName(ports, root.der, 1)
  return record(ports, { name: ISSUING, role: 'issuing', state: 'current', der: await certify(ports, { profile: ports.profiles.issuing, key, subjectDer: name, signer: openSigner(rootKey), issuer: root.der }) })
}

/** The subject of an issuing CA: below the name that its root permits, where it permits no others. */
export function issuingName({ organization }: Pick<GenesisPorts, 'organization'>, root: Uint8Array, number: number): Uint8Array {
  const base = permittedBase(root)
  const commonName = `${organization} Issuing ${number}`
  return base === undefined ? encodeName({ organization, commonName }) : encodeNameBelow(base, commonName)
}

/** What a CA certificate is made of. */
export interface CaToCertify {
  readonly profile: Profile
  /** Private or public. */
  readonly key: KeyObject
  readonly subjectDer: Uint8Array
  readonly signer: Signer
  /** The issuer's certificate; without one it is self-signed. */
  readonly issuer?: Uint8Array
  /** The name (DER) below which it permits subjects, critically; without one it permits any. */
  readonly permitted?: Uint8Array | undefined
  /** For a key that has a certificate already: the serial number that is planned, the identifier by which the key is known, and an end. */
  readonly again?: { readonly serial: SerialNumber; readonly subjectKeyId: string; readonly notBefore: EpochMs; readonly notAfter: EpochMs }
}

/** A CA certificate, linted and verified. Failures: 'certificate-unusable', 'issuance-mismatch'. */
export async function certify(ports: GenesisPorts, { profile, key, subjectDer, signer, issuer: issuerCertificate, permitted, again }: CaToCertify): Promise<Uint8Array> {
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
    permitted,
  })({
    serial: again === undefined ? newSerial(ports.random) : Buffer.from(again.serial, 'hex'),
    ...(again === undefined ? {} : { subjectKeyId: Buffer.from(again.subjectKeyId, 'hex') }),
    notBefore: again?.notBefore ?? seconds(Math.max(now - CA_LIMITS.backdateMs, issuerFacts?.value.notBefore ?? 0)),
    notAfter: again?.notAfter ?? seconds(Math.min(now + profile.validityMs, issuerFacts?.value.notAfter ?? Number.POSITIVE_INFINITY)),
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
  readonly state: CaState
  /** The device ids that it may name; absent where it may name any. */
  readonly ids?: CaIds
}

/** Records CAs, all of them or none. Failures: 'certificate-unusable', 'refused'. */
export async function recordCas(ports: Pick<GenesisPorts, 'registry' | 'clock' | 'actor'>, found: readonly NewCa[]): Promise<void> {
  const at = ports.clock()
  const cas = found.map(({ name, role, der, state, ids }): CaRecord => {
    const parts = certificateParts(der)
    if (!parts.allow) throw new SallyportError('certificate-unusable', `The certificate of ${name} cannot be read: ${parts.detail ?? parts.reason}.`)
    return { name, role, tenant: DEFAULT_TENANT, der, spkiSha256: keyHash(parts.value.spki.raw), createdAt: at, state, since: at, ...(ids === undefined ? {} : { ids }) }
  })
  const committed = await ports.registry.commit(
    cas.map((ca) => ({ kind: 'ca-added', ca })),
    cas.map(({ spkiSha256 }) => ({ kind: 'key-free', spkiSha256 })),
    cas.map(({ name, ids }) => ({ kind: 'ca-added', at, ca: name, actor: ports.actor, ...(ids === undefined ? {} : { ids }) })),
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
export async function ensureKey(ports: GenesisPorts, vault: Vault, name: CaName, profile: Profile): Promise<KeyObject> {
  const file = path.join(ports.paths.local, keyFileOf(name))
  if (existsSync(file)) return unseal(vault, file)
  const key = generateKey(profile.key)
  writeSecretFile(file, await sealKey(key, vault.passphrase()))
  vault.opened.set(file, key)
  return key
}

/** The file is looked at in any case: one that others may read is refused, whatever is in memory. */
export async function unseal(vault: Vault, file: string): Promise<KeyObject> {
  const text = readSecretFile(file).toString('utf8')
  const key = vault.opened.get(file) ?? (await unsealKey(text, vault.passphrase(), file))
  vault.opened.set(file, key)
  return key
}

/** The key of a recorded CA: it must fit the certificate. */
export async function openKey(ports: GenesisPorts, vault: Vault, ca: CaRecord): Promise<KeyObject> {
  const file = path.join(ports.paths.local, keyFileOf(ca.name))
  const key = await unseal(vault, file)
  if (keyHash(spkiOf(key)) !== ca.spkiSha256) throw new SallyportError('key-unreadable', `The key in ${file} does not belong to the recorded certificate of ${ca.name}.`, { fix: 'Restore certs/local and data from the same backup.' })
  return key
}

function writePublic(file: string, text: string): void {
  if (existsSync(file) && readFileSync(file, 'utf8') === text) return
  writeSecretFile(file, text, PUBLIC_MODE)
}

// The first start of an organisation, and every later one: root → issuing → server and operator. Each step looks at what is
// recorded and does what is missing, so that a process killed anywhere goes on where it was. The registry holds the
// certificates; the PEM files are written from it. Keys are made, sealed and written before anything refers to them.

import type { KeyObject } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import type { Actor } from '../core/audit.ts'
import { SallyportError, refused } from '../core/errors.ts'
import { DEFAULT_TENANT, type CaName, type EpochMs } from '../core/ids.ts'
import type { CaRecord, Registry } from '../core/registry.ts'
import { CA_LIMITS } from '../limits.ts'
import { certificateParts, parseCertificate } from '../x509/certificate.ts'
import { generateKey, keyHash, spkiOf } from '../x509/keys.ts'
import { encodeName } from '../x509/names.ts'
import { encodePem } from '../x509/pem.ts'
import { joinCertificate, openTemplate, subjectKeyId } from '../x509/template.ts'
import { newSerial, openAuthority, type Authority } from './issue.ts'
import { openPassphrase, readSecretFile, sealKey, unsealKey, writeSecretFile } from './key-file.ts'
import { ensureCredential } from './credentials.ts'
import type { Profile, Profiles } from './profiles.ts'
import { openSigner, type Signer } from './signer.ts'

export const ROOT = 'root' as CaName
export const ISSUING = 'issuing-1' as CaName

/** Where the organisation's PKI lives; `local` is certs/local of a home. */
export interface CaPaths {
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
}

export interface Organisation {
  readonly root: CaRecord
  readonly issuing: CaRecord
  readonly authority: Authority
}

const PUBLIC_MODE = 0o644

/** Is there an organisation in this home already? */
export function isInitialized(registry: Registry): boolean {
  return registry.cas().some((ca) => ca.name === ISSUING)
}

/** Makes what is missing of an organisation and opens it. Failures: 'key-unreadable', 'key-permissions', 'passphrase-wrong'. */
export async function openOrganisation(ports: GenesisPorts): Promise<Organisation> {
  const organisation = await openAuthorityOnly(ports, true)
  await ensureCredential('server', organisation, ports)
  await ensureCredential('operator', organisation, ports)
  return organisation
}

/** Opens the CA itself, without touching server and operator credentials. With `mayMake`, makes it where there is none. */
export async function openAuthorityOnly(ports: GenesisPorts, mayMake: boolean): Promise<Organisation> {
  const initialized = isInitialized(ports.registry)
  if (!initialized && !mayMake) throw new SallyportError('home-empty', 'There is no certificate authority in this home yet.', { fix: 'Make one: sallyport ca init, or start the server: sallyport serve.' })
  const passphrase = openPassphrase(ports.paths.passphrase, !initialized)
  const root = await ensureRoot(ports, passphrase)
  const issuing = await ensureIssuing(ports, passphrase, root)
  const key = await openKey(ports, passphrase, 'issuing.key', issuing)
  const authority = openAuthority({ registry: ports.registry, signer: openSigner(key), issuer: issuing, profiles: ports.profiles, clock: ports.clock, random: ports.random })
  return { root, issuing, authority }
}

async function ensureRoot(ports: GenesisPorts, passphrase: Uint8Array): Promise<CaRecord> {
  const recorded = ports.registry.cas().find((ca) => ca.name === ROOT)
  const root = recorded ?? (await makeRoot(ports, passphrase))
  writePublic(path.join(ports.paths.local, 'root.pem'), encodePem('CERTIFICATE', root.der))
  return root
}

async function ensureIssuing(ports: GenesisPorts, passphrase: Uint8Array, root: CaRecord): Promise<CaRecord> {
  const recorded = ports.registry.cas().find((ca) => ca.name === ISSUING)
  const issuing = recorded ?? (await makeIssuing(ports, passphrase, root))
  writePublic(path.join(ports.paths.local, 'issuing.pem'), encodePem('CERTIFICATE', issuing.der))
  return issuing
}

async function makeRoot(ports: GenesisPorts, passphrase: Uint8Array): Promise<CaRecord> {
  const key = await ensureKey(ports, passphrase, 'root.key', ports.profiles.root)
  const name = encodeName({ organization: ports.organization, commonName: `${ports.organization} Root` })
  return record(ports, ROOT, 'root', await certify(ports, ports.profiles.root, key, name, openSigner(key), undefined))
}

async function makeIssuing(ports: GenesisPorts, passphrase: Uint8Array, root: CaRecord): Promise<CaRecord> {
  const rootKey = await openKey(ports, passphrase, 'root.key', root)
  const key = await ensureKey(ports, passphrase, 'issuing.key', ports.profiles.issuing)
  const name = encodeName({ organization: ports.organization, commonName: `${ports.organization} Issuing 1` })
  return record(ports, ISSUING, 'issuing', await certify(ports, ports.profiles.issuing, key, name, openSigner(rootKey), root.der))
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
  return joinCertificate(tbs, signer.signatureIdentifier, await signer.sign(tbs))
}

/** Records a CA. Its key is on disk already. */
export async function record(ports: Pick<GenesisPorts, 'registry' | 'clock' | 'actor'>, name: CaName, role: CaRecord['role'], der: Uint8Array): Promise<CaRecord> {
  const parts = certificateParts(der)
  if (!parts.allow) throw new SallyportError('certificate-unusable', `The certificate of ${name} cannot be read: ${parts.detail ?? parts.reason}.`)
  const now = ports.clock()
  const ca: CaRecord = { name, role, tenant: DEFAULT_TENANT, der, spkiSha256: keyHash(parts.value.spki.raw), createdAt: now }
  const committed = await ports.registry.commit([{ kind: 'ca-added', ca }], [{ kind: 'key-free', spkiSha256: ca.spkiSha256 }], [{ kind: 'ca-added', at: now, ca: name, actor: ports.actor }])
  if (!committed.allow) throw refused(committed, `The CA ${name} could not be recorded (${committed.reason}).`)
  return ca
}

/** The key of a CA that is not recorded yet: the one an interrupted start left behind, or a new one. */
async function ensureKey(ports: GenesisPorts, passphrase: Uint8Array, name: string, profile: Profile): Promise<KeyObject> {
  const file = path.join(ports.paths.local, name)
  if (existsSync(file)) return unsealKey(readSecretFile(file).toString('utf8'), passphrase, file)
  const key = generateKey(profile.key)
  writeSecretFile(file, await sealKey(key, passphrase))
  return key
}

/** The key of a recorded CA: it must fit the certificate. */
async function openKey(ports: GenesisPorts, passphrase: Uint8Array, name: string, ca: CaRecord): Promise<KeyObject> {
  const file = path.join(ports.paths.local, name)
  const key = await unsealKey(readSecretFile(file).toString('utf8'), passphrase, file)
  if (keyHash(spkiOf(key)) !== ca.spkiSha256) throw new SallyportError('key-unreadable', `The key in ${file} does not belong to the recorded certificate of ${ca.name}.`, { fix: 'Restore certs/local and data from the same backup.' })
  return key
}

function writePublic(file: string, text: string): void {
  if (existsSync(file) && readFileSync(file, 'utf8') === text) return
  writeSecretFile(file, text, PUBLIC_MODE)
}

// Bringing one's own CA: a root with its key, or an issuing CA with its key and the chain to its root. What cannot work
// later is refused now, with the reason; nothing is written before everything is known to be good.

import { createPrivateKey, type KeyObject } from 'node:crypto'
import path from 'node:path'
import type { CaIds } from '../core/ca-names.ts'
import { deviceNameOf, judgeIssuer } from '../core/certificate-rules.ts'
import type { CertificateFacts } from '../core/certificate.ts'
import { judgeNames } from '../core/name-constraints.ts'
import { SallyportError } from '../core/errors.ts'
import { certificateParts, parseCertificate } from '../x509/certificate.ts'
import { readDer } from '../x509/der.ts'
import { keyHash, openPublicKey, spkiOf } from '../x509/keys.ts'
import { readName } from '../x509/names.ts'
import { decodePem } from '../x509/pem.ts'
import { isCertificateSignedBy } from '../x509/signatures.ts'
import { credentialNames } from './credentials.ts'
import { ISSUING, recordCas, ROOT, type GenesisPorts } from './genesis.ts'
import { openPassphrase, sealKey, writeSecretFile } from './key-file.ts'
import { openNameRules } from './name-rules.ts'
import { readIssuer, subjectOf, type IssuerCertificate } from './tbs.ts'

export interface CaImport {
  /** PEM: the CA certificate; certificates after the first count as chain. */
  readonly cert: string
  /** PEM: PKCS#8, PKCS#1 or SEC 1; encrypted when `keyPassphrase` is given. */
  readonly key: string
  readonly keyPassphrase?: string
  /** PEM: the rest of the chain, up to and with the root. */
  readonly chain?: string | undefined
}

interface Opened {
  readonly der: Uint8Array
  readonly facts: CertificateFacts
}

const unusable = (what: string, fix: string): SallyportError => new SallyportError('certificate-unusable', what, { fix })

/** Records the CA and seals its key. A root becomes "root"; an issuing CA "issuing-1", with its root beside it. */
export async function importCa(source: CaImport, ports: GenesisPorts): Promise<'root' | 'issuing'> {
  // Also where a first start was interrupted and only the root is there: its key must not be written over.
  if (ports.registry.cas().some(({ name }) => name === ROOT || name === ISSUING)) throw new SallyportError('refused', 'This home has a certificate authority already.', { fix: 'Go on with it: sallyport serve; or import into an empty home: --home DIR.' })
  const [ca, ...rest] = [...open(source.cert, 'the CA certificate'), ...(source.chain === undefined ? [] : open(source.chain, 'the chain'))]
  if (ca === undefined) throw unusable('There is no CA certificate to import.', 'Name a PEM file with --import-cert.')
  const key = openKey(source)
  judge(ca, key, ports)
  const selfSigned = ca.facts.issuerDerHex === ca.facts.subjectDerHex
  if (selfSigned) {
    const { pathLength } = ca.facts.basicConstraints ?? {}
    if (pathLength === 0) throw unusable('This root may not sign issuing CAs (path length 0).', 'Import a root with path length 1 or more, or an issuing CA.')
    verifySignature(ca, ca, 'The root')
    await seal(key, 'root.key', ports)
    await recordCas(ports, [{ name: ROOT, role: 'root', state: 'current', der: ca.der }])
    return 'root'
  }
  const root = climb(ca, rest, ports)
  checkNames({ name: ISSUING, der: ca.der, root: root.der }, ports)
  await seal(key, 'issuing.key', ports)
  // Together: a root without its key, and without an issuing CA, is an organisation that cannot go on.
  await recordCas(ports, [{ name: ROOT, role: 'root', state: 'current', der: root.der }, { name: ISSUING, role: 'issuing', state: 'current', der: ca.der }])
  return 'issuing'
}

/**
 * Is this a certificate for `key` that can issue here, below one of these roots or one of its own chain? Nothing is written.
 * Failure: 'certificate-unusable'.
 */
export function checkImported(source: Pick<CaImport, 'cert' | 'chain'>, key: KeyObject, ports: GenesisPorts, roots: readonly { readonly der: Uint8Array }[]): { readonly ca: Uint8Array; readonly root: Uint8Array } {
  const [ca, ...rest] = [...open(source.cert, 'the CA certificate'), ...(source.chain === undefined ? [] : open(source.chain, 'the chain'))]
  if (ca === undefined) throw unusable('There is no CA certificate to import.', 'Name a PEM file with --cert.')
  judge(ca, key, ports)
  if (ca.facts.issuerDerHex === ca.facts.subjectDerHex) throw unusable('This is a root.', 'Have the request signed by the CA that stands above it.')
  // Ours first: a root that is known here is not recorded a second time.
  const known = roots.map(({ der }) => readOne(der, 'a root of this home'))
  return { ca: ca.der, root: climb(ca, [...known, ...rest], ports).der }
}

/**
 * Can this CA name what it is for: a device, this server with all its hosts, an operator, its responder? Everybody who verifies would
 * refuse what it may not name, and first of all our own door. Failure: 'certificate-unusable'.
 */
export function checkNames(issuer: IssuerCertificate, ports: Pick<GenesisPorts, 'organization' | 'hosts'>): void {
  const opened = readIssuer(issuer)
  const device = exampleOf(issuer.ids)
  const subject = readDer(subjectOf({ commonName: device }, opened))
  const named = deviceNameOf({ subject: (subject.allow ? readName(subject.value) : undefined) ?? [] })
  if (!named.allow) throw unusable(`The name below which this CA permits subjects is no place for a device: ${named.reason}.`, 'Have it issued with a permitted directory name of one attribute per RDN, and without a common name.')
  const judge = openNameRules(issuer, opened)
  for (const asked of [{ commonName: device, device: named.value }, ...credentialNames(ports)]) {
    const judged = judge(asked)
    if (!judged.allow) throw unusable(`The name constraints of this CA leave no room for ${asked.commonName}: ${judged.detail ?? judged.reason}.`, 'Have it issued for the names of devices and of this server (hosts: in sallyport.yaml), or without constraints.')
  }
}

/** An id that fits the first pattern. */
function exampleOf(ids: CaIds): string {
  const [pattern = 'd'] = ids ?? []
  return pattern.startsWith('*') ? `d${pattern.replaceAll('*', '')}` : pattern.replaceAll('*', '')
}

async function seal(key: KeyObject, name: string, { paths }: GenesisPorts): Promise<void> {
  writeSecretFile(path.join(paths.local, name), await sealKey(key, openPassphrase(paths.passphrase, true)))
}

function open(pem: string, what: string): readonly Opened[] {
  const blocks = decodePem(pem, 'CERTIFICATE')
  if (!blocks.allow) throw unusable(`${what} is not PEM: ${blocks.detail ?? ''}.`, 'Convert it: openssl x509 -in FILE -outform PEM.')
  return blocks.value.map((der) => readOne(der, what))
}

function readOne(der: Uint8Array, what: string): Opened {
  const facts = parseCertificate(der)
  if (!facts.allow) throw unusable(`${what} cannot be read: ${facts.detail ?? facts.reason}.`, 'It must be one DER certificate as RFC 5280 describes it.')
  return { der, facts: facts.value }
}

function openKey(source: CaImport): KeyObject {
  try {
    return createPrivateKey(source.keyPassphrase === undefined ? source.key : { key: source.key, passphrase: source.keyPassphrase })
  } catch {
    throw new SallyportError('key-unreadable', 'The CA key cannot be read, or its passphrase is wrong.', { fix: 'Give an unencrypted PEM key of mode 0600, or its passphrase in the file that --import-key-passphrase-file names.' })
  }
}

function judge(ca: Opened, key: KeyObject, ports: GenesisPorts): void {
  const judged = judgeIssuer(ca.facts, 0, ports.clock())
  if (!judged.allow) throw unusable(`This certificate cannot be a CA here: ${judged.reason}${judged.detail === undefined ? '' : ` (${judged.detail})`}.`, 'See docs/reasons.md for the reason.')
  if (ca.facts.subjectKeyId === undefined) throw unusable('This CA certificate has no subject key identifier.', 'Issue it again with the extension that RFC 5280 demands of CAs.')
  if (keyHash(spkiOf(key)) !== ca.facts.key.spkiSha256) throw unusable('The key does not belong to the CA certificate.', 'Name the key that the certificate was made for.')
}

/** The root above an issuing CA. This version serves exactly one issuing CA directly below its root. */
function climb(ca: Opened, chain: readonly Opened[], ports: GenesisPorts): Opened {
  const named = chain.filter((c) => c.facts.subjectDerHex === ca.facts.issuerDerHex)
  // A root that was renewed has two certificates of one name.
  const root = named.find((c) => isSignedBy(ca, c)) ?? named[0]
  if (root === undefined) throw unusable('The certificate above this CA is missing.', 'Name the chain up to the root with --import-chain.')
  if (root.facts.subjectDerHex !== root.facts.issuerDerHex) throw unusable('The CA above this one is not a root.', 'Import an issuing CA that its root signed directly.')
  verifySignature(ca, root, 'The issuing CA')
  verifySignature(root, root, 'The root')
  const judged = judgeIssuer(root.facts, 1, ports.clock())
  if (!judged.allow) throw unusable(`The root cannot be used: ${judged.reason}${judged.detail === undefined ? '' : ` (${judged.detail})`}.`, 'See docs/reasons.md for the reason.')
  const allowed = judgeNames(ca.facts, root.facts)
  if (!allowed.allow) throw unusable(`The root does not allow this CA: ${allowed.reason} (${allowed.detail ?? ''}).`, 'Import an issuing CA that is within the constraints of its root.')
  return root
}

function isSignedBy(child: Opened, issuer: Opened): boolean {
  const parts = certificateParts(issuer.der)
  const key = parts.allow ? openPublicKey(parts.value.spki.raw) : undefined
  return key !== undefined && isCertificateSignedBy(child.der, key)
}

function verifySignature(child: Opened, issuer: Opened, what: string): void {
  if (!isSignedBy(child, issuer)) throw unusable(`${what} is not signed by the certificate that should have signed it.`, 'Name the right chain with --import-chain.')
}

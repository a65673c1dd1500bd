// CAs of others: the files that the configuration names become trusted CAs, whose names are bound to their keys in the
// registry; and at the first sight of one of their certificates, its device is registered where the identity rule says so,
// and the certificate recorded, so that it can be revoked like any other.

import type { Peer } from './broker/peer.ts'
import { recordCas } from './ca/genesis.ts'
import type { Config } from './config.ts'
import { CONFIG_LIMITS } from './config-limits.ts'
import { readPlainFile, whyUnread } from './config/plain-file.ts'
import type { AuditEvent } from './core/audit.ts'
import { allow, deny, type Decision } from './core/decision.ts'
import { SallyportError } from './core/errors.ts'
import { DEFAULT_TENANT, type EpochMs } from './core/ids.ts'
import type { CaRecord, Change, Expectation } from './core/registry.ts'
import type { OpenHome } from './home.ts'
import { CA_LIMITS } from './limits.ts'
import { parseCertificate } from './x509/certificate.ts'
import { openTrust } from './x509/chain.ts'
import { decodePem } from './x509/pem.ts'

/** A CA that the configuration trusts now. That the registry has it says only that its name is taken. */
export type ForeignCa = Pick<CaRecord, 'name' | 'tenant' | 'der' | 'spkiSha256'> & { readonly role: 'trusted'; readonly enrollsOnly: boolean }

/**
 * Reads the CAs that the configuration trusts. A certificate is recorded under the name of its CA: a name that went over to
 * another key, or a key that got a second name, would make two certificates one, or give a revoked one a new life. Failure:
 * 'config-invalid' for a file that is not one CA certificate, and for a name or a key that `recorded` has otherwise.
 */
export function readForeignCas(trust: Config['trust'], recorded: readonly Pick<CaRecord, 'name' | 'spkiSha256'>[]): readonly ForeignCa[] {
  const read: ForeignCa[] = []
  for (const { name, file, enrollsOnly } of trust) {
    const invalid = (problem: string, fix = 'Correct trust: in sallyport.yaml.'): SallyportError => new SallyportError('config-invalid', `The trusted CA ${name}: ${problem}`, { fix })
    const blocks = decodePem(textOf(file, invalid), 'CERTIFICATE')
    const [der, ...more] = blocks.allow ? blocks.value : []
    if (der === undefined) throw invalid(`${file} is not a PEM certificate.`)
    if (more.length > 0) throw invalid(`${file} holds ${more.length + 1} certificates.`, 'Give every CA a file and a name of its own in trust: of sallyport.yaml.')
    const facts = parseCertificate(der)
    if (!facts.allow || facts.value.basicConstraints?.ca !== true) throw invalid(`${file} is not the certificate of a CA.`)
    const { spkiSha256 } = facts.value.key
    const known = [...recorded, ...read]
    const named = known.find((ca) => ca.name === name)
    if (named !== undefined && named.spkiSha256 !== spkiSha256) throw invalid(`the name ${name} belongs to another key.`, 'Give the new CA a name of its own.')
    const keyed = known.find((ca) => ca.spkiSha256 === spkiSha256 && ca.name !== name)
    if (keyed !== undefined) throw invalid(`its key is that of the CA ${keyed.name}.`, `A CA has one name: use ${keyed.name}, or remove the entry when that CA is our own.`)
    const ca: ForeignCa = { name, role: 'trusted', tenant: DEFAULT_TENANT, der, spkiSha256, enrollsOnly }
    try {
      openTrust([ca])
    } catch {
      throw invalid(`${file} is a certificate that OpenSSL cannot use.`)
    }
    read.push(ca)
  }
  return read
}

function textOf(file: string, invalid: (problem: string) => SallyportError): string {
  try {
    return readPlainFile(file, CONFIG_LIMITS.pemBytesMax)
  } catch (cause) {
    throw invalid(`${file} cannot be read: ${whyUnread(cause)}.`)
  }
}

/** Binds the names of trusted CAs to their keys, for good. Failure: 'config-invalid' when a key is that of a certificate. */
export async function recordForeignCas(home: Pick<OpenHome, 'registry' | 'genesis'>, cas: readonly ForeignCa[]): Promise<void> {
  const recorded = new Set(home.registry.cas().map((ca) => ca.name))
  const fresh = cas.filter((ca) => !recorded.has(ca.name))
  if (fresh.length === 0) return
  try {
    await recordCas(home.genesis({ kind: 'system' }), fresh.map(({ name, role, tenant, der, spkiSha256 }) => ({ name, role, tenant, der, spkiSha256, state: 'trusted' })))
  } catch (cause) {
    if (!(cause instanceof SallyportError) || cause.code !== 'refused') throw cause
    throw new SallyportError('config-invalid', cause.message, { fix: 'Correct trust: in sallyport.yaml; the key of a device is not that of a CA.', cause })
  }
}

/**
 * Records a certificate at its first sight. Reasons: device-unknown when only known devices may come, device-issuer-mismatch
 * for a device of another CA, device-<state>, certificates-limit, key-in-use, and whatever else the registry refuses.
 */
export async function observeForeign(home: Pick<OpenHome, 'registry' | 'view'>, peer: Peer, clock: () => EpochMs): Promise<Decision<void>> {
  if (peer.firstSight === undefined) return allow(undefined)
  const first = await observe(home, peer, peer.firstSight, clock())
  // Two connections of one new device race to be first. With one certificate, whoever comes second finds it done; with two,
  // it finds the device, and is judged by it.
  return !first.allow && first.reason === 'device-exists' ? observe(home, peer, peer.firstSight, clock()) : first
}

async function observe(home: Pick<OpenHome, 'registry' | 'view'>, peer: Peer, { facts, tenant, register, groups }: NonNullable<Peer['firstSight']>, now: EpochMs): Promise<Decision<void>> {
  const { issuer, serial, sha256, device, leaf } = peer
  const known = home.view.device(device)
  if (known === undefined && register === 'known') return deny('device-unknown', device)
  const changes: Change[] = []
  const audit: AuditEvent[] = []
  const expected: Expectation[] = []
  if (known === undefined) {
    changes.push({ kind: 'device-added', device: { id: device, tenant, groups, attributes: {}, state: 'active', createdAt: now, revision: 1 } })
    audit.push({ kind: 'device-added', at: now, device, actor: { kind: 'device', name: device } })
  } else expected.push({ kind: 'device-state', id: device, states: ['active'] })
  expected.push(
    { kind: 'device-issuer', device, issuer },
    { kind: 'key-free', spkiSha256: facts.key.spkiSha256, device },
    { kind: 'certificates-in-force', device, max: CA_LIMITS.certificatesInForceMax, now },
  )
  changes.push({
    kind: 'certificate-observed', der: leaf,
    certificate: { issuer, serial, profile: 'device', device, state: 'active', spkiSha256: facts.key.spkiSha256, sha256, notBefore: facts.notBefore, notAfter: facts.notAfter, createdAt: now },
  })
  audit.push({ kind: 'certificate-observed', at: now, issuer, serial, device, sha256 })
  const committed = await home.registry.commit(changes, expected, audit)
  if (!committed.allow && home.view.certificateBySha256(sha256) !== undefined) return allow(undefined)
  return committed.allow ? allow(undefined) : committed
}

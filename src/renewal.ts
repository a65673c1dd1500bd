// Renewal over an open home: the one way to a next certificate for whoever has one, whatever door it is asked for at; and what
// follows when the next certificate is used. It joins the rules of core/renewal with the CA and the registry.

import type { Authority, Issued } from './ca/issue.ts'
import { supersededEvent, type Actor, type Source } from './core/audit.ts'
import type { CertificateFacts } from './core/certificate.ts'
import { allow, deny, type Decision } from './core/decision.ts'
import type { CaName, DeviceId, EpochMs, SerialNumber } from './core/ids.ts'
import { judgeRenewal, planFirstUse, type RenewalRules } from './core/renewal.ts'
import type { CertificateRecord, Registry, RegistryView } from './core/registry.ts'
import { openRates } from './core/rates.ts'
import { readRequest, type AskedHow } from './est-request.ts'
import { openLines } from './lines.ts'
import { RENEWAL_LIMITS } from './renewal-limits.ts'
import { parseCertificate } from './x509/certificate.ts'
import { underKey } from './x509/csr.ts'
import { generateKeyAside, privateKeyDer, type KeyKind } from './x509/keys.ts'

export interface RenewalRequest extends Omit<AskedHow, 'serverKey'> {
  /** PEM or DER. */
  readonly csr: string | Uint8Array
  /** The certificate, DER, with which the requester has proved who it is: the holder of its key, and nobody else. */
  readonly presented: Uint8Array
  /** A door for renewals alone, at which a certificate may be shown that expired a while ago. */
  readonly mayBeLate: boolean
  /** The key is to be made here, and handed to who asks from there. */
  readonly serverKey?: { readonly kind: KeyKind; readonly source: Source }
}

export interface Renewed extends Issued {
  readonly device: DeviceId
  /** The certificates of the issuing CAs, DER, leaf side first, without the root. */
  readonly chain: readonly Uint8Array[]
  /** PKCS#8, where it was made here. It is kept nowhere. */
  readonly key?: Uint8Array
}

export interface Renewal {
  /**
   * The next certificate of this device, which waits for its first use. Asked again with the same key, before that use: the same
   * certificate. Reasons: those of `readRequest`, `judgeRenewal` and `Authority.issue`, renewal-rate.
   */
  renew(request: RenewalRequest): Promise<Decision<Renewed>>
  /**
   * Somebody has proved to hold the key of this certificate. Where it waited for its first use it is in force from here on, and
   * those that it replaces are superseded, in one commit. Never rejects: where the registry fails, everything stays as it was
   * until the next use. Nothing is done, and nothing read from a disk, for a certificate that does not wait.
   */
  used(certificate: { readonly issuer: CaName; readonly serial: SerialNumber }): Promise<void>
}

export interface RenewalPorts {
  readonly registry: Registry
  readonly view: RegistryView
  readonly authority: Authority
  readonly rules: () => RenewalRules
  readonly clock: () => EpochMs
  readonly log: (level: 'warn', facts: Readonly<Record<string, unknown>>, message: string) => void
}

const RATE = { perSecond: RENEWAL_LIMITS.perSecond, burst: RENEWAL_LIMITS.burst }

export function openRenewal(ports: RenewalPorts): Renewal {
  const { registry, view, authority, clock } = ports
  const withinRate = openRates(RATE, RENEWAL_LIMITS.devicesTrackedMax)
  /** One after the other: of two keys that a device asks for at once the later is the one that it gets to keep. */
  const inLine = openLines()
  /** First uses on their way to the registry. */
  const using = new Map<string, Promise<void>>()

  async function renew({ presented, ...asked }: RenewalRequest): Promise<Decision<Renewed>> {
    const certificate = parseCertificate(presented)
    if (!certificate.allow) return certificate
    const record = view.certificateBySha256(certificate.value.sha256)
    const device = record?.device
    if (record === undefined) return deny('certificate-unrecorded')
    if (device === undefined) return deny('certificate-purpose', `profile ${record.profile}`)
    // Before anything is parsed that the requester may choose.
    if (!withinRate(device, clock())) return deny('renewal-rate')
    return inLine(device, () => renewInTurn(device, certificate.value, asked))
  }

  async function renewInTurn(id: DeviceId, presented: CertificateFacts, { csr, mayBeLate, binding, serverKey }: Omit<RenewalRequest, 'presented'>): Promise<Decision<Renewed>> {
    const parsed = readRequest(csr, { ...(binding === undefined ? {} : { binding }), ...(serverKey === undefined ? {} : { serverKey: serverKey.kind }) })
    if (!parsed.allow) return parsed
    const key = serverKey === undefined ? undefined : await generateKeyAside(serverKey.kind)
    const asked = key === undefined ? parsed.value : underKey(parsed.value, key)
    const actor: Actor = { kind: 'device', name: id }
    const judge = () => {
      const record = view.certificateBySha256(presented.sha256)
      return judgeRenewal({
        csr: asked, presented, record, mayBeLate,
        device: view.device(id),
        ofDevice: view.certificatesOf(id),
        isOurs: registry.cas().some(({ name, role }) => name === record?.issuer && role !== 'trusted'),
        now: clock(),
        rules: ports.rules(),
      })
    }
    const first = judge()
    if (!first.allow) return first
    // Who may renew with a certificate that waits for its first use has just used it.
    const record = view.certificateBySha256(presented.sha256)
    if (record?.state === 'issued') await used(record)
    const plan = judge()
    if (!plan.allow) return plan
    const { spki, ends } = plan.value
    // What is revoked meanwhile has no next one; and the next one came the way that this one came.
    const expected = record === undefined ? [] : [{ kind: 'certificate-state', issuer: record.issuer, serial: record.serial, states: ['issued', 'active'] } as const]
    const made = serverKey === undefined ? [] : [{ kind: 'server-key-made', at: clock(), device: id, source: serverKey.source, actor } as const]
    const issued = await authority.issue({ profile: 'device', commonName: id, device: id, spki, state: 'issued', ends, through: record?.through, along: { changes: [], audit: made, expected } }, actor)
    return issued.allow ? allow({ ...issued.value, device: id, chain: [authority.issuerDer], ...(key === undefined ? {} : { key: privateKeyDer(key) }) }) : issued
  }

  function used({ issuer, serial }: { readonly issuer: CaName; readonly serial: SerialNumber }): Promise<void> {
    const record = view.certificate(issuer, serial)
    if (record?.state !== 'issued') return Promise.resolve()
    const name = `${issuer}/${serial}`
    const running = using.get(name)
    if (running !== undefined) return running
    const started = putInForce(record).finally(() => using.delete(name))
    using.set(name, started)
    return started
  }

  async function putInForce(record: CertificateRecord): Promise<void> {
    const { device, issuer, serial } = record
    if (device === undefined) return
    const at = clock()
    const actor: Actor = { kind: 'device', name: device }
    try {
      // Of the registry, not of the view: an older one that was expired by a clock that was ahead at the start would stay in force.
      const plan = planFirstUse(record, registry.standingCertificates(device))
      if (plan === undefined) return
      const committed = await registry.commit(plan.changes, plan.expected, [
        { kind: 'certificate-activated', at, issuer, serial, device, actor },
        ...plan.superseded.map((old) => supersededEvent(old, serial, at, actor)),
      ])
      // One of them changed meanwhile: what it is now is judged at the next use.
      if (!committed.allow) ports.log('warn', { device, serial, reason: committed.reason, detail: committed.detail }, 'a renewed certificate was used, and could not be put in force')
    } catch (cause) {
      ports.log('warn', { device, serial, error: cause instanceof Error ? cause.message : 'unknown' }, 'the registry could not record the first use of a certificate: the older one stays in force until the next')
    }
  }

  return { renew, used }
}

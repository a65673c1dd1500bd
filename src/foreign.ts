// The first sight of a certificate of a trusted foreign CA: its device is registered where the identity rule says so, and
// the certificate recorded, so that it can be revoked like any other.

import { allow, deny, type Decision } from './core/decision.ts'
import type { EpochMs } from './core/ids.ts'
import type { AuditEvent } from './core/audit.ts'
import type { Change } from './core/registry.ts'
import type { Peer } from './broker/peer.ts'
import type { OpenHome } from './home.ts'

/** Reasons: device-unknown when only known devices may come, and whatever the registry refuses. */
export async function observeForeign(home: Pick<OpenHome, 'registry' | 'view'>, peer: Peer, clock: () => EpochMs): Promise<Decision<void>> {
  const { firstSight, issuer, serial, sha256, device, leaf } = peer
  if (firstSight === undefined) return allow(undefined)
  const known = home.view.device(device)
  if (known === undefined && firstSight.register === 'known') return deny('device-unknown', device)
  const now = clock()
  const changes: Change[] = []
  const audit: AuditEvent[] = []
  if (known === undefined) {
    changes.push({ kind: 'device-added', device: { id: device, tenant: firstSight.tenant, groups: firstSight.groups, attributes: {}, state: 'active', createdAt: now, revision: 1 } })
    audit.push({ kind: 'device-added', at: now, device, actor: { kind: 'device', name: device } })
  }
  const { facts } = firstSight
  changes.push({
    kind: 'certificate-observed', der: leaf,
    certificate: { issuer, serial, profile: 'device', device, state: 'active', spkiSha256: facts.key.spkiSha256, sha256, notBefore: facts.notBefore, notAfter: facts.notAfter, createdAt: now },
  })
  audit.push({ kind: 'certificate-observed', at: now, issuer, serial, device, sha256 })
  const committed = await home.registry.commit(changes, [{ kind: 'key-free', spkiSha256: facts.key.spkiSha256, device }], audit)
  // Two connections of one device may race to be first: whoever comes second finds it done.
  if (!committed.allow && home.view.certificateBySha256(sha256) !== undefined) return allow(undefined)
  return committed.allow ? allow(undefined) : committed
}

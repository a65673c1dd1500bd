// The trust of an organisation of the tests: its root, its issuing CA and a trusted CA of somebody else.

import { DEFAULT_TENANT, type CaName, type TenantId } from '../../src/core/ids.ts'
import { openTrust, type Trust, type TrustedCa } from '../../src/x509/chain.ts'
import type { Bytes } from './asn1.ts'
import { makeCa, makeLeaf, NOW, type Plan, type Ca, type CaOptions } from './forge.ts'

export const root = makeCa({ name: 'Root', pathLength: 1 })
export const issuing = makeCa({ name: 'Issuing', under: root, pathLength: 0 })
export const factory = makeCa({ name: 'Factory' })
export const OURS: readonly TrustedCa[] = [
  { name: 'root' as CaName, role: 'root', tenant: DEFAULT_TENANT, der: root.der },
  { name: 'issuing-1' as CaName, role: 'issuing', tenant: DEFAULT_TENANT, der: issuing.der },
  { name: 'factory' as CaName, role: 'trusted', tenant: 'other' as TenantId, der: factory.der },
]
export const trust = openTrust(OURS)

/** 'issuer' of the path, or the reason why there is none. */
export function verdict(presented: readonly Bytes[], of = trust, now = NOW): string {
  const judged = of.judge(presented, now)
  return judged.allow ? `by ${judged.value.issuer}` : judged.reason
}
export const leaf = makeLeaf({ under: issuing })
/** Our trust, with this CA listed as well. */
export const trusting = (name: string, ca: Ca): Trust => openTrust([...OURS, { name: name as CaName, role: 'trusted', tenant: DEFAULT_TENANT, der: ca.der }])
/** A CA below another, in the shape of one that signs leaves. */
export const below = (under: Ca, options: Partial<CaOptions> = {}, change: Partial<Plan> = {}): Ca => makeCa({ name: 'Below', under, ...options }, change)


// All certificates of a device, from the registry. The view holds those that are in force by the clock of its start; who decides about a
// device's past, or ends what it has, reads them here.

import type { DeviceId } from './core/ids.ts'
import type { CertificateRecord, Page, Registry } from './core/registry.ts'
import { REGISTRY_LIMITS } from './limits.ts'

/** Those that have ended, too, in the order of issuer and serial. */
export function allCertificatesOf(registry: Pick<Registry, 'certificates'>, device: DeviceId): readonly CertificateRecord[] {
  const found: CertificateRecord[] = []
  let after: string | undefined
  do {
    const page: Page<CertificateRecord> = registry.certificates({ device, after, limit: REGISTRY_LIMITS.pageSizeMax })
    found.push(...page.items)
    after = page.next
  } while (after !== undefined)
  return found
}

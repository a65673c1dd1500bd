// What an operator has ordered and the registry could not record: a revocation or a suspension must end access at once, and a
// failing disk must not be what keeps a stolen device connected. It is in force here, in memory, until the registry records
// it, the operator takes it back, or the server restarts; whoever ordered it is told that it is not recorded.

import type { DeviceState } from '../core/device.ts'
import type { CaName, DeviceId } from '../core/ids.ts'
import type { CertificateRecord, Change, RegistryView } from '../core/registry.ts'
import { certificateAfter } from './apply.ts'
import { listeners } from '../core/listeners.ts'
import type { FeedRow } from './view.ts'

/** A change that ends access. */
export type Decree = Extract<Change, { readonly kind: 'certificate-revoked' | 'device-state' }>

/**
 * The registry in memory with what is decreed laid over it: the door judges by it. `certificatesOf` says what is recorded, and
 * a device that is to be retired is seen as suspended: nothing that is kept is thrown away for an order that is not recorded.
 */
export interface DecreedView extends RegistryView, Disposable {
  /** In force, and told to everybody who follows, when it returns. There are at most as many as devices and certificates. */
  decree(changes: readonly Decree[]): void
  /** What was decreed for this device, not for its certificates, is taken back. */
  lift(device: DeviceId): void
}

export function openDecreedView(view: RegistryView): DecreedView {
  const devices = new Map<DeviceId, DeviceState>()
  const certificates = new Map<string, Extract<Decree, { kind: 'certificate-revoked' }>>()
  const followers = listeners<FeedRow>()
  const nameOf = (issuer: CaName, serial: string): string => `${issuer}/${serial}`

  const stop = view.onChange((change, sequence) => {
    // From here on the registry speaks for itself, also when a later order is another one.
    if (change.kind === 'certificate-revoked') certificates.delete(nameOf(change.issuer, change.serial))
    if (change.kind === 'device-state') devices.delete(change.id)
    followers.tell({ change, sequence })
  })
  const judged = (record: CertificateRecord | undefined): CertificateRecord | undefined => {
    if (record === undefined || certificates.size === 0) return record
    const decree = certificates.get(nameOf(record.issuer, record.serial))
    const after = decree === undefined ? undefined : certificateAfter(record, decree)
    return after?.allow === true ? after.value : record
  }
  const tell = (change: Decree): void => followers.tell({ change, sequence: view.sequence })

  return {
    get sequence() {
      return view.sequence
    },
    device(id) {
      const device = view.device(id)
      const state = devices.get(id)
      return device === undefined || state === undefined ? device : { ...device, state }
    },
    certificate: (issuer, serial) => judged(view.certificate(issuer, serial)),
    certificateBySha256: (sha256) => judged(view.certificateBySha256(sha256)),
    certificatesOf: (device) => view.certificatesOf(device),
    operatorOf: (certificate) => view.operatorOf(certificate),
    onChange: (listener) => followers.add(({ change, sequence }) => listener(change, sequence)),
    decree(changes) {
      for (const change of changes) {
        if (change.kind === 'certificate-revoked') certificates.set(nameOf(change.issuer, change.serial), change)
        else devices.set(change.id, change.state === 'retired' ? 'suspended' : change.state)
      }
      changes.forEach(tell)
    },
    lift(device) {
      devices.delete(device)
    },
    [Symbol.dispose]: stop,
  }
}

// Whom the broker is to tell that it is time to renew, over a registry and its view: the rules of core/renewal-hints, with the orders that
// are open and a memory of who was told. The memory is the process's own: after a start the broker may say it once more.

import type { CaName, DeviceId, EpochMs, SerialNumber } from './core/ids.ts'
import type { Registry, RegistryView } from './core/registry.ts'
import { hintFor, type RenewalHint } from './core/renewal-hints.ts'
import type { RenewalOrder } from './core/renewal-orders.ts'
import { RENEWAL_LIMITS } from './renewal-limits.ts'

export interface Hints extends Disposable {
  /** What the device that is connected with this certificate is to be told now; undefined: nothing. Nothing is read from a disk. */
  due(certificate: { readonly issuer: CaName; readonly serial: SerialNumber }): RenewalHint | undefined
  /** It was told. */
  told(device: DeviceId): void
}

export interface HintsPorts {
  readonly registry: Pick<Registry, 'cas' | 'renewalOrders'>
  readonly view: RegistryView
  readonly clock: () => EpochMs
}

export function openHints({ registry, view, clock }: HintsPorts): Hints {
  let orders: readonly RenewalOrder[] = registry.renewalOrders()
  let ours = ourCas()
  const toldAt = new Map<DeviceId, EpochMs>()
  const stop = view.onChange(({ kind }) => {
    if (kind === 'renewal-ordered' || kind === 'renewal-order-ended') orders = registry.renewalOrders()
    if (kind === 'ca-added' || kind === 'ca-state') ours = ourCas()
  })

  function ourCas(): ReadonlySet<CaName> {
    return new Set(registry.cas().filter(({ role }) => role !== 'trusted').map(({ name }) => name))
  }

  return {
    due({ issuer, serial }) {
      const record = view.certificate(issuer, serial)
      if (record?.device === undefined) return undefined
      const { device } = record
      return hintFor({ record, device: view.device(device), ofDevice: view.certificatesOf(device), isOurs: ours.has(issuer), orders, toldAt: toldAt.get(device), now: clock() })
    },
    told(device) {
      toldAt.delete(device)
      toldAt.set(device, clock())
      if (toldAt.size <= RENEWAL_LIMITS.hintedDevicesMax) return
      const oldest = toldAt.keys().next()
      if (oldest.done !== true) toldAt.delete(oldest.value)
    },
    [Symbol.dispose]: stop,
  }
}

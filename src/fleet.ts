// The fleet as the policy sees it, device by device: in ranges that take a bounded time, in slices between which the event
// loop belongs to the broker. Certificates are read only where the policy speaks of them.

import { setImmediate } from 'node:timers/promises'
import type { Device } from './core/device.ts'
import type { CaName, EpochMs } from './core/ids.ts'
import type { PolicyCertificate, Principal } from './core/policy/template.ts'
import type { Registry, RegistryView } from './core/registry.ts'
import { POLICY_LIMITS, REGISTRY_LIMITS } from './limits.ts'
import { parseCertificate } from './x509/certificate.ts'

export interface FleetPorts {
  readonly registry: Pick<Registry, 'devices' | 'certificateDer'>
  readonly view: Pick<RegistryView, 'certificatesOf'>
  /** The CA that a device without a certificate is taken to be of: our own. */
  readonly issuer: CaName
}

export type FleetPrincipal = Principal & { readonly clientId: string }

/** What is known of a device besides the registry's word: how it would connect, when, and as whom. */
export interface Circumstances {
  readonly connection?: Principal['connection']
  readonly now?: EpochMs | undefined
  readonly clientId?: string | undefined
}

/** The device with the newest of its certificates in force. */
export function principalOf({ registry, view, issuer }: FleetPorts, device: Device, { connection, now, clientId = device.id }: Circumstances): FleetPrincipal {
  const record = view.certificatesOf(device.id).findLast(({ state }) => state === 'active')
  const read = once(() => certificateOf(record && registry.certificateDer(record.issuer, record.serial)))
  return {
    device, ca: record?.issuer ?? issuer, clientId, connection, now,
    get certificate() {
      return read()
    },
  }
}

export function certificateOf(der: Uint8Array | undefined): PolicyCertificate | undefined {
  const parsed = der && parseCertificate(der)
  return parsed?.allow === true ? parsed.value : undefined
}

export function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined
  return () => (made ??= { value: make() }).value
}

/** Devices after this one, in the order of their ids. From time to time it waits, and whatever else there is to do is done. */
export async function* devicesAfter({ registry }: Pick<FleetPorts, 'registry'>, after: string | undefined): AsyncGenerator<Device> {
  let slice = performance.now()
  for (let from = after; ;) {
    const page = registry.devices({ after: from, limit: REGISTRY_LIMITS.pageSizeMax })
    for (const device of page.items) {
      yield device
      if (performance.now() - slice < POLICY_LIMITS.fleetSliceMs) continue
      await setImmediate()
      slice = performance.now()
    }
    if (page.next === undefined) return
    from = page.next
  }
}

/** A part of the fleet that was walked through. */
export interface Walked {
  readonly devices: number
  /** Where the next part begins; undefined behind the last device. */
  readonly next?: string
}

/** Visits devices after this one, as many as one request may look at. */
export async function walkFleet(ports: FleetPorts, after: string | undefined, visit: (device: Device) => void | Promise<void>): Promise<Walked> {
  const began = performance.now()
  let devices = 0
  for await (const device of devicesAfter(ports, after)) {
    await visit(device)
    devices++
    if (devices >= POLICY_LIMITS.fleetDevicesPerRequestMax || performance.now() - began > POLICY_LIMITS.fleetRequestMs) return { devices, next: device.id }
  }
  return { devices }
}

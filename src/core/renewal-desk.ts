// What an operator does about renewal: sees what expires, and orders devices, or the program itself, to renew before it does.

import type { ExpiryKind, OwnExpiry } from './expiry.ts'
import type { DeviceId, EpochMs, GroupName } from './ids.ts'
import type { CertificateRecord, Page } from './registry.ts'
import type { RenewalChoice, RenewalOrder } from './renewal-orders.ts'

export interface NewRenewalOrder {
  readonly choice: RenewalChoice
  readonly overMs: number
  /** Only counts. */
  readonly dryRun: boolean
}

export interface RenewalOrdered {
  readonly dryRun: boolean
  /** Undefined where nothing was ordered. */
  readonly id?: string
  readonly devices: number
  /** The first of them. */
  readonly first: readonly DeviceId[]
  /** Those of them that are connected now, with the certificate that is meant. */
  readonly connected: number
}

/** How far an order has come. The three that are left and those that are done are all devices that it means now. */
export interface RenewalProgress extends RenewalOrder {
  /** They have their next certificate and have not connected with it yet. */
  readonly fetched: number
  /** They are connected with the old one. */
  readonly connected: number
  /** They are not, and are told when they come and subscribe. */
  readonly away: number
  /** The rest of those that it meant: renewed, revoked, expired or described otherwise since. */
  readonly done: number
}

export interface ExpiringQuery {
  /** From now on. Of the organisation's own also what has ended already. */
  readonly withinMs: number
  readonly group?: GroupName | undefined
  readonly after?: string | undefined
  readonly limit?: number | undefined
}

/** One certificate of a device that expires, or something of the organisation's own. */
export interface ExpiringShown {
  readonly kind: ExpiryKind | CertificateRecord['profile']
  readonly name: string
  readonly serial?: CertificateRecord['serial']
  readonly notBefore: EpochMs
  readonly notAfter: EpochMs
  /** The next certificate of this device is issued, and waits for its first use. */
  readonly nextWaits?: true
}

/** The organisation's own first, then devices, each soonest first. A page may be short, and even empty, and not be the last. */
export interface ExpiringPage extends Page<ExpiringShown> {
  /** Of all pages; said on the first. */
  readonly counted?: { readonly devices: number; readonly own: number }
}

export type OwnCredential = 'server' | 'operator'

/** Refusals are thrown, as by the rest of the Desk. */
export interface RenewalDesk {
  orderRenewal(order: NewRenewalOrder): Promise<RenewalOrdered>
  renewalOrders(): Promise<readonly RenewalProgress[]>
  /** Who was told has been told; nobody else is. */
  endRenewalOrder(id: string): Promise<void>
  expiring(query: ExpiringQuery): Promise<ExpiringPage>
  /** Issues it anew, and puts it in force without closing a connection. What it replaces stays valid until it ends, or is revoked. */
  renewOwn(credential: OwnCredential): Promise<{ readonly replaced: OwnExpiry; readonly issued: OwnExpiry }>
}

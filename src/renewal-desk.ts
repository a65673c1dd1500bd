// The desk's part about renewal, over an open home: orders to devices, how far they have come, what expires, and the program's own
// credentials issued anew. The registry is read in pages, between which everybody else has a turn.

import { randomBytes } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import type { Actor } from './core/audit.ts'
import { deny } from './core/decision.ts'
import { failureOf, SallyportError } from './core/errors.ts'
import type { OwnExpiry } from './core/expiry.ts'
import type { CaName, DeviceId, EpochMs } from './core/ids.ts'
import type { CertificateRecord, Registry, RegistryView } from './core/registry.ts'
import type { ExpiringPage, ExpiringQuery, ExpiringShown, NewRenewalOrder, OwnCredential, RenewalDesk, RenewalOrdered, RenewalProgress } from './core/renewal-desk.ts'
import { isOrdered, type RenewalChoice, type RenewalOrder } from './core/renewal-orders.ts'
import { endingCertificates, isLast } from './expiry.ts'
import { REGISTRY_LIMITS } from './limits.ts'
import { RENEWAL_LIMITS } from './renewal-limits.ts'

/** What is the organisation's own. */
export interface OwnPort {
  expiries(): readonly OwnExpiry[]
  /** Issues it anew, and puts it in force. */
  renew(credential: OwnCredential): Promise<void>
}

export interface RenewalDeskPorts {
  readonly registry: Registry
  readonly view: RegistryView
  readonly sessions?: { readonly connected?: (record: CertificateRecord) => number } | undefined
  readonly own?: OwnPort | undefined
  readonly clock: () => EpochMs
}

export function openRenewalDesk(ports: RenewalDeskPorts, actor: Actor): RenewalDesk {
  const { registry, view, clock } = ports

  async function orderRenewal({ choice, overMs, dryRun }: NewRenewalOrder): Promise<RenewalOrdered> {
    judgeChoice(registry, choice)
    const at = clock()
    const devices = new Map<DeviceId, boolean>()
    for await (const { device, record } of meant(ports, [{ choice, at }])) devices.set(device, devices.get(device) === true || isConnected(ports, record))
    const counted = { dryRun, devices: devices.size, first: [...devices.keys()].slice(0, RENEWAL_LIMITS.devicesNamedMax), connected: [...devices.values()].filter(Boolean).length }
    if (dryRun || devices.size === 0) return counted
    if (registry.renewalOrders().length >= RENEWAL_LIMITS.ordersMax) await endFinishedOrders(ports, actor)
    const id = randomBytes(ID_BYTES).toString('hex')
    const committed = await registry.commit([{ kind: 'renewal-ordered', order: { id, choice, at, overMs, devices: devices.size } }], [], [{ kind: 'renewal-ordered', at, order: id, count: devices.size, message: wordsOf(choice), actor }])
    if (!committed.allow) throw failureOf(committed)
    return { ...counted, id }
  }

  async function endRenewalOrder(id: string): Promise<void> {
    if (!registry.renewalOrders().some((order) => order.id === id)) throw failureOf(deny('renewal-order-not-found', id))
    await endOrders(registry, [id], clock(), actor)
  }

  async function expiring({ withinMs, group, after, limit = REGISTRY_LIMITS.pageSizeDefault }: ExpiringQuery): Promise<ExpiringPage> {
    const now = clock()
    const until = now + withinMs
    const page = registry.expiringCertificates({ from: now, until, group, after, limit })
    const items = page.items.filter((record) => isShown(record)).map(shown)
    const next = page.next === undefined ? {} : { next: page.next }
    if (after !== undefined) return { items, ...next }
    const own = group === undefined ? (ports.own?.expiries() ?? []).filter(({ notAfter }) => notAfter < until).toSorted((a, b) => a.notAfter - b.notAfter) : []
    let devices = 0
    for await (const record of endingCertificates(registry, now, until, group)) if (isShown(record)) devices += 1
    return { items: [...own.map(({ kind, name, serial, notBefore, notAfter }): ExpiringShown => ({ kind, name, notBefore, notAfter, ...(serial === undefined ? {} : { serial }) })), ...items], counted: { devices, own: own.length }, ...next }
  }

  const isShown = (record: CertificateRecord): boolean => record.state === 'active' && record.profile === 'device' && record.device !== undefined && view.device(record.device)?.state !== 'retired' && isLast(record, view.certificatesOf(record.device))

  function shown({ profile, device, serial, createdAt, notBefore, notAfter }: CertificateRecord): ExpiringShown {
    const waits = device !== undefined && view.certificatesOf(device).some((other) => other.state === 'issued' && other.createdAt > createdAt)
    return { kind: profile, name: device ?? '', serial, notBefore, notAfter, ...(waits ? { nextWaits: true as const } : {}) }
  }

  async function renewOwn(credential: OwnCredential): Promise<{ readonly replaced: OwnExpiry; readonly issued: OwnExpiry }> {
    const { own } = ports
    const now = (): OwnExpiry | undefined => own?.expiries().find(({ kind }) => kind === credential)
    const replaced = now()
    await own?.renew(credential)
    const issued = now()
    if (replaced === undefined || issued === undefined) throw new SallyportError('not-found', `There is no certificate of the ${credential} yet.`, { fix: 'The first start makes one: sallyport serve.' })
    return { replaced, issued }
  }

  return { orderRenewal, endRenewalOrder, expiring, renewOwn, renewalOrders: () => progressOf(ports) }
}

const ID_BYTES = 4

/** Refuses what names nobody, before anything is read by it. */
function judgeChoice(registry: Pick<Registry, 'cas' | 'device'>, { device, group, ca, issuedBefore }: RenewalChoice): void {
  if ([device, group, ca, issuedBefore].every((said) => said === undefined)) throw failureOf(deny('request-invalid', 'say whom it means'))
  if (device !== undefined && registry.device(device) === undefined) throw failureOf(deny('device-not-found', device))
  if (ca !== undefined && !registry.cas().some(({ name, role }) => name === ca && role !== 'trusted')) throw failureOf(deny('request-invalid', `there is no CA ${ca} of ours`))
}

interface Meant {
  readonly device: DeviceId
  readonly record: CertificateRecord
  /** Those of the orders that mean it. */
  readonly orders: readonly Pick<RenewalOrder, 'choice' | 'at'>[]
}

/** The certificates that these orders mean, and that a renewal would replace: of a device that has a longer one in force, none. */
async function* meant<T extends Pick<RenewalOrder, 'choice' | 'at'>>(ports: RenewalDeskPorts, orders: readonly T[]): AsyncGenerator<Meant & { readonly orders: readonly T[] }> {
  const { registry, view, clock } = ports
  const ours: ReadonlySet<CaName> = new Set(registry.cas().filter(({ role }) => role !== 'trusted').map(({ name }) => name))
  for await (const record of candidates(ports, orders)) {
    const { device: id, issuer } = record
    const device = id === undefined ? undefined : view.device(id)
    if (device === undefined || device.state === 'retired' || !ours.has(issuer)) continue
    const by = orders.filter((order) => isOrdered(record, device, order, clock()))
    if (by.length > 0 && isLast(record, view.certificatesOf(device.id))) yield { device: device.id, record, orders: by }
  }
}

/** As few certificates as may hold all that are meant. */
async function* candidates({ registry, view, clock }: RenewalDeskPorts, orders: readonly Pick<RenewalOrder, 'choice'>[]): AsyncGenerator<CertificateRecord> {
  const named = orders.map(({ choice }) => choice.device)
  if (named.every((device) => device !== undefined)) {
    for (const device of new Set(named)) if (device !== undefined) yield* view.certificatesOf(device)
    return
  }
  const [only, ...more] = orders
  const group = more.length === 0 ? only?.choice.group : undefined
  if (group === undefined) {
    yield* endingCertificates(registry, clock(), Number.MAX_SAFE_INTEGER)
    return
  }
  let after: string | undefined
  do {
    const page = registry.devices({ group, after, limit: RENEWAL_LIMITS.lookedAtOnceMax })
    for (const { id } of page.items) yield* view.certificatesOf(id).filter(({ state }) => state === 'active')
    after = page.next
    await setImmediate()
  } while (after !== undefined)
}

const isConnected = ({ sessions }: RenewalDeskPorts, record: CertificateRecord): boolean => (sessions?.connected?.(record) ?? 0) > 0

type Standing = 'fetched' | 'connected' | 'away'
const RANK: Readonly<Record<Standing, number>> = { away: 0, connected: 1, fetched: 2 }

async function progressOf(ports: RenewalDeskPorts): Promise<readonly RenewalProgress[]> {
  const orders = ports.registry.renewalOrders()
  if (orders.length === 0) return []
  const standing = new Map(orders.map((order) => [order, new Map<DeviceId, Standing>()]))
  for await (const { device, record, orders: by } of meant(ports, orders)) {
    for (const order of by) {
      const found = standingOf(ports, record, order)
      const devices = standing.get(order)
      const before = devices?.get(device)
      // Of two certificates of one device the one that says most about it counts.
      if (before === undefined || RANK[found] > RANK[before]) devices?.set(device, found)
    }
  }
  return orders.map((order) => {
    const counts = { fetched: 0, connected: 0, away: 0 }
    for (const each of standing.get(order)?.values() ?? []) counts[each] += 1
    return { ...order, ...counts, done: Math.max(0, order.devices - counts.fetched - counts.connected - counts.away) }
  })
}

function standingOf(ports: RenewalDeskPorts, record: CertificateRecord, { at }: RenewalOrder): Standing {
  const { device } = record
  if (device !== undefined && ports.view.certificatesOf(device).some((other) => other.state === 'issued' && other.createdAt >= at)) return 'fetched'
  return isConnected(ports, record) ? 'connected' : 'away'
}

/** Ends the orders that mean nobody any more: who has renewed, was revoked or has expired is done. */
export async function endFinishedOrders(ports: RenewalDeskPorts, actor: Actor): Promise<void> {
  const finished = (await progressOf(ports)).filter(({ fetched, connected, away }) => fetched + connected + away === 0)
  if (finished.length > 0) await endOrders(ports.registry, finished.map(({ id }) => id), ports.clock(), actor)
}

async function endOrders(registry: Registry, ids: readonly string[], at: EpochMs, actor: Actor): Promise<void> {
  const committed = await registry.commit(ids.map((id) => ({ kind: 'renewal-order-ended', id, at })), [], ids.map((order) => ({ kind: 'renewal-order-ended', at, order, actor })))
  if (!committed.allow) throw failureOf(committed)
}

/** Whom an order means, for the audit log. */
function wordsOf({ device, group, ca, issuedBefore }: RenewalChoice): string {
  const said = [device && `device ${device}`, group && `group ${group}`, ca && `CA ${ca}`, issuedBefore === undefined ? undefined : `issued before ${new Date(issuedBefore).toISOString()}`]
  return said.filter((each) => each !== undefined).join(', ')
}

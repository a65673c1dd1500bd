// One page that says how things stand: counts, the last day, and what waits for a person. What costs a walk through the fleet is looked
// at now and then, and remembered; everything else is counted when it is asked for.

import { setImmediate as nextTurn } from 'node:timers/promises'
import { isNear, isOverdue } from './core/expiry.ts'
import type { Attention, Overview } from './core/feed-desk.ts'
import type { EpochMs } from './core/ids.ts'
import type { Lists, Registry, RegistryView } from './core/registry.ts'
import { endingCertificates, isLast } from './expiry.ts'
import type { Feed } from './feed.ts'
import type { RunningPorts } from './feed-desk.ts'
import { FEED_LIMITS } from './feed-limits.ts'
import { LIFE } from './limits.ts'
import type { AuditLog } from './observe/audit-log.ts'
import type { OwnPort } from './renewal-desk.ts'
import { EXPIRY_LIMITS } from './renewal-limits.ts'
import { REASONS, type DenyReason } from './vocabulary.ts'
import type { OnRung } from './core/detection/ladder.ts'

export interface OverviewPorts {
  readonly registry: Pick<Registry, 'enrollments' | 'cas' | 'expiringCertificates'>
  /** Counting all devices is a walk through them. */
  readonly lists: Pick<Lists | Registry, 'devicesByState'>
  readonly view: Pick<RegistryView, 'device' | 'certificatesOf'>
  readonly audit: Pick<AuditLog, 'degraded'>
  readonly running: RunningPorts | undefined
  readonly own: OwnPort | undefined
  readonly detections: () => Promise<readonly OnRung[]>
  /** What other parts of the server wait for a person with. */
  readonly waiting?: () => readonly Attention[]
  /** What was found on the last walk: of the server, not of one operator. */
  readonly memory: OverviewMemory
  readonly clock: () => EpochMs
}

export interface OverviewMemory {
  overview?: { readonly at: EpochMs; readonly made: Promise<Overview> }
  overdue?: { readonly at: EpochMs; readonly devices: Promise<number> }
}

export function openOverview(ports: OverviewPorts): (feed: Feed) => Promise<Overview> {
  const { registry, running, clock } = ports

  /** Devices that should have renewed by now. At most one walk is under way, whoever asks. */
  function overdue(now: EpochMs): Promise<number> {
    const { memory } = ports
    if (memory.overdue === undefined || Math.abs(now - memory.overdue.at) > FEED_LIMITS.overdueMs) memory.overdue = { at: now, devices: countedOverdue(now) }
    return memory.overdue.devices
  }

  /** What could not be counted is counted again by the next who asks. */
  async function countedOverdue(now: EpochMs): Promise<number> {
    try {
      return await countOverdue(ports, now)
    } catch (cause) {
      delete ports.memory.overdue
      throw cause
    }
  }

  async function attention(now: EpochMs): Promise<readonly Attention[]> {
    const own = (ports.own?.expiries() ?? []).filter((each) => isNear(each, now)).toSorted((a, b) => a.notAfter - b.notAfter)
    const [devices, detections] = await Promise.all([overdue(now), ports.detections()])
    const approvals = registry.enrollments({ state: 'pending', limit: FEED_LIMITS.pageMax })
    const waits = registry.cas().filter(({ role, state, since }) => role !== 'trusted' && (state === 'created' || state === 'trusted' || state === 'replaced') && now - since > FEED_LIMITS.rotationWaitsMs)
    const found: (Attention | false)[] = [
      own[0] !== undefined && { kind: 'expiring', count: own.length, sentence: `${own[0].name} ${own[0].notAfter < now ? 'has ended' : 'ends'} at ${iso(own[0].notAfter)}${own.length > 1 ? `, and ${own.length - 1} more of the organisation's own soon` : ''}.`, command: 'sallyport cert expiring', at: own[0].notAfter },
      devices > 0 && { kind: 'devices-overdue', count: devices, sentence: `${devices === 1 ? 'One device has' : `${devices} devices have`} a certificate that should have been renewed by now.`, command: 'sallyport cert expiring' },
      waits[0] !== undefined && { kind: 'rotation', count: waits.length, sentence: `A CA rotation stands still: ${waits[0].name} is ${waits[0].state} since ${iso(waits[0].since)}.`, command: 'sallyport ca rotate', at: waits[0].since },
      approvals.items[0] !== undefined && { kind: 'approvals', count: approvals.items.length, sentence: `${approvals.items.length === 1 ? 'One enrollment waits' : `${approvals.items.length}${approvals.next === undefined ? '' : ' or more'} enrollments wait`} for an operator.`, command: 'sallyport enrollment list', at: approvals.items[0].createdAt },
      detections[0] !== undefined && { kind: 'detection', count: detections.length, sentence: `${detections.length === 1 ? `${detections[0].device} is` : `${detections.length} devices are`} on the detection ladder.`, command: 'sallyport detection list' },
      running?.store.health.ok === false && { kind: 'session-store', count: 1, sentence: `The session store cannot be written: ${running.store.health.problem ?? 'no reason is known'}.`, command: 'sallyport doctor' },
      ports.audit.degraded && { kind: 'audit-log', count: 1, sentence: 'The audit log cannot be written: what happens is kept in memory, up to a bound.', command: 'sallyport doctor' },
    ]
    return [...found.filter((each) => each !== false), ...(ports.waiting?.() ?? [])]
  }

  /** Many who watch cost as much as one. */
  return (feed) => {
    const now = clock()
    const { memory } = ports
    if (memory.overview === undefined || Math.abs(now - memory.overview.at) > FEED_LIMITS.overviewMs) memory.overview = { at: now, made: made(feed, now) }
    return memory.overview.made
  }

  async function made({ refusals, strip }: Feed, now: EpochMs): Promise<Overview> {
    const byState = await ports.lists.devicesByState()
    const [hour, day] = [strip.refusedSince(now - HOUR_MS, now), strip.refusedSince(now - LIFE.day, now)]
    return {
      at: now,
      devices: { total: Object.values(byState).reduce((sum, count) => sum + count, 0), byState },
      connected: running?.connections.counted() ?? { devices: 0, sessions: 0 },
      refused: {
        hour: totalOf(hour), day: totalOf(day),
        byReason: [...day].map(([reason, count]) => ({ reason, sentence: REASONS[reason].sentence, hour: hour.get(reason) ?? 0, day: count })).toSorted((a, b) => b.day - a.day),
      },
      strip: { bucketMs: FEED_LIMITS.stripBucketMs, buckets: strip.buckets(now), reach: refusals.reach },
      attention: await attention(now),
      newest: refusals.newest(FEED_LIMITS.newestMax),
    }
  }
}

const HOUR_MS = 3_600_000
const iso = (at: EpochMs): string => new Date(at).toISOString().replace('.000Z', 'Z')
const totalOf = (counts: ReadonlyMap<DenyReason, number>): number => [...counts.values()].reduce((sum, count) => sum + count, 0)

async function countOverdue({ registry, view }: Pick<OverviewPorts, 'registry' | 'view'>, now: EpochMs): Promise<number> {
  const devices = new Set<string>()
  let looked = 0
  for await (const record of endingCertificates(registry, now, now + EXPIRY_LIMITS.warnMs)) {
    const device = record.device === undefined ? undefined : view.device(record.device)
    if (device !== undefined && device.state !== 'retired' && isOverdue(record, now) && isLast(record, view.certificatesOf(device.id))) devices.add(device.id)
    if (++looked % FEED_LIMITS.pageMax === 0) await nextTurn()
  }
  return devices.size
}

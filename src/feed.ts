// The read models over the audit log: the newest refusals, the last day, the newest events. They follow the log from the start of the
// program on, and read back what it said before; meanwhile they answer with what they have, and say so.

import { kindOf, type FeedEvent } from './core/feed.ts'
import type { RefusalShown } from './core/feed-desk.ts'
import { FEED_LIMITS } from './feed-limits.ts'
import type { AuditLog, WrittenRecord } from './observe/audit-log.ts'
import { markOf } from './observe/chain.ts'
import { openDayStrip, type DayStrip } from './observe/day-strip.ts'
import { headingOf, refusalShownOf } from './observe/ecs.ts'
import { openEventRing, type EventRing } from './observe/event-ring.ts'
import { openRefusalIndex, type RefusalIndex } from './observe/refusal-index.ts'

export interface Feed extends Disposable {
  readonly refusals: RefusalIndex
  readonly strip: DayStrip
  readonly events: EventRing
  /** Resolves when what the log said before was read. */
  readonly restored: Promise<void>
}

export interface FeedPorts {
  readonly audit: Pick<AuditLog, 'follow' | 'walkBack'>
  readonly clock: () => number
  readonly log: (level: 'warn', facts: Readonly<Record<string, unknown>>, message: string) => void
}

export function openFeed({ audit, clock, log }: FeedPorts): Feed {
  const refusals = openRefusalIndex()
  const strip = openDayStrip()
  const events = openEventRing()

  /** For the strip a refusal counts whether there is room for it or not. */
  function count({ action, at }: ReturnType<typeof headingOf>, shown: RefusalShown | undefined): void {
    if (action === 'admission') strip.connected(at)
    if (shown !== undefined) strip.refused(at, shown.reason, shown.count)
  }

  /** The first that came by itself: from there on the log is not read back. */
  let firstHeard = Number.POSITIVE_INFINITY
  const stop = audit.follow((written) => {
    firstHeard = Math.min(firstHeard, written.number)
    const heading = headingOf(written.record)
    const shown = refusalShownOf(written.record, written.number)
    count(heading, shown)
    if (shown !== undefined) refusals.add(shown, written.line.length)
    events.add(eventOf(written, heading))
  })
  return { refusals, strip, events, restored: restore(), [Symbol.dispose]: stop }

  async function restore(): Promise<void> {
    const dayAgo = clock() - FEED_LIMITS.stripMs
    let hasRoom = { refusals: true, events: true }
    let first: number | undefined
    try {
      await audit.walkBack((written) => {
        if (written.number >= firstHeard) return 'on'
        const heading = headingOf(written.record)
        const shown = refusalShownOf(written.record, written.number)
        if (heading.at > dayAgo) count(heading, shown)
        hasRoom = {
          refusals: hasRoom.refusals && (shown === undefined || refusals.addOlder(shown, written.line.length)),
          events: hasRoom.events && events.addOlder(eventOf(written, heading)),
        }
        first = written.number
        return hasRoom.refusals || heading.at > dayAgo ? 'on' : 'enough'
      })
    } catch (cause) {
      log('warn', { error: cause instanceof Error ? cause.message : 'unknown' }, 'the audit log could not be read back: what was refused before this start is not shown')
    }
    refusals.restored(hasRoom.refusals && (first === undefined || first === 1))
    events.restored()
  }
}

/** What another version wrote is of the server: it has its place, so that numbers have no gap. */
function eventOf({ number, line }: WrittenRecord, { action, device }: ReturnType<typeof headingOf>): FeedEvent {
  return { id: number, mark: markOf(line), kind: kindOf(action) ?? 'server', device, line }
}

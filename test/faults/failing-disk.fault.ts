// A disk that is full, and a disk whose fsync fails: no acknowledgement for what is not stored, the log says so, it recovers
// by itself within 5 s after the cure, and revocation works meanwhile.

import { describe, expect, test } from 'vitest'
import { acknowledgements, expectAcknowledged, expectCut, expectPaid, expectRevocationWorks, expectRevoked, openDurableCast, speakUntilStuck, type DurableCast } from './durable.ts'
import { leastFree } from '../../src/store/sessions/room.ts'
import { EXIT } from '../../src/vocabulary.ts'
import { Stage } from './stage.ts'
import { canMount, canTrace, disturbSyncs, fillDisk, mountSmallDisk, SYNC_FAILS, type Fault } from './storage.ts'

const MOUNT = canMount()
const TRACE = await canTrace()
/** What the log says of a store that cannot write, and when it can again. */
const CANNOT_WRITE = 'the session store cannot write'
const WRITES_AGAIN = 'the session store writes again'
const DISK_MEGABYTES = 24
/** Less than a store leaves to others on a disk of this size, and more than nothing. */
const NEARLY_FULL_BYTES = Math.floor(leastFree(DISK_MEGABYTES * 1_048_576) / 2)
const PLAN = { payloadBytes: 8_192, windowMax: 64 }
/** So long without an acknowledgement means that there will be none. */
const QUIET_MS = 3_000
/** Room that the database already had is used up first. */
const STUCK_MS = 20_000
const SAID_MS = 5_000
/** By itself, within this time after the cure. */
const RECOVER_MS = 5_000

interface Way {
  readonly name: string
  readonly possible: boolean
  /** Prepares the home before the first start. */
  readonly prepare: (stage: Stage) => Disposable
  readonly break: (stage: Stage) => Promise<Fault>
  /** Can the registry still record a revocation? On a full disk it must: room is kept for it. */
  readonly registryWrites: boolean
}

const nothing = (): Disposable => ({ [Symbol.dispose]: () => {} })
const WAYS: readonly Way[] = [
  { name: 'disk full (needs root for a tmpfs)', possible: MOUNT, prepare: (stage) => mountSmallDisk(stage.data, DISK_MEGABYTES), break: (stage) => Promise.resolve(fillDisk(stage.data)), registryWrites: true },
  { name: 'disk nearly full (needs root for a tmpfs)', possible: MOUNT, prepare: (stage) => mountSmallDisk(stage.data, DISK_MEGABYTES), break: (stage) => Promise.resolve(fillDisk(stage.data, NEARLY_FULL_BYTES)), registryWrites: true },
  { name: 'EIO on fsync of the session store (needs strace)', possible: TRACE, prepare: nothing, break: (stage) => disturbSyncs(stage.pid, SYNC_FAILS, [stage.sessions, `${stage.sessions}-wal`]), registryWrites: true },
  { name: 'EIO on every fsync of the server (needs strace)', possible: TRACE, prepare: nothing, break: (stage) => disturbSyncs(stage.pid, SYNC_FAILS), registryWrites: false },
]

/** A home whose store has just stopped taking anything. */
async function stuck(way: Way, stage: Stage): Promise<{ readonly cast: DurableCast; readonly fault: Fault }> {
  await stage.start()
  const cast = await openDurableCast(stage, PLAN)
  const fault = await way.break(stage)
  try {
    await speakUntilStuck(cast, QUIET_MS, STUCK_MS)
  } catch (error) {
    await fault.cure()
    throw error
  }
  return { cast, fault }
}

describe.each(WAYS)('$name', (way) => {
  test.skipIf(!way.possible)('the store says so, acknowledges nothing, and recovers by itself within 5 s', async () => {
    await using stage = new Stage()
    using _disk = way.prepare(stage)
    const { cast, fault } = await stuck(way, stage)
    using _cast = cast
    await using _fault = fault
    expect(await stage.said(CANNOT_WRITE, SAID_MS), `the log says: ${CANNOT_WRITE}`).toBe(true)
    await cast.echo()
    expect(cast.speakers.map((s) => s.open), 'who waits for the store stays connected').toEqual([true, true])
    expect(cast.speakers.every((s) => s.underWay > 0)).toBe(true)
    const before = acknowledgements(cast.speakers)
    await fault.cure()
    await expectAcknowledged(cast, RECOVER_MS)
    expect(acknowledgements(cast.speakers)).toBeGreaterThan(before)
    expect(await stage.said(WRITES_AGAIN, SAID_MS), `the log says: ${WRITES_AGAIN}`).toBe(true)
    await expectPaid(stage, cast)
  })

  test.skipIf(!way.possible)('kill -9 meanwhile: what was acknowledged is there after the cure', async () => {
    await using stage = new Stage()
    using _disk = way.prepare(stage)
    const { cast, fault } = await stuck(way, stage)
    using _cast = cast
    await using _fault = fault
    await stage.stop('SIGKILL')
    await fault.cure()
    await stage.start()
    // What was under way goes on, in the sessions that were there before.
    for (const speaker of cast.speakers) await speaker.connect(stage.target)
    await expectAcknowledged(cast, RECOVER_MS)
    await expectPaid(stage, cast)
  })

  test.skipIf(!way.possible)('revocation cuts meanwhile, and what it answers is true after kill -9', async () => {
    await using stage = new Stage()
    using _disk = way.prepare(stage)
    await stage.start()
    using cast = await openDurableCast(stage, PLAN)
    await using fault = await way.break(stage)
    let recorded = true
    if (way.registryWrites) await expectRevocationWorks(stage, cast)
    else {
      recorded = (await expectCut(stage, cast)) === 'recorded'
      // Cut, and kept out, recorded or not.
      await expectRevoked(stage, cast)
    }
    await fault.cure()
    // Who was told that it failed asks again.
    if (!recorded) await stage.admin.revoke({ device: cast.victim.identity.id }, 'keyCompromise')
    await stage.stop('SIGKILL')
    await stage.start()
    await expectRevoked(stage, cast)
  })
})

test.skipIf(!MOUNT)('a start on a full disk (needs root for a tmpfs) is refused with the file and what to do, and succeeds after the cure', async () => {
  await using stage = new Stage()
  using _disk = mountSmallDisk(stage.data, DISK_MEGABYTES)
  await stage.start()
  const cast = await openDurableCast(stage, PLAN)
  cast[Symbol.dispose]()
  expect(await stage.stop('SIGTERM')).toBe(EXIT.ok)
  await using full = fillDisk(stage.data)
  expect(await stage.tryStart()).toEqual({ kind: 'ended', code: EXIT.configuration })
  expect(stage.output).toContain(stage.data)
  expect(stage.output).toMatch(/^fix: ./m)
  await full.cure()
  await stage.start()
  await expectPaid(stage, cast)
})

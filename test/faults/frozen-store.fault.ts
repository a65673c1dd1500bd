// A store that does not answer: somebody else holds the write lock of its database, or an fsync does not return. Nothing is
// acknowledged that is not stored; who needs no store does not notice; all is answered after the thaw.

import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { acknowledgements, expectAcknowledged, expectPaid, expectRevocationWorks, openDurableCast } from './durable.ts'
import { openLine } from './line.ts'
import { Stage } from './stage.ts'
import { canTrace, disturbSyncs, holdWriteLock, SYNC_HANGS, type Fault } from './storage.ts'

const TRACE = await canTrace()
/** Longer than a store waits for a lock before it looks again. */
const FROZEN_MS = 5_000
const THAW_MS = 10_000
const MESSAGES = 20
const ECHOES = 20

let stage: Stage
beforeAll(async () => {
  stage = new Stage()
  await stage.start()
})
afterAll(() => stage[Symbol.asyncDispose]())

const WAYS: readonly { readonly name: string; readonly possible: boolean; readonly freeze: () => Promise<Fault> }[] = [
  { name: 'another process holds the write lock', possible: true, freeze: () => holdWriteLock(stage.sessions) },
  { name: 'fsync does not return (needs strace)', possible: TRACE, freeze: () => disturbSyncs(stage.pid, SYNC_HANGS, [stage.sessions, `${stage.sessions}-wal`]) },
]

describe.each(WAYS)('frozen store: $name', ({ possible, freeze }) => {
  test.skipIf(!possible)('no acknowledgement while it is frozen, QoS 0 goes on, revocation cuts, and all is answered after the thaw', async () => {
    using cast = await openDurableCast(stage, { payloadBytes: 64, windowMax: MESSAGES })
    const before = acknowledgements(cast.speakers)
    await using frozen = await freeze()
    const since = performance.now()
    for (const speaker of cast.speakers) speaker.speak(MESSAGES)
    for (let i = 0; i < ECHOES; i++) await cast.echo()
    await expectRevocationWorks(stage, cast)
    await delay(FROZEN_MS - (performance.now() - since))
    expect(acknowledgements(cast.speakers) - before, 'acknowledged while the store was frozen').toBe(0)
    expect(cast.speakers.map((s) => s.open), 'who waits for the store stays connected').toEqual([true, true])
    await frozen.cure()
    await expectAcknowledged(cast, THAW_MS)
    expect(acknowledgements(cast.speakers) - before).toBe(2 * MESSAGES)
    await expectPaid(stage, cast)
  })

  test.skipIf(!possible)('QoS 1 between clean sessions is delivered while it is frozen', async () => {
    using _cast = await openDurableCast(stage, { payloadBytes: 64, windowMax: MESSAGES })
    const identity = await stage.identity('clean')
    let heard = 0
    let wake = (): void => {}
    const line = await openLine({
      target: stage.target, credentials: identity, clientId: identity.id, version: 5, clean: true,
      onPacket: (packet, on) => {
        if (packet.cmd === 'publish') {
          heard += 1
          on.send({ cmd: 'puback', messageId: packet.messageId ?? 0 })
        }
        if (packet.cmd === 'publish' || packet.cmd === 'suback') wake()
      },
    })
    const subscribed = new Promise<void>((resolve) => void (wake = resolve))
    line.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: `t/${identity.id}/#`, qos: 1 }] })
    await subscribed
    await using _frozen = await freeze()
    const all = new Promise<void>((resolve) => void (wake = () => void (heard === MESSAGES && resolve())))
    for (let i = 1; i <= MESSAGES; i++) line.send({ cmd: 'publish', topic: `t/${identity.id}/a`, payload: String(i), qos: 1, dup: false, retain: false, messageId: i })
    await Promise.race([all, delay(FROZEN_MS)])
    expect(heard, `of ${MESSAGES} messages delivered while the store is frozen`).toBe(MESSAGES)
    line.cut()
  })
})

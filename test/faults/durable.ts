// The cast of the storage faults: an absent session to which everything must be kept, a publisher whose messages must be
// stored before they are acknowledged, and those who need no store: a clean pair with QoS 0, and a device to revoke.

import { setTimeout as delay } from 'node:timers/promises'
import { expect } from 'vitest'
import type { Identity } from '../../device-sim/identities.ts'
import { within } from '../../device-sim/within.ts'
import { openAccount, type Account } from './account.ts'
import { Hearer } from './hearer.ts'
import { openLine, type Line } from './line.ts'
import { Speaker } from './speaker.ts'
import type { Stage } from './stage.ts'

export interface DurableCast extends Disposable {
  /** Has subscribed, and is away. */
  readonly absent: Hearer
  /** QoS 1 and QoS 2: what they say is kept for the absent one. */
  readonly speakers: readonly Speaker[]
  readonly account: Account
  /** A round trip of a message with QoS 0 between clean sessions; rejects when it does not come. */
  echo(): Promise<void>
  readonly victim: { readonly identity: Identity; readonly line: Line }
}

export interface DurablePlan {
  readonly payloadBytes: number
  readonly windowMax: number
}

const ECHO_MS = 5_000
const ACKNOWLEDGE_MS = 20_000

export async function openDurableCast(stage: Stage, plan: DurablePlan): Promise<DurableCast> {
  const [sensors, backend] = await Promise.all([stage.identities('sensor', 4, 'sensors'), stage.identity('backend', 'backend')])
  const [first, second, live, revoked] = sensors
  if (first === undefined || second === undefined || live === undefined || revoked === undefined) throw new Error('four sensors were asked for')
  const account = openAccount([backend.id])
  // Only what the speakers say is kept: the clean pair has nobody to be stored for.
  const absent = new Hearer({ identity: backend, clientId: backend.id, version: 5, filters: [`t/${first.id}/#`, `t/${second.id}/#`], account })
  await absent.connect(stage.target)
  await absent.end()
  const speakers = [{ identity: first, version: 5, qos: 1 }, { identity: second, version: 4, qos: 2 }] as const
  const speaking = speakers.map((kind) => new Speaker({ ...kind, clientId: kind.identity.id, topics: [`t/${kind.identity.id}/a`], account, ...plan }))
  for (const speaker of speaking) {
    await speaker.connect(stage.target)
    // The control: in calm, one is acknowledged.
    speaker.speak(1)
    if ((await within(speaker.settled().then(() => true), ACKNOWLEDGE_MS)) === undefined) throw new Error(`${speaker.name} got no acknowledgement in calm`)
  }
  const victim = await openLine({ target: stage.target, credentials: revoked, clientId: revoked.id, version: 5, clean: true, onPacket: () => {} })
  return { absent, speakers: speaking, account, ...(await openEcho(stage, live)), victim: { identity: revoked, line: victim } }
}

/** Two clean sessions of one device: one says, the other hears. */
async function openEcho(stage: Stage, identity: Identity): Promise<{ readonly echo: () => Promise<void> } & Disposable> {
  let heard = ''
  let wake = (): void => {}
  const { target } = stage
  const ear = await openLine({
    target, credentials: identity, clientId: `${identity.id}:ear`, version: 5, clean: true,
    onPacket: (packet) => {
      if (packet.cmd === 'suback') heard = 'suback'
      if (packet.cmd === 'publish') heard = packet.payload.toString()
      wake()
    },
  })
  const mouth = await openLine({ target, credentials: identity, clientId: `${identity.id}:mouth`, version: 4, clean: true, onPacket: () => {} })
  const hears = async (text: string): Promise<void> => {
    const done = await within(new Promise<true>((resolve) => {
      wake = () => void (heard === text && resolve(true))
      wake()
    }), ECHO_MS)
    if (done === undefined) throw new Error(`a message with QoS 0 between clean sessions did not come within ${ECHO_MS} ms`)
  }
  ear.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: `t/${identity.id}/#`, qos: 0 }] })
  await hears('suback')
  let count = 0
  return {
    async echo() {
      const text = `echo ${(count += 1)}`
      mouth.send({ cmd: 'publish', topic: `t/${identity.id}/echo`, payload: text, qos: 0, dup: false, retain: false })
      await hears(text)
    },
    [Symbol.dispose]() {
      ear.cut()
      mouth.cut()
    },
  }
}

export const acknowledgements = (speakers: readonly Speaker[]): number => speakers.reduce((sum, speaker) => sum + speaker.acknowledged, 0)

/** Lets the speakers speak until nothing has been acknowledged for this long: then the store takes nothing any more. */
export async function speakUntilStuck({ speakers }: Pick<DurableCast, 'speakers'>, quietMs: number, deadlineMs: number): Promise<void> {
  const deadline = performance.now() + deadlineMs
  let before = acknowledgements(speakers)
  let quietSince = performance.now()
  while (performance.now() - quietSince < quietMs) {
    if (performance.now() > deadline) throw new Error(`acknowledgements still came after ${deadlineMs} ms: nothing that is stored was in their way`)
    for (const speaker of speakers) speaker.speak(Number.POSITIVE_INFINITY)
    await delay(20)
    const now = acknowledgements(speakers)
    if (now !== before) quietSince = performance.now()
    before = now
  }
}

const CUT_MS = 1_000
const ANSWER_MS = 3_000

/** Revoked means gone, within a second, whatever the disk does. Returns what the command answered, if it has. */
export async function expectCut(stage: Stage, { victim }: Pick<DurableCast, 'victim'>): Promise<'recorded' | 'not recorded'> {
  const since = performance.now()
  const closed = victim.line.closed.then(() => performance.now() - since)
  const answered = stage.admin.revoke({ device: victim.identity.id }, 'keyCompromise').then(
    ({ sessionsClosed }) => ({ recorded: true, words: `it answered that ${sessionsClosed} session was closed` }),
    (error: unknown) => ({ recorded: false, words: `it failed: ${error instanceof Error ? error.message : String(error)}` }),
  )
  const [closedMs, answer = { recorded: false, words: 'it has not answered' }] = await Promise.all([within(closed, ANSWER_MS), within(answered, ANSWER_MS)])
  expect(closedMs ?? Number.POSITIVE_INFINITY, `milliseconds from the revocation to the end of the live session; of the command: ${answer.words}`).toBeLessThan(CUT_MS)
  return answer.recorded ? 'recorded' : 'not recorded'
}

/** Where the registry can write, the revocation is also recorded at once, and the device does not come back. */
export async function expectRevocationWorks(stage: Stage, cast: Pick<DurableCast, 'victim'>): Promise<void> {
  expect(await expectCut(stage, cast)).toBe('recorded')
  await expectRevoked(stage, cast)
}

/** It does not come back. */
export async function expectRevoked(stage: Stage, { victim }: Pick<DurableCast, 'victim'>): Promise<void> {
  const { identity } = victim
  const back = openLine({ target: stage.target, credentials: identity, clientId: identity.id, version: 5, clean: true, onPacket: () => {} })
  back.then((line) => line.cut()).catch(() => undefined)
  await expect(back).rejects.toThrow(/refused with 0x87|before CONNACK/)
}

/** Everything that was said is acknowledged within this time. */
export async function expectAcknowledged({ speakers }: Pick<DurableCast, 'speakers'>, ms: number): Promise<void> {
  const settled = await within(Promise.all(speakers.map((speaker) => speaker.settled())).then(() => true), ms)
  expect(settled, `within ${ms} ms not acknowledged: ${speakers.map((s) => `${s.name} ${s.underWay}`).join(', ')}`).toBe(true)
}

/** The absent one comes back, and gets all that was acknowledged, in order. */
export async function expectPaid(stage: Stage, { absent, account }: Pick<DurableCast, 'absent' | 'account'>): Promise<void> {
  await absent.connect(stage.target)
  await within(absent.until(() => account.owed(absent.name).size === 0), ACKNOWLEDGE_MS)
  expect(account.owed(absent.name), 'acknowledged, and lost').toEqual(new Set())
  expect(account.faults).toEqual([])
  expect(account.totals.acknowledged).toBeGreaterThan(0)
}

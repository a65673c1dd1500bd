// Damage in the database of sessions: bits flipped, bytes overwritten, pages zeroed, in a file that was closed in order. The
// server refuses to start, with the exit code of configuration faults, the name of the file and what to do; or the damage is
// where nothing is kept, and every answer is right. It never guesses.

import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import type { Packet } from 'mqtt-packet'
import { expect, test } from 'vitest'
import type { Identity } from '../../device-sim/identities.ts'
import { within } from '../../device-sim/within.ts'
import { EXIT } from '../../src/vocabulary.ts'
import { openChance, setting, type Chance } from './chance.ts'
import { openLine, type Line } from './line.ts'
import { Stage } from './stage.ts'

const PAGES = setting('PAGES', 40)
const SEED = setting('SEED', Date.now() % 1_000_000)
const SESSIONS = 4
const MESSAGES = 60
const RETAINED = 20
const HALF_OPEN = 5
const ANSWER_MS = 10_000

/** What a message is, as one text: what arrives is compared with what was said. */
const textOf = (topic: string, payload: string, qos: number): string => `${topic} qos ${qos}: ${payload}`

interface Truth {
  readonly sensor: Identity
  readonly backends: readonly Identity[]
  /** To each backend, in order. */
  readonly queued: readonly string[]
  readonly retained: ReadonlySet<string>
  /** Packet ids that the sensor has said with QoS 2 and not released. */
  readonly halfOpen: ReadonlyMap<number, string>
}

/** A line that answers QoS 1 and 2 and keeps what comes. */
async function openEar(stage: Stage, identity: Identity, clientId: string, clean: boolean): Promise<{ readonly line: Line; readonly heard: string[]; readonly until: (holds: () => boolean) => Promise<boolean>; granted: boolean }> {
  const heard: string[] = []
  let wake = (): void => {}
  const ear = {
    granted: false,
    onPacket: (packet: Packet, line: Line): void => {
      if (packet.cmd === 'publish') {
        heard.push(textOf(packet.topic, packet.payload.toString(), packet.qos))
        if (packet.qos > 0) line.send({ cmd: packet.qos === 1 ? 'puback' : 'pubrec', messageId: packet.messageId ?? 0 })
      } else if (packet.cmd === 'pubrel') line.send({ cmd: 'pubcomp', messageId: packet.messageId ?? 0 })
      else if (packet.cmd === 'suback') ear.granted = packet.granted.every((qos) => qos === 2)
      wake()
    },
  }
  const line = await openLine({ target: stage.target, credentials: identity, clientId, version: 5, clean, onPacket: ear.onPacket })
  const until = async (holds: () => boolean): Promise<boolean> => {
    const done = new Promise<true>((resolve) => {
      wake = () => void (holds() && resolve(true))
      wake()
      void line.closed.then(() => wake())
    })
    return (await within(Promise.race([done, line.closed.then(() => false)]), ANSWER_MS)) === true
  }
  return { line, heard, until, get granted() {
    return ear.granted
  } }
}

async function subscribed(stage: Stage, identity: Identity, filter: string, clean: boolean): Promise<Awaited<ReturnType<typeof openEar>>> {
  const ear = await openEar(stage, identity, clean ? `${identity.id}:clean` : identity.id, clean)
  ear.line.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: filter, qos: 2 }] })
  if (!(await ear.until(() => ear.granted))) throw new Error(`${filter} was not granted`)
  return ear
}

/** Kept sessions with queues, retained messages, half-open exchanges: what a day leaves in the file. */
async function fill(stage: Stage): Promise<Truth> {
  const sensor = await stage.identity('sensor')
  const backends = await stage.identities('backend', SESSIONS, 'backend')
  for (const backend of backends) await (await subscribed(stage, backend, `t/${sensor.id}/q/#`, false)).line.end()
  const waiting = new Set<number>()
  let wake = (): void => {}
  const halfOpen = new Map<number, string>()
  const line = await openLine({
    target: stage.target, credentials: sensor, clientId: sensor.id, version: 5, clean: false,
    onPacket: (packet, on) => {
      const id = packet.messageId ?? 0
      if (packet.cmd === 'pubrec' && !halfOpen.has(id)) on.send({ cmd: 'pubrel', messageId: id })
      if (packet.cmd === 'puback' || packet.cmd === 'pubcomp' || (packet.cmd === 'pubrec' && halfOpen.has(id))) waiting.delete(id)
      wake()
    },
  })
  let id = 0
  const say = async (topic: string, payload: string, qos: 1 | 2, retain: boolean, keepOpen = false): Promise<string> => {
    waiting.add((id += 1))
    if (keepOpen) halfOpen.set(id, textOf(topic, payload, qos))
    line.send({ cmd: 'publish', topic, payload, qos, retain, dup: false, messageId: id })
    const done = new Promise<true>((resolve) => void (wake = () => void (waiting.size === 0 && resolve(true))))
    if ((await within(done, ANSWER_MS)) === undefined) throw new Error(`${topic} was not acknowledged`)
    return textOf(topic, payload, qos)
  }
  const queued: string[] = []
  const retained = new Set<string>()
  for (let i = 0; i < MESSAGES; i++) queued.push(await say(`t/${sensor.id}/q/${i % 7}`, `${i} ${randomBytes(40 + ((i * 37) % 900)).toString('hex')}`, i % 2 === 0 ? 1 : 2, false))
  for (let i = 0; i < RETAINED; i++) retained.add(await say(`t/${sensor.id}/r/${i}`, `retained ${i} ${randomBytes(60).toString('hex')}`, 1, true))
  for (let i = 0; i < HALF_OPEN; i++) queued.push(await say(`t/${sensor.id}/q/h`, `half-open ${i}`, 2, false, true))
  line.cut()
  await line.closed
  return { sensor, backends, queued, retained, halfOpen }
}

/** Everything that is wrong in what the server answers; empty when it is all as it was. */
async function wrongAnswers(stage: Stage, truth: Truth): Promise<readonly string[]> {
  const wrong: string[] = []
  const { sensor, backends, queued, retained, halfOpen } = truth
  // What is half open is said again, and released: it is not a new message.
  const open = new Set(halfOpen.keys())
  let wake = (): void => {}
  const line = await openLine({
    target: stage.target, credentials: sensor, clientId: sensor.id, version: 5, clean: false,
    onPacket: (packet, on) => {
      if (packet.cmd === 'pubrec') on.send({ cmd: 'pubrel', messageId: packet.messageId ?? 0 })
      if (packet.cmd === 'pubcomp') open.delete(packet.messageId ?? 0)
      wake()
    },
  })
  if (!line.connack.sessionPresent) wrong.push('the session of the publisher is gone')
  for (const [messageId, text] of halfOpen) line.send({ cmd: 'publish', topic: text.slice(0, text.indexOf(' ')), payload: text.slice(text.indexOf(': ') + 2), qos: 2, retain: false, dup: true, messageId })
  if ((await within(new Promise<true>((resolve) => void (wake = () => void (open.size === 0 && resolve(true)))), ANSWER_MS)) === undefined) wrong.push('a half-open exchange was not ended')
  line.cut()
  for (const backend of backends) {
    const ear = await openEar(stage, backend, backend.id, false)
    if (!ear.line.connack.sessionPresent) wrong.push(`the session of ${backend.id} is gone`)
    if (!(await ear.until(() => ear.heard.length >= queued.length))) wrong.push(`${backend.id} got ${ear.heard.length} of ${queued.length} messages`)
    const different = ear.heard.findIndex((text, i) => text !== queued[i])
    if (different !== -1) wrong.push(`${backend.id}: message ${different + 1} is ${ear.heard[different]?.slice(0, 60)}, not ${queued[different]?.slice(0, 60)}`)
    ear.line.cut()
  }
  const [first] = backends
  if (first === undefined) throw new Error('no backend')
  const ear = await subscribed(stage, first, `t/${sensor.id}/r/#`, true)
  if (!(await ear.until(() => ear.heard.length >= retained.size))) wrong.push(`${ear.heard.length} of ${retained.size} retained messages`)
  const forged = ear.heard.find((text) => !retained.has(text))
  if (forged !== undefined) wrong.push(`retained, and never said: ${forged.slice(0, 60)}`)
  ear.line.cut()
  return wrong
}

/** Damages a copy of these bytes; says how. */
function damage(pristine: Buffer, chance: Chance): { readonly bytes: Buffer; readonly words: string } {
  const bytes = Buffer.from(pristine)
  // Offset 16: the page size; 1 means 65,536. https://www.sqlite.org/fileformat2.html
  const size = bytes.readUInt16BE(16) === 1 ? 65_536 : bytes.readUInt16BE(16)
  const page = chance.below(bytes.length / size)
  const at = page * size + chance.below(size)
  switch (chance.below(4)) {
    case 0:
      bytes.fill(0, page * size, (page + 1) * size)
      return { bytes, words: `page ${page + 1} zeroed` }
    case 1: {
      const end = Math.min(at + 16, bytes.length)
      for (let i = at; i < end; i++) bytes[i] = chance.below(256)
      return { bytes, words: `16 bytes overwritten at ${at}, in page ${page + 1}` }
    }
    case 2: {
      // The first bytes of a page say what it is and where its cells are.
      const header = page * size + (page === 0 ? chance.below(108) : chance.below(8))
      bytes[header] = (bytes[header] ?? 0) ^ (1 << chance.below(8))
      return { bytes, words: `one bit flipped at ${header}, in the header of page ${page + 1}` }
    }
    default:
      bytes[at] = (bytes[at] ?? 0) ^ (1 << chance.below(8))
      return { bytes, words: `one bit flipped at ${at}, in page ${page + 1}` }
  }
}

/** What is wrong in how the server meets this damage; undefined when it refused as it must, or served rightly. */
async function meets(stage: Stage, truth: Truth): Promise<{ readonly refused: boolean; readonly wrong: readonly string[] }> {
  const started = await stage.tryStart()
  if (started.kind === 'ended') {
    const wrong: string[] = []
    if (started.code !== EXIT.configuration) wrong.push(`it ended with ${started.code}, not ${EXIT.configuration}`)
    if (!stage.output.includes(stage.sessions)) wrong.push('the report does not name the file')
    if (!/^fix: ./m.test(stage.output)) wrong.push('the report does not say what to do')
    return { refused: true, wrong: wrong.length === 0 ? [] : [...wrong, stage.output.slice(-400)] }
  }
  try {
    return { refused: false, wrong: await wrongAnswers(stage, truth) }
  } catch (error) {
    return { refused: false, wrong: [`it serves, and then: ${error instanceof Error ? error.message : String(error)}`] }
  } finally {
    await stage.stop('SIGKILL')
  }
}

function restore(stage: Stage, bytes: Buffer): void {
  for (const suffix of ['-wal', '-shm', '-journal']) rmSync(`${stage.sessions}${suffix}`, { force: true })
  writeFileSync(stage.sessions, bytes, { mode: 0o600 })
}

test('corrupt page: each damage is refused with a report, or all answers are right', { timeout: 120_000 + PAGES * 60_000 }, async () => {
  console.log(`corrupt page: ${PAGES} damages, seed ${SEED} (TEST_FAULTS_PAGES, TEST_FAULTS_SEED)`)
  await using stage = new Stage()
  await stage.start()
  const truth = await fill(stage)
  expect(await stage.stop('SIGTERM')).toBe(EXIT.ok)
  expect(existsSync(stage.sessions), `${stage.sessions}: sessions are kept here`).toBe(true)
  // What is still in the log would hide the damage.
  expect(statSync(`${stage.sessions}-wal`, { throwIfNoEntry: false })?.size ?? 0, 'bytes left in the write-ahead log after an orderly end').toBe(0)
  const pristine = readFileSync(stage.sessions)
  expect(pristine.includes('half-open 0'), 'the messages are in the file as they were said').toBe(true)

  // The control: without damage it starts, and all is right.
  restore(stage, pristine)
  expect(await meets(stage, truth)).toEqual({ refused: false, wrong: [] })

  const chance = openChance(SEED)
  const failures: string[] = []
  let refused = 0
  for (let i = 0; i < PAGES; i++) {
    const { bytes, words } = damage(pristine, chance)
    restore(stage, bytes)
    const met = await meets(stage, truth)
    if (met.refused) refused += 1
    if (met.wrong.length > 0) failures.push(`${words}: ${met.wrong.join('; ')}`)
  }
  console.log(`corrupt page: ${refused} of ${PAGES} refused`)
  expect(failures, `seed ${SEED}`).toEqual([])
  if (PAGES >= 20) expect(refused).toBeGreaterThan(0)
})

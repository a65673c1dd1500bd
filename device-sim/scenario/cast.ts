// Who plays: the groups of a scenario as single devices, and what each step of it lets them say and hear. Who may hear what is written
// down here by hand, after the starter policy; no rule of the target is looked at.

import type { MqttVersion } from '../oracle.ts'
import type { Group, Scenario, Step } from './scenario.ts'

export interface Player {
  /** Its place in the cast, from 0. */
  readonly index: number
  readonly id: string
  readonly group: string
  readonly role: Group['role']
  readonly version: MqttVersion
  readonly isKept: boolean
  readonly answers: boolean
  /** What it subscribes to. */
  readonly hears: readonly string[]
  /** What its grants let it hear; a message on anything else is a leak. */
  readonly mayHear: readonly string[]
}

/** A step that speaks. Its number is in the payload of each of its messages. */
export interface Speech {
  readonly number: number
  readonly kind: 'publish' | 'command' | 'answer' | 'stray'
  /** With `${id}` of the device whose stream it is. */
  readonly topic: string
  readonly qos: 0 | 1 | 2
  readonly bytes: number
}

const MAY_HEAR: Readonly<Record<Group['role'], readonly string[]>> = {
  sensors: ['t/${id}/#', 'cmd/${id}/+', '$device/${id}/certificate/renew/+'],
  backend: ['t/#', 'state/#'],
  ears: ['#'],
}
const HEARS: Readonly<Record<Group['role'], readonly string[]>> = { sensors: ['cmd/${id}/+'], backend: ['t/#'], ears: ['#'] }

export const fill = (topic: string, id: string, neighbour = id): string => topic.replaceAll('${id}', id).replaceAll('${neighbour}', neighbour)

/** `prefix` begins every id, so that two runs never meet each other's devices. */
export function castOf(scenario: Scenario, prefix: string): readonly Player[] {
  const players: Player[] = []
  for (const [name, group] of scenario.groups) {
    for (let n = 1; n <= group.count; n++) {
      const id = `${prefix}-${name}-${n}`
      players.push({
        index: players.length, id, group: name, role: group.role, isKept: group.session === 'kept', answers: group.answers,
        version: group.protocol === '5' || (group.protocol === 'both' && n % 2 === 0) ? 5 : 4,
        hears: (group.hears ?? HEARS[group.role]).map((topic) => fill(topic, id)),
        mayHear: MAY_HEAR[group.role].map((topic) => fill(topic, id)),
      })
    }
  }
  return players
}

const COMMAND_TOPIC = 'cmd/${id}/set'
const ANSWER_TOPIC = 't/${id}/answer'
const STRAY_TOPIC = 't/${neighbour}/reading'

/** The speeches of a step; a command has two, its answer is the second. */
function speechesOf(step: Step): readonly Omit<Speech, 'number'>[] {
  switch (step.kind) {
    case 'publish': return [{ kind: step.expect === 'accepted' ? 'publish' : 'stray', topic: step.topic, qos: step.qos, bytes: step.bytes }]
    case 'command': return [{ kind: 'command', topic: COMMAND_TOPIC, qos: step.qos, bytes: 0 }, { kind: 'answer', topic: ANSWER_TOPIC, qos: step.qos, bytes: 0 }]
    case 'misbehave': return [{ kind: 'stray', topic: STRAY_TOPIC, qos: 1, bytes: 0 }]
    default: return []
  }
}

export interface Script {
  readonly speeches: readonly Speech[]
  /** The number of the first speech of this step. */
  numberOf(step: Step): number
}

export function scriptOf(scenario: Scenario): Script {
  const speeches: Speech[] = []
  const numbers = new Map<Step, number>()
  for (const step of scenario.phases.flatMap(({ steps }) => steps)) {
    numbers.set(step, speeches.length)
    for (const speech of speechesOf(step)) speeches.push({ ...speech, number: speeches.length })
  }
  return { speeches, numberOf: (step) => numbers.get(step) ?? 0 }
}

/** Whether a topic fits a filter. MQTT 5 §4.7. */
export function matches(filter: string, topic: string): boolean {
  const [filters, levels] = [filter.split('/'), topic.split('/')]
  if (topic.startsWith('$') && !filter.startsWith('$')) return false
  for (const [index, part] of filters.entries()) {
    if (part === '#') return true
    const level = levels[index]
    if (level === undefined || (part !== '+' && part !== level)) return false
  }
  return filters.length === levels.length
}

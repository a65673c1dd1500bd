// What the same rules cost two brokers for a message that is published, acknowledged and goes to nobody: so nearly all of it is TLS,
// parsing, the decision and the PUBACK, and what grows with the number of rules is the decision.

import { writeFileSync } from 'node:fs'
import path from 'node:path'
import type { Target } from '../servers.ts'
import { startLoad, type LoadPlace } from '../mqtt/generator.ts'
import { cpuUsOf, wantedIn } from '../mqtt/throughput.ts'
import type { Wanted } from '../mqtt/verdict.ts'

export interface Publishing {
  readonly speakers: number
  readonly messagesPerSpeaker: number
  /** Messages that every speaker keeps unacknowledged. */
  readonly window: number
}

export interface PublishRound {
  readonly cpuUs: number
  readonly perSecond: number
  readonly generatorCpu: number
  readonly wanted: Wanted
}

/** A session is new in every round: what is remembered of its topic is learnt anew. */
export async function measurePublish(place: LoadPlace, broker: Target, { speakers, messagesPerSpeaker, window }: Publishing): Promise<PublishRound> {
  const load = startLoad(place, broker.pid, { port: broker.port, speakers, listeners: speakers, present: 'speakers', qos: 1 })
  await load.open()
  const phase = await load.run(`fill ${messagesPerSpeaker} ${window}`)
  await load.end()
  if (phase.acked !== speakers * messagesPerSpeaker) throw new Error(`${broker.name}: ${phase.acked} of ${speakers * messagesPerSpeaker} messages were acknowledged`)
  return { cpuUs: cpuUsOf({ broker: phase.broker, delivered: phase.acked }), perSecond: phase.acked / phase.seconds, generatorCpu: phase.cpuSeconds / phase.seconds, wanted: wantedIn(phase) }
}

const others = (rules: number): readonly number[] => Array.from({ length: rules - 1 }, (_, n) => n)

/** So many rules for every speaker, of which the last one allows what it says. */
export function writePolicy(home: string, rules: number): void {
  const grant = (id: string, root: string): string => `  - { id: ${id}, to: { group: sensors }, publish: [ { topic: "${root}/\${device.id}/#", qos: 1 } ] }`
  writeFileSync(path.join(home, 'policy.yaml'), ['version: 1', 'grants:', ...others(rules).map((n) => grant(`line-${n}`, `line/${n}`)), grant('own', 't'), ''].join('\n'))
}

/** The same for mosquitto, written out for every speaker: a "pattern" line, which says it for all, costs it more for each message. */
export function aclOf(rules: number, speakers: number): string {
  const lines = (name: string): readonly string[] => [`user ${name}`, ...others(rules).map((n) => `topic write line/${n}/${name}/#`), `topic write t/${name}/#`, '']
  return Array.from({ length: speakers }, (_, n) => lines(`speaker-${n}`)).flat().join('\n')
}

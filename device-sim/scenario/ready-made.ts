// Scenarios that need no file: load, storm and soak are made from a few numbers, and played like any other.

import type { Qos } from '../load/light-peer.ts'
import type { Phase, Scenario, Step } from './scenario.ts'

export interface LoadWishes {
  readonly devices: number
  /** Messages per second of all devices together. */
  readonly rate: number
  readonly seconds: number
  readonly qos: Qos
}

const LOAD_TOPIC = 't/${id}/load'
const SECOND = 1_000

const group = (count: number, session: 'clean' | 'kept'): Scenario['groups'] =>
  new Map([['device', { count, role: 'sensors', protocol: 'both', enroll: 'before', session, addresses: 'own', answers: false, hears: [LOAD_TOPIC] }]])
const step = { line: 0, group: ['device'] as string[] }
const arrive: Phase = { name: 'arrive', forMs: undefined, steps: [{ ...step, kind: 'connect', over: 0, expect: 'accepted' }] }
const speaks = (rate: number, qos: Qos): Step => ({ ...step, kind: 'publish', rate, qos, topic: LOAD_TOPIC, bytes: 64, expect: 'accepted' })

/** Every device hears its own messages, as fast as they go. */
export function loadScenario({ devices, rate, seconds, qos }: LoadWishes): Scenario {
  return {
    file: 'sim load', name: `load of ${devices} devices`, about: `${devices} devices publish ${rate} messages a second in all, QoS ${qos}, and each hears its own.`, seed: 1,
    groups: group(devices, 'clean'), thresholds: { unsent: 0 },
    phases: [arrive, { name: 'load', forMs: seconds * SECOND, steps: [speaks(rate, qos)] }],
  }
}

export interface StormWishes {
  readonly devices: number
  /** A device comes back after a random time up to this. */
  readonly backoffSeconds: number
}

const STORM_RATE = 100
const STORM_SECONDS = 5

/** All devices lose their connections at once, and come back. What their kept sessions are owed is not lost. */
export function stormScenario({ devices, backoffSeconds }: StormWishes): Scenario {
  const speech = speaks(STORM_RATE, 1)
  return {
    file: 'sim storm', name: `storm of ${devices} devices`, about: `${devices} devices lose their connections at the same moment and come back, each after a random time up to ${backoffSeconds} s.`, seed: 1,
    groups: group(devices, 'kept'), thresholds: {},
    phases: [
      arrive,
      { name: 'calm', forMs: STORM_SECONDS * SECOND, steps: [speech] },
      { name: 'storm', forMs: (STORM_SECONDS + 2 * backoffSeconds) * SECOND, steps: [speech, { ...step, kind: 'storm', backoff: backoffSeconds * SECOND }] },
      { name: 'calm again', forMs: STORM_SECONDS * SECOND, steps: [speech] },
    ],
  }
}

export interface SoakWishes {
  readonly devices: number
  readonly rate: number
  readonly minutes: number
}

const NIGHT_SHARE = 0.1
const MINUTE = 60 * SECOND
const DAYS = 10

/** Traffic like night and day, and a storm in the middle: nothing is lost, and memory does not climb. */
export function soakScenario({ devices, rate, minutes }: SoakWishes): Scenario {
  const forMs = (minutes * MINUTE) / 2
  const days: Step = { ...step, kind: 'publish', rate: { from: Math.max(1, rate * NIGHT_SHARE), to: rate, period: (2 * forMs) / DAYS }, qos: 1, topic: LOAD_TOPIC, bytes: 64, expect: 'accepted' }
  return {
    file: 'sim soak', name: `soak of ${devices} devices`, about: `${devices} devices, traffic up and down to ${rate} messages a second for ${minutes} minutes, and a storm half-way.`, seed: 1,
    groups: group(devices, 'kept'), thresholds: {},
    phases: [arrive, { name: 'first half', forMs, steps: [days] }, { name: 'storm and second half', forMs, steps: [days, { ...step, kind: 'storm', backoff: 5 * SECOND }] }],
  }
}

// What the conductor of a scenario and its threads say to each other. Plain data: it goes from thread to thread.

import type { RecordableHistogram } from 'node:perf_hooks'
import type { EstDoor } from '../est.ts'
import type { Credentials } from '../raw-peer.ts'
import type { Target } from '../target.ts'
import type { Player, Speech } from './cast.ts'
import type { Heard } from './hearing.ts'
import type { Timing } from './scenario.ts'

/** Where devices come from: two addresses each, the second for when it moves. */
export interface Seat {
  readonly player: Player
  readonly sources: readonly [string | undefined, string | undefined]
  readonly neighbour: string
  readonly credentials?: Credentials
}

export interface Setting {
  readonly target: Target
  readonly seats: readonly Seat[]
  readonly speeches: readonly Speech[]
  /** The ids of the whole cast, by index. */
  readonly ids: readonly string[]
  readonly seed: number
  /** Where devices ask for the next certificate; undefined where the target has no such door. */
  readonly enroll: EstDoor | undefined
}

/** Messages per second at so many milliseconds after the begin: steady, or up and down. */
export type Rate = number | { readonly from: number; readonly to: number; readonly period: number }

interface Timed {
  /** The number by which it is answered. */
  readonly order: number
  /** The step, as failures name it. */
  readonly step: string
  /** Indexes of the cast. */
  readonly players: readonly number[]
}

export type Order =
  | (Timed & { readonly kind: 'connect' | 'disconnect' | 'move'; readonly overMs: number; readonly refused: string | undefined })
  | (Timed & { readonly kind: 'renew'; readonly by: 'mqtt' | 'est'; readonly overMs: number; readonly refused: string | undefined })
  | (Timed & { readonly kind: 'storm'; readonly backoffMs: number })
  /** `rate` is that of these players; they take turns. */
  | (Timed & { readonly kind: 'publish'; readonly speech: number; readonly rate: Rate; readonly forMs: number })
  /** Each of the players speaks to the devices that are its own here. */
  | (Timed & { readonly kind: 'command'; readonly speech: number; readonly rate: number; readonly forMs: number; readonly withinMs: number; readonly receivers: readonly (readonly { readonly index: number; readonly id: string }[])[] })
  | (Timed & { readonly kind: 'misbehave'; readonly speech: number; readonly rate: number; readonly forMs: number })
  | { readonly kind: 'credentials'; readonly index: number; readonly credentials: Credentials }
  /** Somebody asks for this device to be taken out: what it says from now on nobody has to deliver. */
  | { readonly kind: 'sealed'; readonly index: number }
  /** From `at` on nobody may hear it. */
  | { readonly kind: 'sealed-at'; readonly index: number; readonly at: number }
  | { readonly kind: 'unsealed'; readonly index: number }
  /** Somebody asks for a rule that denies this topic. */
  | { readonly kind: 'denied'; readonly filter: string; readonly asked: number }
  | { readonly kind: 'denied-at'; readonly filter: string; readonly at: number }
  /** A sample now, whenever the next one is due. */
  | { readonly kind: 'sample' }
  | { readonly kind: 'finish' }

export interface Failure {
  readonly step: string
  readonly device: string
  readonly expected: string
  readonly seen: string
}

/** What has happened since the last sample. */
export interface Sample {
  /** Milliseconds since 1970. */
  readonly at: number
  readonly connected: number
  readonly sent: number
  readonly received: number
  readonly unsent: number
  /** Expected or not, by how it was said. */
  readonly refused: Readonly<Record<string, number>>
  readonly timings: Readonly<Partial<Record<Timing, RecordableHistogram>>>
  /** What the thread has used of a core, and how long that took. */
  readonly cpuMs: number
  readonly spentMs: number
}

export interface PlayerAccount {
  readonly index: number
  /** It was connected without a break since this time, milliseconds since 1970; undefined: it is not connected. */
  readonly steadySince: number | undefined
  readonly sent: readonly { readonly speech: number; readonly owner: number; readonly count: number; readonly due: number; readonly firstAt: number; readonly notDue: readonly number[] }[]
  readonly heard: readonly { readonly speech: number; readonly owner: number; readonly heard: Heard }[]
}

export type News =
  | { readonly kind: 'ready' }
  | { readonly kind: 'done'; readonly order: number }
  | { readonly kind: 'sample'; readonly sample: Sample }
  | { readonly kind: 'failed'; readonly failure: Failure; readonly order: number | undefined }
  | { readonly kind: 'leak'; readonly device: string; readonly what: string }
  | { readonly kind: 'closed'; readonly index: number; readonly at: number; readonly how: string }
  | { readonly kind: 'account'; readonly players: readonly PlayerAccount[] }

// Requests that are sent twice are done once: what was answered under a key is answered again to the same operator for the same request,
// also to one that comes while the first is under way. Kept in memory, for a while, and not for ever: a restart forgets.

import { createHash } from 'node:crypto'
import { HTTP_ANSWER_LIMITS } from '../http-limits.ts'
import { allow, deny, type Decision } from '../core/decision.ts'
import type { EpochMs } from '../core/ids.ts'

export interface KeptAnswer {
  readonly status: number
  readonly body: unknown
  readonly etag?: string | undefined
}

export interface RequestUnderKey {
  /** Who asks: the keys of one operator are nobody else's. */
  readonly operator: string
  readonly key: string
  /** Method, path and body: what the key stands for. */
  readonly request: string
}

export interface Idempotency {
  /** Does the work, or answers what was answered before. Reason: idempotency-reused. What the work throws is thrown to everybody who waits for it, and kept for nobody. */
  once(asked: RequestUnderKey, work: () => Promise<KeptAnswer>): Promise<Decision<KeptAnswer>>
  /** Answers that are kept, or under way. */
  readonly size: number
}

interface Entry {
  readonly operator: string
  readonly request: string
  readonly at: EpochMs
  readonly answer: Promise<KeptAnswer>
  /** Undefined: it is under way, and not forgotten before it is done, or it would be done twice. */
  bytes: number | undefined
}

const KEY = /^[\x21-\x7e]+$/

/** The key of a request: a structured field string, or the bare text of it. Reason: request-invalid. */
export function parseIdempotencyKey(header: string): Decision<string> {
  const key = /^"(.*)"$/.exec(header)?.[1] ?? header
  return KEY.test(key) && key.length <= HTTP_ANSWER_LIMITS.keyCharsMax ? allow(key) : deny('request-invalid', `an Idempotency-Key is 1 to ${HTTP_ANSWER_LIMITS.keyCharsMax} visible characters of ASCII`)
}

export function openIdempotency(clock: () => EpochMs): Idempotency {
  /** The oldest first. */
  const entries = new Map<string, Entry>()
  /** Of each operator: how many, and the bytes of their answers. */
  const held = new Map<string, { count: number; bytes: number }>()
  let bytes = 0

  function account({ operator }: Entry, count: number, size: number): void {
    const own = held.get(operator) ?? { count: 0, bytes: 0 }
    bytes += size
    if (own.count + count === 0) held.delete(operator)
    else held.set(operator, { count: own.count + count, bytes: own.bytes + size })
  }

  function forget(name: string, entry: Entry): void {
    if (entries.delete(name)) account(entry, -1, -(entry.bytes ?? 0))
  }

  /** What is too old goes, and then the oldest of whoever has too many, or the most. Nobody's flood makes others forget. */
  function makeRoom(operator: string, now: EpochMs): void {
    for (const [name, entry] of entries) {
      // Time that runs backwards keeps nothing for ever.
      if (entry.at <= now && now - entry.at < HTTP_ANSWER_LIMITS.keptMs) break
      if (entry.bytes !== undefined) forget(name, entry)
    }
    while ((held.get(operator)?.count ?? 0) >= HTTP_ANSWER_LIMITS.keysPerOperatorMax && forgetOldest(operator));
    while (entries.size >= HTTP_ANSWER_LIMITS.keysMax && forgetOldest(heaviest('count')));
    while (bytes > HTTP_ANSWER_LIMITS.bytesMax && forgetOldest(heaviest('bytes')));
  }

  function heaviest(by: 'count' | 'bytes'): string | undefined {
    let found: string | undefined
    for (const [operator, own] of held) if (own[by] > (held.get(found ?? '')?.[by] ?? 0)) found = operator
    return found
  }

  /** False: there is none that may go. */
  function forgetOldest(operator: string | undefined): boolean {
    for (const [name, entry] of entries) {
      if (entry.operator !== operator || entry.bytes === undefined) continue
      forget(name, entry)
      return true
    }
    return false
  }

  return {
    get size() {
      return entries.size
    },
    async once({ operator, key, request }, work) {
      const name = `${operator} ${key}`
      const now = clock()
      makeRoom(operator, now)
      const digest = createHash('sha256').update(request).digest('base64')
      const before = entries.get(name)
      if (before !== undefined) return before.request === digest ? allow(await before.answer) : deny('idempotency-reused')
      const answer = work()
      const entry: Entry = { operator, request: digest, at: now, answer, bytes: undefined }
      entries.set(name, entry)
      account(entry, 1, 0)
      try {
        const kept = await answer
        entry.bytes = JSON.stringify(kept.body ?? null).length
        account(entry, 0, entry.bytes)
        return allow(kept)
      } catch (error) {
        forget(name, entry)
        throw error
      }
    },
  }
}

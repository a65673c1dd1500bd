// Which certificates have ended, in little memory: (issuer, serial) → state. A JavaScript Map of ten million records would take
// gigabytes, and none can hold more than 2^24 keys. It remembers 96 bits of a hash instead of the number itself: that two of ten
// million are taken for one has a probability of 10^-15, and whoever asks then reads the registry, which has both in full.

import { randomInt } from 'node:crypto'
import type { CertificateState } from '../core/registry.ts'
import { CERTIFICATE_STATES } from '../core/registry.ts'

export interface SerialSet {
  readonly size: number
  /** What its tables take. */
  readonly bytes: number
  /** So many are about to come: room for them is made at once. Tables that grow leave holes behind, which the process keeps. */
  expect(count: number): void
  get(issuer: string, serial: string): CertificateState | undefined
  set(issuer: string, serial: string, state: CertificateState): void
}

/** Each grows by itself, so that no growth moves more than this part of the whole. */
const SEGMENT_BITS = 10
const SEGMENTS = 1 << SEGMENT_BITS
/** 13 bytes a slot: with these two never more than 19 bytes for each entry, once there are some thousands. */
const LOAD_MAX = 0.85
const GROWTH = 1.2
const SLOTS_MIN = 8
const WORDS = 3
const TWO_32 = 4_294_967_296

interface Segment {
  /** Three words for each slot. */
  words: Uint32Array
  /** 0: the slot is free; otherwise the state's place in CERTIFICATE_STATES, from 1. */
  codes: Uint8Array
  used: number
}

export function openSerialSet(): SerialSet {
  const segments: (Segment | undefined)[] = Array.from({ length: SEGMENTS }, () => undefined)
  let slotsFirst = SLOTS_MIN
  // Whoever chooses serial numbers does not know where they go.
  const seeds = [randomInt(TWO_32), randomInt(TWO_32), randomInt(TWO_32)] as const
  let size = 0
  let [a, b, c] = [0, 0, 0]

  /** The hash of a name, left in a, b and c: nothing is allocated for a look-up. */
  function hash(issuer: string, serial: string): void {
    ;[a, b, c] = seeds
    mix(issuer)
    mix('/')
    mix(serial)
    a = finish(a ^ c)
    b = finish(b ^ a)
    c = finish(c ^ b)
  }

  function mix(text: string): void {
    for (let i = 0; i < text.length; i++) {
      const unit = text.charCodeAt(i)
      a = Math.imul(a ^ unit, 0x9e3779b1)
      a ^= a >>> 15
      b = Math.imul(b ^ unit ^ a, 0x85ebca6b)
      b ^= b >>> 13
      c = Math.imul(c ^ unit ^ b, 0xc2b2ae35)
      c ^= c >>> 16
    }
  }

  return {
    get size() {
      return size
    },
    get bytes() {
      return segments.reduce((sum, segment) => sum + (segment === undefined ? 0 : segment.words.byteLength + segment.codes.byteLength), 0)
    },
    expect(count) {
      // Chance gives some segments more than others: four times the spread is what one in ten thousand goes beyond.
      const each = count / SEGMENTS
      slotsFirst = Math.max(SLOTS_MIN, Math.ceil((each + 4 * Math.sqrt(each)) / LOAD_MAX))
    },
    get(issuer, serial) {
      hash(issuer, serial)
      const segment = segments[a >>> (32 - SEGMENT_BITS)]
      const code = segment === undefined ? 0 : (segment.codes[slotOf(segment, a, b, c)] ?? 0)
      return code === 0 ? undefined : CERTIFICATE_STATES[code - 1]
    },
    set(issuer, serial, state) {
      hash(issuer, serial)
      const place = a >>> (32 - SEGMENT_BITS)
      let segment = (segments[place] ??= emptySegment(slotsFirst))
      if (segment.used + 1 > segment.codes.length * LOAD_MAX) segments[place] = segment = grown(segment)
      const slot = slotOf(segment, a, b, c)
      if (segment.codes[slot] === 0) {
        segment.used += 1
        size += 1
      }
      put(segment, slot, a, b, c, CERTIFICATE_STATES.indexOf(state) + 1)
    },
  }
}

function finish(value: number): number {
  let mixed = Math.imul(value ^ (value >>> 16), 0x7feb352d)
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x846ca68b)
  return (mixed ^ (mixed >>> 16)) >>> 0
}

function emptySegment(slots: number): Segment {
  return { words: new Uint32Array(slots * WORDS), codes: new Uint8Array(slots), used: 0 }
}

/** The slot of this hash, or the free one where it belongs. */
function slotOf({ words, codes }: Segment, a: number, b: number, c: number): number {
  const slots = codes.length
  // The first word chose the segment; the second chooses the slot, whatever their number is.
  let slot = Math.floor((b / TWO_32) * slots)
  while (codes[slot] !== 0) {
    const at = slot * WORDS
    if (words[at] === a && words[at + 1] === b && words[at + 2] === c) return slot
    slot += 1
    if (slot === slots) slot = 0
  }
  return slot
}

function put({ words, codes }: Segment, slot: number, a: number, b: number, c: number, code: number): void {
  const at = slot * WORDS
  words[at] = a
  words[at + 1] = b
  words[at + 2] = c
  codes[slot] = code
}

function grown(old: Segment): Segment {
  const segment = emptySegment(Math.max(SLOTS_MIN, Math.ceil(old.codes.length * GROWTH) + 1))
  segment.used = old.used
  for (let slot = 0; slot < old.codes.length; slot++) {
    const code = old.codes[slot] ?? 0
    if (code === 0) continue
    const at = slot * WORDS
    const [a, b, c] = [old.words[at] ?? 0, old.words[at + 1] ?? 0, old.words[at + 2] ?? 0]
    put(segment, slotOf(segment, a, b, c), a, b, c, code)
  }
  return segment
}

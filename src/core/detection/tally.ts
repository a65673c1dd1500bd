// Counts over the last minutes, in pieces, each forgotten as a whole: how many there were, and how many different ones. What they
// count they do not know. Bounded: ten numbers, and for different ones a table of fixed size. Time must not run backwards here.

import { DETECTION_LIMITS } from '../../detection-limits.ts'

const { pieces: PIECES, varietyPlaces: PLACES } = DETECTION_LIMITS

/** How many within the last `windowMs`; up to a tenth of that may be forgotten early, and nothing that is older counts. */
export class Tally {
  readonly #pieceMs: number
  readonly #counts: number[] = Array.from({ length: PIECES }, () => 0)
  #piece = 0

  constructor(windowMs: number) {
    this.#pieceMs = windowMs / PIECES
  }

  total(at: number): number {
    this.advance(at)
    let sum = 0
    for (const count of this.#counts) sum += count
    return sum
  }

  /** Returns which of the pieces it went to. */
  add(at: number): number {
    this.advance(at)
    const index = this.#piece % PIECES
    this.#counts[index] = (this.#counts[index] ?? 0) + 1
    return index
  }

  /** Takes back one that is counted in this piece. */
  takeBack(index: number): void {
    this.#counts[index] = (this.#counts[index] ?? 0) - 1
  }

  /** Forgets what is older than the window; says how many pieces that are empty from now on, the present one last. */
  advance(at: number): readonly number[] {
    const piece = Math.floor(at / this.#pieceMs)
    const passed = Math.min(piece - this.#piece, PIECES)
    if (passed <= 0) return NONE
    this.#piece = piece
    const begun = Array.from({ length: passed }, (_, i) => (piece - passed + 1 + i) % PIECES)
    for (const index of begun) this.#counts[index] = 0
    return begun
  }
}

const NONE: readonly number[] = []

/**
 * How many different ones within the last `windowMs`, told apart by a hash. Each has a place in a table, which remembers in which
 * piece it was last seen; how many there were is estimated from how many places are taken (linear counting), within 3 % up to
 * `varietyMax`.
 */
export class Variety {
  readonly #seen: Tally
  /** 1 + the piece; 0: not seen within the window. */
  readonly #places = new Uint8Array(PLACES)

  constructor(windowMs: number) {
    this.#seen = new Tally(windowMs)
  }

  add(at: number, hash: number): void {
    this.#forget(at)
    const place = hash % PLACES
    const before = this.#places[place] ?? 0
    if (before > 0) this.#seen.takeBack(before - 1)
    this.#places[place] = this.#seen.add(at) + 1
  }

  total(at: number): number {
    this.#forget(at)
    const taken = Math.min(this.#seen.total(at), PLACES - 1)
    return Math.round(-PLACES * Math.log1p(-taken / PLACES))
  }

  #forget(at: number): void {
    const begun = this.#seen.advance(at)
    if (begun.length === 0) return
    for (let place = 0; place < PLACES; place++) if (begun.includes((this.#places[place] ?? 0) - 1)) this.#places[place] = 0
  }
}

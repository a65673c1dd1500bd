// Messages that wait in memory for one session, in order, and how many bytes they are. What was taken from the front is cut off now
// and then, so that taking costs nothing. It sends nothing.

import { BROKER_LIMITS } from '../../limits.ts'

export class WaitingLine<T extends { readonly bytes: number }> {
  #entries: T[] = []
  #taken = 0
  #bytes = 0

  get length(): number {
    return this.#entries.length - this.#taken
  }

  get bytes(): number {
    return this.#bytes
  }

  push(entry: T): void {
    this.#entries.push(entry)
    this.#bytes += entry.bytes
  }

  /** Takes the first one. */
  shift(): T | undefined {
    const first = this.#entries[this.#taken]
    if (first === undefined) return undefined
    this.#taken += 1
    this.#bytes -= first.bytes
    if (this.#taken === this.#entries.length || this.#taken > BROKER_LIMITS.queuePageMessages) {
      this.#entries = this.#entries.slice(this.#taken)
      this.#taken = 0
    }
    return first
  }

  /** Each entry is what `change` makes of it; undefined: it goes. */
  change(change: (entry: T) => T | undefined): void {
    this.#entries = this.#entries.slice(this.#taken).map(change).filter((entry) => entry !== undefined)
    this.#taken = 0
    this.#bytes = this.#entries.reduce((sum, { bytes }) => sum + bytes, 0)
  }

  clear(): void {
    this.#entries = []
    this.#taken = 0
    this.#bytes = 0
  }
}

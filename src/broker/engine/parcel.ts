// A message on its way through this process: one object for all its subscribers, with the bytes of its PUBLISH made once.

import type { Message } from '../../core/message.ts'
import { publishBytes, type PublishBytes } from './publish-bytes.ts'

export class Parcel {
  #message: Message
  #bytes: PublishBytes | undefined
  #pinned = false

  constructor(message: Message) {
    this.#message = message
  }

  get message(): Message {
    return this.#message
  }

  get bytes(): PublishBytes {
    this.#bytes ??= publishBytes(this.#message)
    return this.#bytes
  }

  /**
   * To be called before it waits in memory: its payload is a view of the chunk that it came in, and a chunk of many KiB must not
   * stay for the sake of every small message in a queue.
   */
  pin(): this {
    if (this.#pinned) return this
    this.#pinned = true
    this.#message = { ...this.#message, payload: Uint8Array.prototype.slice.call(this.#message.payload) }
    this.#bytes = undefined
    return this
  }
}

// What a session is sent while retained messages are being looked up for it: of a topic that it hears of meanwhile, what was retained is old.

export class HeardMeanwhile {
  #lookups = 0
  readonly #topics = new Set<string>()

  /** It is being sent a message that is not a retained one. */
  note(topic: string): void {
    if (this.#lookups > 0) this.#topics.add(topic)
  }

  /** `isOld` says of which topics it has been sent something since this began. */
  async during(show: (isOld: (topic: string) => boolean) => Promise<void>): Promise<void> {
    this.#lookups += 1
    try {
      await show((topic) => this.#topics.has(topic))
    } finally {
      this.#lookups -= 1
      if (this.#lookups === 0) this.#topics.clear()
    }
  }
}

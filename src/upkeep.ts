// Work that comes round by itself. Each piece is tried again when its time has come again; one that fails keeps nobody from the others.

export interface Job {
  readonly everyMs: number
  readonly work: () => Promise<void>
  /** What is logged when it fails. */
  readonly complaint: string
}

/** `run` never rejects. */
export function openUpkeep(jobs: readonly Job[], run: (work: Job['work'], complaint: string) => Promise<void>): Disposable {
  const timers = jobs.map(({ everyMs, work, complaint }) => setInterval(() => void run(work, complaint), everyMs).unref())
  return {
    [Symbol.dispose]() {
      for (const timer of timers) clearInterval(timer)
    },
  }
}

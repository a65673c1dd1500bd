// Work that is done one after the other where it is about the same thing, and at once where it is not.

/** What is given the same name waits for what was given it before, however that ended. How many wait is the caller's to bound. */
export function openLines(): <T>(name: string, work: () => Promise<T>) => Promise<T> {
  /** The last of each that is under way. */
  const lines = new Map<string, Promise<void>>()
  return async (name, work) => {
    const before = lines.get(name) ?? Promise.resolve()
    const done = before.then(work)
    const settled = done.then(() => undefined, () => undefined)
    lines.set(name, settled)
    try {
      return await done
    } finally {
      if (lines.get(name) === settled) lines.delete(name)
    }
  }
}

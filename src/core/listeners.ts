// Who is told, and that everybody is: a list of listeners that outlives the failure of one. It knows nothing of what is
// told.

export interface Listeners<T> {
  /** Returns the way to stop. */
  readonly add: (listener: (value: T) => void) => () => void
  /** Calls all, in the order in which they came, whatever one of them throws: that is a bug and becomes an uncaught exception. */
  readonly tell: (value: T) => void
}

export function listeners<T>(): Listeners<T> {
  const all = new Set<(value: T) => void>()
  return {
    add: (listener) => {
      all.add(listener)
      return () => {
        all.delete(listener)
      }
    },
    tell: (value) => {
      for (const listener of all) {
        try {
          listener(value)
        } catch (error) {
          queueMicrotask(() => {
            throw error
          })
        }
      }
    },
  }
}

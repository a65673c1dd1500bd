// The account of what was promised and what arrived. Speakers enter what they said and what was acknowledged to them, hearers
// what reached them; it says what is wrong: lost, out of order, twice. It knows no packets and no clock.

/** A stream is what keeps its order: one publisher on one topic. Its messages are numbered from 1. */
export interface Account {
  /** The next number of a stream. */
  said(stream: string): number
  /** Sent again by its publisher: QoS 1 may arrive once more. */
  saidAgain(stream: string, number: number): void
  /** PUBACK or PUBREC came: from now on it is owed to every hearer. */
  acknowledged(stream: string, number: number): void
  /** It reached the application of a hearer. */
  heard(hearer: string, message: { readonly stream: string; readonly number: number; readonly qos: number; readonly dup: boolean }): void
  /** Anything else that a client saw and must not see. */
  fault(sentence: string): void
  /** What is owed to this hearer and has not come, as `stream number`. */
  owed(hearer: string): ReadonlySet<string>
  readonly faults: readonly string[]
  readonly totals: { readonly said: number; readonly acknowledged: number; readonly heard: number; readonly again: number }
}

const FAULTS_MAX = 20

/** The account of these hearers, all of whom hear every stream. */
export function openAccount(hearers: readonly string[]): Account {
  const last = new Map<string, number>()
  const resent = new Set<string>()
  const faults: string[] = []
  const books = new Map(hearers.map((name) => [name, { newest: new Map<string, number>(), first: new Set<string>(), owed: new Set<string>() }]))
  const totals = { said: 0, acknowledged: 0, heard: 0, again: 0 }
  const bookOf = (hearer: string) => {
    const book = books.get(hearer)
    if (book === undefined) throw new Error(`nobody is called ${hearer}`)
    return book
  }
  const fault = (sentence: string): void => {
    if (faults.length < FAULTS_MAX) faults.push(sentence)
  }
  return {
    faults, totals, fault,
    said(stream) {
      const number = (last.get(stream) ?? 0) + 1
      last.set(stream, number)
      totals.said += 1
      return number
    },
    saidAgain: (stream, number) => void resent.add(`${stream} ${number}`),
    acknowledged(stream, number) {
      totals.acknowledged += 1
      const name = `${stream} ${number}`
      for (const { first, owed } of books.values()) if (!first.has(name)) owed.add(name)
    },
    heard(hearer, { stream, number, qos, dup }) {
      const { newest, first, owed } = bookOf(hearer)
      const name = `${stream} ${number}`
      totals.heard += 1
      if (number > (last.get(stream) ?? 0)) return fault(`${hearer} heard ${name}, which nobody has said`)
      if (first.has(name)) {
        totals.again += 1
        if (qos === 2) fault(`${hearer} heard ${name} twice, with QoS 2`)
        else if (!dup && !resent.has(name)) fault(`${hearer} heard ${name} twice; the second was not marked as sent again, and its publisher had said it once`)
        return
      }
      const before = newest.get(stream) ?? 0
      if (number < before) fault(`${hearer} heard ${name} for the first time after ${before}`)
      newest.set(stream, Math.max(before, number))
      first.add(name)
      owed.delete(name)
    },
    owed: (hearer) => bookOf(hearer).owed,
  }
}

// What keeps the simulator from running at all, as opposed to a device being refused or a case failing. The message is
// for a person, the exit code for the shell.

import { EXIT } from '../src/vocabulary.ts'

export type SimFailure = 'usage' | 'unreachable' | 'failed'

export class SimError extends Error {
  override readonly name = 'SimError'
  readonly code: SimFailure

  constructor(code: SimFailure, message: string) {
    super(message)
    this.code = code
  }

  get exit(): number {
    return EXIT[this.code]
  }
}

/** Closes a switch over a union: the compiler refuses it when a case is missing. */
export function unreachable(value: never): never {
  throw new SimError('failed', `unreachable: ${JSON.stringify(value)}`)
}

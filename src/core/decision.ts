// A denial is a value: every judgement of this program ends in a Decision. It owns that shape and nothing else; the
// reasons themselves are public vocabulary.

import type { DenyReason } from '../vocabulary.ts'

export interface Allowed<T> {
  readonly allow: true
  readonly value: T
}

export interface Denied {
  readonly allow: false
  readonly reason: DenyReason
  /** The fact that decided, for the operator and the audit log; never sent to the peer, never a secret. */
  readonly detail?: string
}

export type Decision<T> = Allowed<T> | Denied

export function allow<T>(value: T): Allowed<T> {
  return { allow: true, value }
}

export function deny(reason: DenyReason, detail?: string): Denied {
  return detail === undefined ? { allow: false, reason } : { allow: false, reason, detail }
}

/** Closes a switch over a union: the compiler refuses it when a case is missing. */
export function unreachable(value: never): never {
  throw new Error(`unreachable: ${JSON.stringify(value)}`)
}

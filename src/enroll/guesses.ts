// Whoever guesses tokens waits, and nobody else does: what is locked is the address that guesses, never the token, or anybody could
// keep a device from its certificate by guessing at it.

import { sourceKey } from '../core/source.ts'
import type { EpochMs } from '../core/ids.ts'
import { ENROLL_LIMITS } from '../enrollment-limits.ts'

interface Account {
  wrong: number
  lockedUntil: EpochMs
  at: EpochMs
}

export interface Guesses {
  /** How long this address still waits, in ms; 0 when it may ask. */
  waits(address: string, now: EpochMs): number
  wrong(address: string, now: EpochMs): void
}

export function openGuesses(): Guesses {
  const accounts = new Map<string, Account>()

  /** A clock that was set back a year forgives nothing, and makes no year of a second that was left to wait. */
  function follow(account: Account, now: EpochMs): void {
    const back = account.at - now
    if (back <= 0) return
    account.lockedUntil -= back
    account.at = now
  }

  return {
    waits(address, now) {
      const account = accounts.get(sourceKey(address))
      if (account === undefined) return 0
      follow(account, now)
      return Math.max(0, account.lockedUntil - now)
    },
    wrong(address, now) {
      const key = sourceKey(address)
      const before = accounts.get(key)
      // Who has been quiet for as long as the longest lock begins anew.
      const account: Account = before === undefined || now - before.at > ENROLL_LIMITS.guessLockMaxMs ? { wrong: 0, lockedUntil: 0, at: now } : before
      account.wrong += 1
      account.at = now
      const over = account.wrong - ENROLL_LIMITS.guessesFree
      if (over >= 0) account.lockedUntil = now + Math.min(ENROLL_LIMITS.guessLockMinMs * 2 ** Math.min(over, 30), ENROLL_LIMITS.guessLockMaxMs)
      accounts.delete(key)
      accounts.set(key, account)
      if (accounts.size <= ENROLL_LIMITS.sourcesRememberedMax) return
      const oldest = accounts.keys().next()
      if (oldest.done !== true) accounts.delete(oldest.value)
    },
  }
}

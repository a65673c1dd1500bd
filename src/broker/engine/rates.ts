// How much each device has used of its rates: one account for all its sessions, which outlives connections and policies. A bucket
// that is full again is as good as none, and goes; the account of a device that is connected is never thrown away.

import { BROKER_LIMITS } from '../../limits.ts'
import type { Rate } from '../../core/policy/document.ts'
import type { RateMeter } from '../../core/policy/grants.ts'
import type { DeviceId, EpochMs } from '../../core/ids.ts'
import { fullBucket, takeToken, type Bucket } from '../../core/token-bucket.ts'

export interface Rates {
  of(device: DeviceId): RateMeter
  /** Lets go of what is full, of some devices each time; to be called every second. */
  sweep(): void
  /** Devices that have an account. */
  readonly size: number
}

interface Used {
  readonly bucket: Bucket
  rate: Rate
}

type Account = Map<string, Used>

export interface RatePorts {
  readonly clock: () => EpochMs
  isConnected(device: DeviceId): boolean
}

export function openRates(ports: RatePorts): Rates {
  const { clock } = ports
  /** The least recently looked at first. */
  const accounts = new Map<DeviceId, Account>()

  function take(device: DeviceId, key: string, rate: Rate): boolean {
    const now = clock()
    const account = accounts.get(device) ?? opened(device)
    const used = account.get(key) ?? { bucket: fullBucket(rate, now), rate }
    if (!account.has(key)) {
      if (account.size >= BROKER_LIMITS.ratesPerDeviceMax) forgetOldest(account)
      account.set(key, used)
    }
    // A policy may change the rate and keep its name: what was left stays, as far as it fits.
    used.rate = rate
    used.bucket.tokens = Math.min(used.bucket.tokens, rate.burst)
    return takeToken(used.bucket, rate, now)
  }

  function opened(device: DeviceId): Account {
    if (accounts.size >= BROKER_LIMITS.rateAccountsMax) makeRoom()
    const account: Account = new Map()
    accounts.set(device, account)
    return account
  }

  function makeRoom(): void {
    let looked = 0
    for (const device of accounts.keys()) {
      if (++looked > BROKER_LIMITS.rateAccountsPerSweep) return
      if (ports.isConnected(device)) again(device)
      else {
        accounts.delete(device)
        return
      }
    }
  }

  /** To the end of the line. */
  function again(device: DeviceId): void {
    const account = accounts.get(device)
    accounts.delete(device)
    if (account !== undefined) accounts.set(device, account)
  }

  return {
    of: (device) => ({ take: (key, rate) => take(device, key, rate) }),
    sweep() {
      const now = clock()
      let left = Math.min(accounts.size, BROKER_LIMITS.rateAccountsPerSweep)
      for (const [device, account] of accounts) {
        if (left-- === 0) return
        for (const [key, { bucket, rate }] of account) if (isFull(bucket, rate, now)) account.delete(key)
        if (account.size === 0) accounts.delete(device)
        else again(device)
      }
    },
    get size() {
      return accounts.size
    },
  }
}

function isFull({ tokens, at }: Bucket, rate: Rate, now: EpochMs): boolean {
  return tokens + (Math.max(0, now - at) / 1_000) * rate.perSecond >= rate.burst
}

function forgetOldest(account: Account): void {
  const oldest = account.keys().next()
  if (oldest.done !== true) account.delete(oldest.value)
}

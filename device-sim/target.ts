// Where the simulator aims: an address, what to trust there, and from which of its own addresses it may come. It owns
// the rule that keeps attacks away from other people's machines.

import { isIP } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { SimError } from './failure.ts'
import { SIM_LIMITS } from './limits.ts'

export interface Target {
  readonly host: string
  readonly port: number
  /** The name that the server's certificate must bear. */
  readonly serverName: string
  /** What devices trust, PEM. */
  readonly ca: string
  /** Waits until the next connection may be opened: what is not this machine gets only so many a second. */
  readonly turn?: () => Promise<void>
}

/** 127.0.0.0/8, ::1 and the name localhost. A name that merely resolves to loopback today is not accepted. */
export function isLoopback(host: string): boolean {
  const bare = host.replace(/^\[(.*)\]$/, '$1').toLowerCase()
  return bare === 'localhost' || bare === '::1' || (isIP(bare) === 4 && bare.startsWith('127.'))
}

/** `mqtts://host:port`; other schemes are refused, for a device would not use them. */
export function parseAddress(text: string, option: '--address' | '--target' = '--address'): { readonly host: string; readonly port: number } {
  const url = URL.parse(text)
  if (url === null || url.hostname === '') throw new SimError('usage', `${option} ${text} is no address; write mqtts://host:port.`)
  if (url.protocol !== 'mqtts:') throw new SimError('usage', `${option} must be mqtts://host:port, not ${url.protocol}//.`)
  return { host: url.hostname.replace(/^\[(.*)\]$/, '$1'), port: url.port === '' ? 8883 : Number(url.port) }
}

/** Attacks and floods go to loopback, or to what its owner says is theirs. */
export function refuseForeignTarget(host: string, ownIt: boolean): void {
  if (isLoopback(host) || ownIt) return
  throw new SimError('usage', `${host} is not this machine. The simulator attacks what it is pointed at: add --i-own-this-target when it is yours.`)
}

/** Turns of a target: without waiting on this machine, elsewhere so many a second, in the order in which they were asked for. */
export function openTurns(host: string, perSecond: number = SIM_LIMITS.elsewherePerSecond): Pick<Target, 'turn'> {
  if (isLoopback(host)) return {}
  let next = performance.now()
  return {
    async turn() {
      const at = Math.max(next, performance.now())
      next = at + 1_000 / perSecond
      await delay(Math.max(0, at - performance.now()))
    },
  }
}

/** Hands out loopback addresses, each once; undefined where the machine or the target has only one. */
export interface Sources {
  next(): string | undefined
}

/**
 * Every attempt comes from an address of its own where that is possible (Linux answers on all of 127.0.0.0/8), so that
 * its audit record can be told from all others and no rate of one source hides another refusal.
 */
export function openSources(target: Pick<Target, 'host'>): Sources {
  const many = process.platform === 'linux' && isIP(target.host) === 4 && target.host.startsWith('127.')
  let count = 0
  return {
    next() {
      if (!many) return undefined
      count += 1
      const n = count % 0xffffff
      return `127.${64 + ((n >> 16) & 0x3f)}.${(n >> 8) & 0xff}.${n & 0xff}`
    },
  }
}

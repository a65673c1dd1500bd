// The calls with which a process writes, counted and disturbed by strace: the Nth of one kind kills it or fails. strace counts
// each kind and each thread for itself, so a place in the walk is a kind of call and a number.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { Chance } from './chance.ts'
import { attached } from './storage.ts'

/** What leaves a process: to a disk, to a peer, to the process beside it. */
const WRITING = ['write', 'writev', 'pwrite64', 'pwritev', 'fsync', 'fdatasync', 'ftruncate', 'rename', 'unlink', 'sendto', 'sendmsg'] as const
/** Enough of what is written to read a serial number in a request to the signer. */
const SHOWN_BYTES = 64

/** The Nth call of this kind that one thread makes. */
export interface Place {
  readonly call: string
  readonly nth: number
}

export const named = ({ call, nth }: Place): string => `${call} ${nth}`

/** What becomes of a call, in strace's words. A process that is killed at the entry of a call has not made it. */
export const KILLED = 'signal=KILL'
export const IO_ERROR = 'error=EIO'
export const NO_SPACE = 'error=ENOSPC'

export interface Disturbance {
  readonly calls: string
  readonly how: string
  /** Which of them: a number, or strace's `N+` for that one and all that follow. */
  readonly when?: string
}

export interface Watch extends AsyncDisposable {
  /** Lets go of the process, or takes note that it is gone. What it has done since, a line for each call. */
  end(): Promise<readonly string[]>
}

export interface Watching {
  /** What it writes, where nothing is said. */
  readonly calls?: readonly string[]
  /** This thread, by its own number, without the others of its process. */
  readonly alone?: boolean
}

/** Watches the calls of a process, and disturbs it. */
export async function watch(pid: number, disturbance?: Disturbance, { calls: watched = WRITING, alone = false }: Watching = {}): Promise<Watch> {
  const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-strace-'))
  const file = path.join(folder, 'calls')
  const { calls, how, when } = disturbance ?? {}
  const inject = disturbance === undefined ? [] : ['-e', `inject=${calls ?? ''}:${how ?? ''}${when === undefined ? '' : `:when=${when}`}`]
  const child = spawn('strace', [...(alone ? [] : ['-f']), '-p', String(pid), '-yy', '-x', '-s', String(SHOWN_BYTES), '-e', `trace=${watched.join(',')}`, ...inject, '-o', file], { stdio: ['ignore', 'pipe', 'pipe'] })
  const gone = once(child, 'exit')
  await attached(child)
  let ended: Promise<readonly string[]> | undefined
  const end = (): Promise<readonly string[]> => (ended ??= letGo())
  async function letGo(): Promise<readonly string[]> {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGINT')
    await gone
    const lines = readFileSync(file, 'utf8').split('\n')
    rmSync(folder, { recursive: true })
    return lines
  }
  return { end, [Symbol.asyncDispose]: async () => void (await end()) }
}

/** The places of one thread at which it has to do with this file. */
export function placesAt(lines: readonly string[], file: string): readonly Place[] {
  const seen = new Map<string, number>()
  return lines.flatMap((line) => {
    const call = /^(?:\d+ +)?([a-z0-9]+)\(/.exec(line)?.[1]
    if (call === undefined) return []
    const nth = (seen.get(call) ?? 0) + 1
    seen.set(call, nth)
    return line.includes(file) ? [{ call, nth }] : []
  })
}

/** Every place that these calls lead past, the first of each kind first. */
export function placesOf(lines: readonly string[]): readonly Place[] {
  const seen = new Map<string, number>()
  for (const line of lines) {
    const [, thread, call] = /^(\d+) +([a-z0-9]+)\(/.exec(line) ?? []
    if (thread !== undefined && call !== undefined) seen.set(`${call} ${thread}`, (seen.get(`${call} ${thread}`) ?? 0) + 1)
  }
  const most = new Map<string, number>()
  for (const [name, count] of seen) {
    const call = name.slice(0, name.indexOf(' '))
    most.set(call, Math.max(most.get(call) ?? 0, count))
  }
  return [...most].flatMap(([call, count]) => Array.from({ length: count }, (_, i) => ({ call, nth: i + 1 })))
}

/** So many of the places, spread over all of them; 0 for all. */
export function sample(places: readonly Place[], count: number, chance: Chance): readonly Place[] {
  if (count === 0 || count >= places.length) return places
  const each = places.length / count
  return Array.from({ length: count }, (_, i) => places[Math.floor(i * each) + chance.below(Math.max(1, Math.floor(each)))]).filter((place) => place !== undefined)
}

/** The serial numbers that the program asked its signer to sign: version 3, then an INTEGER of 16 octets. RFC 5280 §4.1. */
export function serialsAsked(lines: readonly string[]): readonly string[] {
  return lines.flatMap((line) => {
    const [, bytes = ''] = /^\d+ +write\(\d+<UNIX[^>]*>[^"]*"((?:\\x[0-9a-f]{2})+)"/.exec(line) ?? []
    return /a0030201020210([0-9a-f]{32})/.exec(bytes.replaceAll(String.raw`\x`, ''))?.[1] ?? []
  })
}

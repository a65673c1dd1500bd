// What an acknowledgement is worth, seen and not believed: the broker's system calls while one speaker publishes QoS 1 to a
// session that is away, one message at a time. An acknowledgement that is written to the socket before anything was synced
// to the disk promises what a crash can break. It needs strace; where that is missing, nothing is said.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import type { Target } from '../servers.ts'
import { startLoad, type LoadPlace } from './generator.ts'

const STRACE = 'strace'
const CALLS = 'read,readv,recvfrom,recvmsg,write,writev,sendto,sendmsg,fsync,fdatasync'
const MESSAGES = 20

export interface Observed {
  readonly acknowledged: number
  /** Of these, how many after an fsync or fdatasync that ended after the message had come in. */
  readonly afterSync: number
}

/** Undefined where system calls cannot be traced. */
export async function observeDurability(place: LoadPlace, broker: Target, work: string): Promise<Observed | undefined> {
  if (spawnSync(STRACE, ['-V']).error !== undefined) return undefined
  const options = { port: broker.port, speakers: 1, listeners: 1, filter: 'own', qos: 1 } as const
  const subscribing = startLoad(place, broker.pid, { ...options, clean: false })
  await subscribing.open()
  await subscribing.end()
  const speaking = startLoad(place, broker.pid, { ...options, present: 'speakers' })
  await speaking.open()
  const file = path.join(work, `trace-${broker.name}`)
  const tracer = spawn(STRACE, ['-f', '-y', '-s', '0', '-o', file, '-e', `trace=${CALLS}`, '-p', String(broker.pid)], { stdio: ['ignore', 'ignore', 'pipe'] })
  const exited = once(tracer, 'exit')
  // Its first word is that it is attached, or that it may not.
  const attached = await Promise.race([once(tracer.stderr, 'data').then(([said]) => String(said).includes('attached')), exited.then(() => false)])
  if (attached) await speaking.run(`fill ${MESSAGES} 1`)
  tracer.kill('SIGINT')
  await exited
  await speaking.end()
  const leaving = startLoad(place, broker.pid, { ...options, present: 'listeners' })
  await leaving.open()
  await leaving.end()
  return attached ? acknowledgementsIn(readFileSync(file, 'utf8')) : undefined
}

interface Seen {
  readonly what: 'received' | 'sent' | 'synced'
  /** The socket that was read or written. */
  readonly socket: string
}

/** Reads what strace -f -y wrote while a connection had one message under way at a time. Others may come and go meanwhile. */
export function acknowledgementsIn(trace: string): Observed {
  /** By thread: a call that has begun and not ended. */
  const pending = new Map<string, Seen | undefined>()
  /** By socket: a message has come and was not answered yet; whether something was synced since. */
  const waiting = new Map<string, { isSynced: boolean }>()
  let [acknowledged, afterSync] = [0, 0]
  for (const line of trace.split('\n')) {
    const [, tid = '', rest = ''] = /^(\d+) +(.*)$/.exec(line) ?? []
    const seen = rest.startsWith('<...') ? pending.get(tid) : seenIn(rest)
    if (rest.endsWith('<unfinished ...>')) {
      pending.set(tid, seen)
      continue
    }
    const result = Number(/= (-?\d+)(?: \w+ \(.*\))?$/.exec(rest)?.[1] ?? Number.NaN)
    if (seen?.what === 'synced' && result === 0) for (const message of waiting.values()) message.isSynced = true
    if (seen?.what === 'received' && result > 0) waiting.set(seen.socket, { isSynced: false })
    if (seen?.what !== 'sent' || !(result > 0)) continue
    const message = waiting.get(seen.socket)
    if (message === undefined) continue
    acknowledged += 1
    if (message.isSynced) afterSync += 1
    waiting.delete(seen.socket)
  }
  return { acknowledged, afterSync }
}

function seenIn(call: string): Seen | undefined {
  const [, name = '', file = ''] = /^(\w+)\(\d+<([^>]*)>?/.exec(call) ?? []
  if (name === 'fsync' || name === 'fdatasync') return { what: 'synced', socket: '' }
  if (!file.startsWith('socket:') && !file.startsWith('TCP')) return undefined
  return { what: /^(read|recv)/.test(name) ? 'received' : 'sent', socket: file }
}

// A reload of the running server: one after the other, all of it or nothing, and an answer that says what changed and what waits for the
// next start. What is replaced, and how, is the business of main.ts.

import { changesBetween } from './config/changes.ts'
import { SECTIONS, TABLE } from './config/table.ts'
import type { Config } from './config.ts'
import type { Actor, AuditEvent } from './core/audit.ts'
import { SallyportError } from './core/errors.ts'
import { describeWaiting, type Reloaded } from './core/reload.ts'

export interface ReloadPorts {
  /** What was configured when the server started. */
  readonly started: Config
  readonly inForce: () => Config
  /** Throws 'config-invalid'. */
  readonly read: () => Config
  /** Everything that can fail. Returns the way to put it in force, after which nothing can. */
  readonly prepare: (next: Config) => Promise<() => void>
  /** It is in force. */
  readonly done: (actor: Actor) => Pick<Reloaded, 'policyGeneration' | 'trustedCas'>
  readonly serially: <T>(work: () => Promise<T>) => Promise<T>
  readonly record: (event: AuditEvent) => void
  readonly clock: () => number
  readonly log: (level: 'error' | 'warn' | 'info', facts: Readonly<Record<string, unknown>>, message: string) => void
  /** The server is ending: what fails then is no refusal. */
  readonly isEnding: () => boolean
}

const KNOWN = { table: TABLE, sections: SECTIONS }

export interface Reloads {
  /** Who asks while another one waits gets the answer of that: it has not begun, and will see what both ask for. Rejects with why it was refused. */
  readonly asked: (actor: Actor) => Promise<Reloaded>
  /** The same of somebody who hears no answer: by a signal. Never rejects; why it was refused is in the log. */
  readonly unasked: () => Promise<void>
}

export function openReloads(ports: ReloadPorts): Reloads {
  let waiting: Promise<Reloaded> | undefined
  const asked = (actor: Actor): Promise<Reloaded> => (waiting ??= ports.serially(() => {
    waiting = undefined
    return reload(ports, actor)
  }))
  return {
    asked,
    async unasked() {
      try {
        await asked({ kind: 'local' })
      } catch {
        // What was in force stays in force.
      }
    },
  }
}

/** Rejects with why it was refused; that is logged and audited already. */
async function reload(ports: ReloadPorts, actor: Actor): Promise<Reloaded> {
  const { started, clock, record, log } = ports
  const before = ports.inForce()
  let next: Config
  try {
    next = ports.read()
    const replace = await ports.prepare(next)
    replace()
  } catch (error) {
    if (ports.isEnding()) throw error
    const message = error instanceof Error ? error.message : 'unknown'
    record({ kind: error instanceof SallyportError && error.code === 'config-invalid' ? 'config-rejected' : 'policy-rejected', at: clock(), message })
    log('error', { error: message }, 'reload refused: what was in force stays in force')
    throw error
  }
  const reloaded: Reloaded = { ...ports.done(actor), changed: changesBetween(KNOWN, before, next, 'live'), atNextStart: changesBetween(KNOWN, started, next, 'restart') }
  if (reloaded.changed.length > 0) record({ kind: 'config-loaded', at: clock(), actor, message: reloaded.changed.map(({ key, from, to }) => `${key} changed from ${from} to ${to}`).join('; ') })
  for (const warning of next.warnings) log('warn', {}, warning)
  for (const change of reloaded.atNextStart) log('warn', {}, describeWaiting(change))
  log('info', { generation: reloaded.policyGeneration, cas: reloaded.trustedCas, changed: reloaded.changed.map(({ key }) => key) }, 'reloaded: configuration, policy, trust and server certificate')
  return reloaded
}

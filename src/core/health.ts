// Is this server well? Facts in, a verdict out: what must hold for it to be sent devices (ready), and what a person should look at.
// That it is alive is said by its answering at all.

import type { OwnExpiry } from './expiry.ts'
import type { EpochMs } from './ids.ts'

export interface HealthFacts {
  readonly now: EpochMs
  /** It is on its way to its end: it serves who is there, and should be sent nobody. */
  readonly closing: boolean
  readonly sessionStore: { readonly ok: boolean; readonly problem?: string }
  readonly auditWritable: boolean
  /** What a write with fsync into the home came to. */
  readonly disk: { readonly ok: boolean; readonly problem?: string }
  /** Changes of the registry that the door does not know of yet. */
  readonly feedBehind: number
  readonly expiries: readonly OwnExpiry[]
  readonly signers: readonly { readonly ca: string; readonly up: boolean }[]
}

export const CHECKS = ['running', 'sessions', 'disk', 'audit', 'feed', 'certificates', 'crls', 'signer'] as const
export type CheckName = (typeof CHECKS)[number]

/** warn: it serves, and somebody should look. */
export interface HealthCheck {
  readonly check: CheckName
  readonly status: 'ok' | 'warn' | 'fail'
  readonly sentence: string
}

export interface Health {
  readonly ready: boolean
  readonly checks: readonly HealthCheck[]
}

export function judgeHealth(facts: HealthFacts): Health {
  const checks = CHECKS.map((check): HealthCheck => ({ check, ...JUDGES[check](facts) }))
  return { ready: checks.every(({ status }) => status !== 'fail'), checks }
}

type Found = Omit<HealthCheck, 'check'>
const ok = (sentence: string): Found => ({ status: 'ok', sentence })
const fail = (sentence: string): Found => ({ status: 'fail', sentence })

const JUDGES: Readonly<Record<CheckName, (facts: HealthFacts) => Found>> = {
  running: ({ closing }) => (closing ? fail('The server is shutting down.') : ok('The server takes connections.')),
  sessions: ({ sessionStore: { ok: isOk, problem } }) => (isOk ? ok('The session store writes.') : fail(`The session store does not write: ${problem ?? 'no reason is known'}.`)),
  disk: ({ disk: { ok: isOk, problem } }) => (isOk ? ok('The disk takes what is written, and says when it has it.') : fail(`The disk of the home does not take a write: ${problem ?? 'no reason is known'}.`)),
  // Devices go on being served: what is refused and admitted meanwhile waits, up to a bound.
  audit: ({ auditWritable }) => (auditWritable ? ok('The audit log is written.') : { status: 'warn', sentence: 'The audit log could not be written the last time: look for a full disk.' }),
  // A door that does not know of a revocation lets in who is revoked.
  feed: ({ feedBehind }) => (feedBehind === 0 ? ok('The door knows every change of the registry.') : fail(`The door does not know of ${feedBehind} changes of the registry.`)),
  certificates: ({ expiries, now }) => ended(expiries.filter(({ kind }) => kind !== 'crl'), now, 'certificates of the organisation', (kind) => kind === 'server'),
  // Devices are judged by the registry; other people's software stops trusting certificates of an issuer whose list is old.
  crls: ({ expiries, now }) => ended(expiries.filter(({ kind }) => kind === 'crl'), now, 'published CRLs', () => true),
  signer: ({ signers }) => {
    const down = signers.filter(({ up }) => !up).map(({ ca }) => ca)
    return down.length === 0 ? ok('What issues certificates runs.') : { status: 'warn', sentence: `The signer of ${down.join(', ')} does not run: nothing is issued until it is back. Devices are served.` }
  },
}

function ended(all: readonly OwnExpiry[], now: EpochMs, what: string, isNeeded: (kind: OwnExpiry['kind']) => boolean): Found {
  const over = all.filter(({ notAfter }) => notAfter <= now)
  if (over.length === 0) return ok(`All ${what} are in date.`)
  const sentence = `Over: ${over.map(({ name }) => name).join(', ')}.`
  return over.some(({ kind }) => isNeeded(kind)) ? fail(sentence) : { status: 'warn', sentence }
}

// The rotation of a CA, as steps that can be repeated and gone on with: which step is next, which may be done now, and what each does
// to the states of the CAs. Pure: facts of the registry in, a plan out. Keys, files and sessions are the business of others.

import { allow, deny, type Decision } from './decision.ts'
import type { CaName, EpochMs } from './ids.ts'
import type { CaState, Change, Expectation } from './registry.ts'

export const ROTATION_STEPS = ['start', 'trust', 'cross-sign', 'switch', 'retire', 'abort'] as const
export type RotationStep = (typeof ROTATION_STEPS)[number]

/** A CA of ours. */
export interface CaFacts {
  readonly name: CaName
  readonly role: 'root' | 'issuing'
  readonly state: CaState
  /** Of an issuing CA: the root that signed it. */
  readonly root?: CaName | undefined
}

export interface RotationFacts {
  readonly cas: readonly CaFacts[]
  /** Pairs "subject<issuer" of roots that vouch for each other. */
  readonly crossed: ReadonlySet<string>
  /** Have these two roots one name? Only then can one be put below the other: a root allows one CA below it, and only those of its own name do not count (RFC 5280 §6.1.4). */
  readonly oneName: (a: CaName, b: CaName) => boolean
}

/** Whether a device that knows one root alone can verify what the other one signed. */
export type CrossSigning = 'not-needed' | 'impossible' | 'open' | 'done'

export interface Rotation {
  readonly current: CaFacts
  /** On its way: made or trusted, and never current. */
  readonly incoming: CaFacts | undefined
  /** The root of the incoming one, where it is on its way, too. */
  readonly incomingRoot: CaFacts | undefined
  /** Trusted still: issuing CAs and roots that were current. */
  readonly replaced: readonly CaFacts[]
  readonly crossSigning: CrossSigning
  readonly next: Exclude<RotationStep, 'abort'>
}

/** Undefined where there is no CA yet. */
export function rotationOf({ cas, crossed, oneName }: RotationFacts): Rotation | undefined {
  const current = cas.find((ca) => ca.role === 'issuing' && ca.state === 'current')
  if (current === undefined) return undefined
  const onItsWay = (ca: CaFacts): boolean => ca.state === 'created' || ca.state === 'trusted'
  const incoming = cas.find((ca) => ca.role === 'issuing' && onItsWay(ca))
  const incomingRoot = cas.find((ca) => ca.role === 'root' && onItsWay(ca))
  const replaced = cas.filter((ca) => ca.state === 'replaced')
  const crossSigning = crossSigningOf(current.root, incomingRoot?.name, crossed, oneName)
  return { current, incoming, incomingRoot, replaced, crossSigning, next: nextOf(incoming, crossSigning, replaced) }
}

function crossSigningOf(old: CaName | undefined, fresh: CaName | undefined, crossed: RotationFacts['crossed'], oneName: RotationFacts['oneName']): CrossSigning {
  if (old === undefined || fresh === undefined) return 'not-needed'
  if (crossed.has(`${fresh}<${old}`) && crossed.has(`${old}<${fresh}`)) return 'done'
  return oneName(old, fresh) ? 'open' : 'impossible'
}

function nextOf(incoming: CaFacts | undefined, crossSigning: CrossSigning, replaced: readonly CaFacts[]): Rotation['next'] {
  if (incoming?.state === 'created') return 'trust'
  if (incoming !== undefined) return crossSigning === 'open' ? 'cross-sign' : 'switch'
  return replaced.length > 0 ? 'retire' : 'start'
}

/** May this step be done now? `done` where it has been done: to ask again changes nothing. Reason: ca-step, with what to do first. */
export function judgeStep(step: RotationStep, rotation: Rotation, wanted: { readonly root: boolean } = { root: false }): Decision<'do' | 'done'> {
  const { incoming, incomingRoot, replaced, crossSigning } = rotation
  const first = (before: string): Decision<never> => deny('ca-step', before)
  switch (step) {
    case 'start':
      if (incoming !== undefined) return wanted.root === (incomingRoot !== undefined) ? allow('done') : first(`${incoming.name} is on its way ${incomingRoot === undefined ? 'without' : 'with'} a new root: go on with it, or give it up: ca rotate abort`)
      // Three roots would need a chain that forks, and many clients try only one way.
      if (wanted.root && replaced.some((ca) => ca.role === 'root')) return first('the root before is still trusted: ca rotate retire')
      return allow('do')
    case 'trust':
      if (incoming === undefined) return first('nothing is on its way: ca rotate start')
      return allow(incoming.state === 'created' ? 'do' : 'done')
    case 'cross-sign':
      if (incoming === undefined) return first('nothing is on its way: ca rotate start')
      if (incoming.state === 'created') return first(`the door does not know ${incoming.name} yet: ca rotate trust`)
      if (crossSigning === 'not-needed') return first(`${incoming.name} is below the root that everybody knows: there is nothing to sign. Go on with: ca rotate switch`)
      if (crossSigning === 'impossible') return first(`the root of ${incoming.name} has another name, and cannot be put below the present one. Go on with: ca rotate switch`)
      return allow(crossSigning === 'open' ? 'do' : 'done')
    case 'switch':
      if (incoming === undefined) return replaced.length > 0 ? allow('done') : first('nothing is on its way: ca rotate start')
      if (incoming.state === 'created') return first(`the door does not know ${incoming.name} yet: ca rotate trust`)
      return crossSigning === 'open' ? first('a device that knows only the old root could not verify the server: ca rotate cross-sign') : allow('do')
    case 'retire':
      if (replaced.length > 0) return allow('do')
      return first(incoming === undefined ? 'nothing is to be retired' : `${incoming.name} does not issue yet: ca rotate ${rotation.next}`)
    case 'abort':
      return incoming === undefined ? first('nothing is on its way') : allow('do')
  }
}

/** What a step changes: the states of CAs, each with the state that it must have at that moment. */
export interface StepPlan {
  readonly changes: readonly Extract<Change, { kind: 'ca-state' }>[]
  readonly expected: readonly Expectation[]
}

/** The plan of a step that `judgeStep` allows. Of start and cross-sign there is nothing here: they make certificates. */
export function planStep(step: RotationStep, rotation: Rotation, cas: readonly CaFacts[], now: EpochMs): StepPlan {
  const incoming = [rotation.incomingRoot, rotation.incoming].filter((ca) => ca !== undefined)
  const to = (found: readonly CaFacts[], state: CaState): StepPlan => ({
    changes: found.map(({ name }) => ({ kind: 'ca-state', name, state, at: now })),
    expected: found.map(({ name, state: from }) => ({ kind: 'ca-state', name, states: [from] })),
  })
  switch (step) {
    case 'start':
    case 'cross-sign':
      return { changes: [], expected: [] }
    case 'trust':
      return to(incoming.filter((ca) => ca.state === 'created'), 'trusted')
    case 'switch': {
      // One goes before the other comes: at no moment do two of one role issue.
      const roles = incoming.map((ca) => ca.role)
      const out = to(cas.filter((ca) => ca.state === 'current' && roles.includes(ca.role)), 'replaced')
      const coming = to(incoming, 'current')
      return { changes: [...out.changes, ...coming.changes], expected: [...out.expected, ...coming.expected] }
    }
    case 'retire': {
      const out = to(rotation.replaced, 'retired')
      return { changes: out.changes, expected: [...out.expected, ...rotation.replaced.map(({ name }): Expectation => ({ kind: 'ca-unused', name, now }))] }
    }
    case 'abort':
      return to(incoming, 'retired')
  }
}

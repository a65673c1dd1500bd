// The steps of a rotation: which is next, which may be done, and what each changes. Every order that is not the right one is refused with what to do first.

import { describe, expect, test } from 'vitest'
import type { CaName } from '../../src/core/ids.ts'
import { judgeStep, planStep, ROTATION_STEPS, rotationOf, type CaFacts, type Rotation, type RotationStep } from '../../src/core/rotation.ts'
import type { CaState } from '../../src/core/registry.ts'

const NOW = 1_000
const root = (name: string, state: CaState): CaFacts => ({ name: name as CaName, role: 'root', state })
const issuing = (name: string, state: CaState, of: string): CaFacts => ({ name: name as CaName, role: 'issuing', state, root: of as CaName })
const at = (cas: readonly CaFacts[], crossed: readonly string[] = [], oneName = true): Rotation => rotationOf({ cas, crossed: new Set(crossed), oneName: () => oneName })!

const before = [root('root', 'current'), issuing('issuing-1', 'current', 'root')]
const BOTH = ['root-2<root', 'root<root-2']
/** A rotation of the issuing CA alone, and one with the root, at each of their stations. */
const stations: Readonly<Record<string, { readonly cas: readonly CaFacts[]; readonly crossed?: readonly string[] }>> = {
  'at rest': { cas: before },
  'created': { cas: [...before, issuing('issuing-2', 'created', 'root')] },
  'trusted': { cas: [...before, issuing('issuing-2', 'trusted', 'root')] },
  'switched': { cas: [root('root', 'current'), issuing('issuing-1', 'replaced', 'root'), issuing('issuing-2', 'current', 'root')] },
  'with root: created': { cas: [...before, root('root-2', 'created'), issuing('issuing-2', 'created', 'root-2')] },
  'with root: trusted': { cas: [...before, root('root-2', 'trusted'), issuing('issuing-2', 'trusted', 'root-2')] },
  'with root: half crossed': { cas: [...before, root('root-2', 'trusted'), issuing('issuing-2', 'trusted', 'root-2')], crossed: ['root-2<root'] },
  'with root: crossed': { cas: [...before, root('root-2', 'trusted'), issuing('issuing-2', 'trusted', 'root-2')], crossed: BOTH },
  'with root: switched': { cas: [root('root', 'replaced'), issuing('issuing-1', 'replaced', 'root'), root('root-2', 'current'), issuing('issuing-2', 'current', 'root-2')], crossed: BOTH },
  'retired': { cas: [root('root', 'current'), issuing('issuing-1', 'retired', 'root'), issuing('issuing-2', 'current', 'root')] },
}
const station = (name: string): { readonly cas: readonly CaFacts[]; readonly rotation: Rotation } => {
  const { cas, crossed } = stations[name]!
  return { cas, rotation: at(cas, crossed) }
}

describe('the next step', () => {
  test.each<[string, RotationStep]>([
    ['at rest', 'start'], ['created', 'trust'], ['trusted', 'switch'], ['switched', 'retire'], ['retired', 'start'],
    ['with root: created', 'trust'], ['with root: trusted', 'cross-sign'], ['with root: half crossed', 'cross-sign'], ['with root: crossed', 'switch'], ['with root: switched', 'retire'],
  ])('%s: %s', (name, next) => {
    expect(station(name).rotation.next).toBe(next)
  })

  test('there is none where there is no CA', () => {
    expect(rotationOf({ cas: [root('root', 'current')], crossed: new Set(), oneName: () => true })).toBeUndefined()
  })
})

describe('a step', () => {
  // start, trust, cross-sign, switch, retire, abort: + is done, = was done, - is refused.
  test.each<[string, string, string]>([
    ['at rest', '+-----', '+-----'],
    ['created', '=+---+', '-+---+'],
    ['trusted', '==-+-+', '-=-+-+'],
    ['switched', '+--=+-', '+--=+-'],
    ['retired', '+-----', '+-----'],
    ['with root: created', '-+---+', '=+---+'],
    ['with root: trusted', '-=+--+', '==+--+'],
    ['with root: half crossed', '-=+--+', '==+--+'],
    ['with root: crossed', '-==+-+', '===+-+'],
    ['with root: switched', '+--=+-', '---=+-'],
  ])('%s: %s, and with a new root %s', (name, plain, withRoot) => {
    const { rotation } = station(name)
    const answers = (wanted: boolean): string => ROTATION_STEPS.map((step) => {
      const judged = judgeStep(step, rotation, { root: wanted })
      return judged.allow ? { do: '+', done: '=' }[judged.value] : '-'
    }).join('')
    expect([answers(false), answers(true)]).toEqual([plain, withRoot])
  })

  test('that is refused says what comes first', () => {
    const hint = (name: string, step: RotationStep): string | undefined => {
      const judged = judgeStep(step, station(name).rotation)
      return judged.allow ? undefined : judged.detail
    }
    expect(hint('at rest', 'switch')).toBe('nothing is on its way: ca rotate start')
    expect(hint('created', 'switch')).toBe('the door does not know issuing-2 yet: ca rotate trust')
    expect(hint('with root: trusted', 'switch')).toContain('ca rotate cross-sign')
    expect(hint('with root: crossed', 'retire')).toBe('issuing-2 does not issue yet: ca rotate switch')
  })

  test('of a root with another name cannot put it below the old one, and does not wait for that', () => {
    const rotation = at(stations['with root: trusted']!.cas, [], false)
    expect([rotation.crossSigning, rotation.next]).toEqual(['impossible', 'switch'])
    expect(judgeStep('cross-sign', rotation)).toMatchObject({ allow: false, reason: 'ca-step' })
    expect(judgeStep('switch', rotation)).toEqual({ allow: true, value: 'do' })
  })
})

describe('the plan of a step', () => {
  const planned = (step: RotationStep, name: string): readonly string[] => {
    const { cas, rotation } = station(name)
    return planStep(step, rotation, cas, NOW).changes.map((change) => `${change.name} ${change.state}`)
  }

  test('switches so that no two are current at any moment', () => {
    expect(planned('switch', 'trusted')).toEqual(['issuing-1 replaced', 'issuing-2 current'])
    expect(planned('switch', 'with root: crossed')).toEqual(['root replaced', 'issuing-1 replaced', 'root-2 current', 'issuing-2 current'])
  })

  test('expects each CA to be where it was looked at, and that nobody needs one that retires', () => {
    const { cas, rotation } = station('with root: switched')
    expect(planStep('retire', rotation, cas, NOW)).toEqual({
      changes: [{ kind: 'ca-state', name: 'root', state: 'retired', at: NOW }, { kind: 'ca-state', name: 'issuing-1', state: 'retired', at: NOW }],
      expected: [
        { kind: 'ca-state', name: 'root', states: ['replaced'] }, { kind: 'ca-state', name: 'issuing-1', states: ['replaced'] },
        { kind: 'ca-unused', name: 'root', now: NOW }, { kind: 'ca-unused', name: 'issuing-1', now: NOW },
      ],
    })
  })

  test('trusts what is created, gives up what is on its way, and changes no state where certificates are made', () => {
    expect(planned('trust', 'with root: created')).toEqual(['root-2 trusted', 'issuing-2 trusted'])
    expect(planned('abort', 'created')).toEqual(['issuing-2 retired'])
    expect(planned('abort', 'with root: crossed')).toEqual(['root-2 retired', 'issuing-2 retired'])
    expect([...planned('start', 'at rest'), ...planned('cross-sign', 'with root: trusted')]).toEqual([])
  })
})

// The life cycle as a table, written again by hand, and attributes at their edges.

import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { describedDevice, DEVICE_ACTIONS, DEVICE_STATES, nextDeviceState, parseAttributes, type DeviceAction, type DeviceState } from '../../src/core/device.ts'
import { parseParts, resolveParts } from '../../src/core/policy/template.ts'
import type { CaName, GroupName } from '../../src/core/ids.ts'
import { anyText, detailOf, device, reasonOf, valueOf } from './facts.ts'

describe('the life cycle', () => {
  const no = undefined
  const TABLE: Readonly<Record<DeviceState, Readonly<Record<DeviceAction, DeviceState | undefined>>>> = {
    pending: { suspend: no, resume: 'active', quarantine: no, retire: 'retired' },
    active: { suspend: 'suspended', resume: 'active', quarantine: 'quarantined', retire: 'retired' },
    suspended: { suspend: 'suspended', resume: 'active', quarantine: no, retire: 'retired' },
    quarantined: { suspend: 'suspended', resume: 'active', quarantine: 'quarantined', retire: 'retired' },
    retired: { suspend: no, resume: no, quarantine: no, retire: 'retired' },
  }

  test.each(DEVICE_STATES.flatMap((state) => DEVICE_ACTIONS.map((action) => [state, action, TABLE[state][action]] as const)))('%s, %s → %s', (state, action, next) => {
    const refusal = { allow: false, reason: 'state-transition', detail: `${action} of a device that is ${state}` }
    expect(nextDeviceState(state, action)).toEqual(next === undefined ? refusal : { allow: true, value: next })
  })

  test('an action that was allowed is allowed again and changes nothing', () => {
    const reached = DEVICE_STATES.flatMap((state) => DEVICE_ACTIONS.flatMap((action) => {
      const once = nextDeviceState(state, action)
      return once.allow ? [{ action, state: once.value }] : []
    }))
    expect(reached.map(({ action, state }) => valueOf(nextDeviceState(state, action)))).toEqual(reached.map(({ state }) => state))
  })

  test('nothing leads out of retirement', () => {
    fc.assert(fc.property(fc.array(fc.constantFrom(...DEVICE_ACTIONS)), (actions) => {
      let state: DeviceState = 'retired'
      for (const action of actions) {
        const next = nextDeviceState(state, action)
        if (next.allow) state = next.value
      }
      expect(state).toBe('retired')
    }))
  })
})

describe('a description', () => {
  const groups = (...names: readonly string[]): readonly GroupName[] => names as readonly GroupName[]
  const before = { groups: groups('a', 'b'), attributes: { x: '1', y: '2' } }

  test('sets all groups, and single attributes; what it does not name stays', () => {
    expect(valueOf(describedDevice(before, { groups: groups('c', 'c') }))).toEqual({ groups: ['c'], attributes: before.attributes })
    expect(valueOf(describedDevice(before, { attributes: { y: null, z: '3', x: '4' } }))).toEqual({ groups: ['a', 'b'], attributes: { x: '4', z: '3' } })
    expect(valueOf(describedDevice(before, { groups: [], attributes: { x: null, y: null } }))).toEqual({ groups: [], attributes: {} })
  })

  test('that says what is there already is none', () => {
    for (const same of [{}, { groups: groups('a', 'b', 'a') }, { attributes: { x: '1', never: null } }]) expect(valueOf(describedDevice(before, same))).toBeUndefined()
  })

  test('is held to the bounds of a device: 16 groups, 32 attributes, in all', () => {
    const names = Array.from({ length: 17 }, (_, i) => `g${i}`)
    expect(valueOf(describedDevice(before, { groups: groups(...names.slice(1)) }))?.groups).toHaveLength(16)
    expect(reasonOf(describedDevice(before, { groups: groups(...names) }))).toBe('group-invalid')
    const more = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`a${i}`, 'v']))
    expect(Object.keys(valueOf(describedDevice(before, { attributes: more(30) }))?.attributes ?? {})).toHaveLength(32)
    expect(reasonOf(describedDevice(before, { attributes: more(31) }))).toBe('attribute-invalid')
    expect(reasonOf(describedDevice(before, { attributes: { ...more(31), x: null } }))).toBe('allowed')
    for (const bad of [{ a: 'x/y' }, { ['__proto__']: 'x' }, { 'a b': 'x' }]) expect(reasonOf(describedDevice(before, { attributes: bad }))).toBe('attribute-invalid')
  })
})

describe('attributes', () => {
  test.each(['a', 'Model', 'a1_B', 'constructor', 'toString', 'hasOwnProperty', 'a'.repeat(32)])('%j is a name', (name) => {
    const attributes = valueOf(parseAttributes([[name, 'x']]))
    expect(Object.entries(attributes)).toEqual([[name, 'x']])
  })

  test.each(['', '__proto__', '_a', '1a', 'a-b', 'a.b', 'a b', 'ä', 'a/b', 'a\0', 'a'.repeat(33), 'a\n'])('%j is no name', (name) => {
    expect(reasonOf(parseAttributes([[name, 'x']]))).toBe('attribute-invalid')
    expect(Object.prototype).not.toHaveProperty('x')
  })

  test.each(['x', ' ', 'north wing', 'süd', 'É', '日本', '😀', '$', '$SYS', '${device.id}', '%c', '-1', '=1', '..', 'a'.repeat(128), 'ä'.repeat(64)])('%j is a value', (value) => {
    expect(valueOf(parseAttributes([['a', value]]))).toEqual({ a: value })
  })

  test.each([
    ['', 'empty'], ['a/b', 'a separator'], ['+', 'a wildcard'], ['a#', 'a wildcard'], ['a\0', 'NUL'], ['a\nb', 'a control character'], ['\u0085', 'a control character'],
    ['e\u0301', 'not NFC'], ['\u212B', 'not NFC: the Angstrom sign is Å'], ['\uD800', 'half a character'], ['\uFFFE', 'a noncharacter'], ['\u0378', 'unassigned'], ['\uFFFD', 'bytes that were not UTF-8'],
    ['a\u200Bb', 'invisible'], ['a\u200D', 'invisible'], ['\u202Ea', 'turns the text around'], ['\uFEFFa', 'invisible'], ['a\u00ADb', 'invisible'], ['a\u034Fb', 'invisible'], ['\u3164', 'invisible'], ['a\uFE0F', 'invisible'], ['\u{E0041}', 'invisible'],
    ['a\u2028b', 'a line separator'], ['a\u2029b', 'a line separator'], ['a\u00A0b', 'a space that looks like another'], ['\u3000', 'a space that looks like another'],
    ['a'.repeat(129), '129 bytes'], ['ä'.repeat(65), '130 bytes'], ['a'.repeat(65_536), '64 KiB'],
  ])('%j is no value: %s', (value) => {
    expect(reasonOf(parseAttributes([['a', value]]))).toBe('attribute-invalid')
  })

  test('32 attributes are accepted, 33 are not, and counting stops there', () => {
    const pairs = (n: number): [string, string][] => Array.from({ length: n }, (_, i) => [`a${i}`, 'x'])
    expect(Object.keys(valueOf(parseAttributes(pairs(32))))).toHaveLength(32)
    expect(detailOf(parseAttributes(pairs(33)))).toBe('too many attributes')
    function* endless(): Generator<[string, string]> {
      for (let i = 0; ; i++) yield [`a${i}`, 'x']
    }
    expect(reasonOf(parseAttributes(endless()))).toBe('attribute-invalid')
  })

  test('one that is refused refuses all, and is shown without its control characters', () => {
    expect(detailOf(parseAttributes([['a', 'x'], ['b', 'x\u001B']]))).toBe('value of b: x\\u{1b}')
    expect(detailOf(parseAttributes([['\u001B', 'x']]))).toBe('name \\u{1b}')
  })

  test('what may be stored can be filled into a topic level: R3 asks for no more', () => {
    const parts = parseParts('${device.attr.a}')
    if ('problem' in parts) throw new Error(parts.problem)
    fc.assert(fc.property(fc.oneof(anyText(2), anyText(12)), (value) => {
      const stored = parseAttributes([['a', value]])
      if (!stored.allow) return
      expect(resolveParts(parts, { device: device('d', { attributes: stored.value }), ca: 'ca' as CaName }, {})).toBe(value)
    }), { numRuns: 2_000 })
  })
})

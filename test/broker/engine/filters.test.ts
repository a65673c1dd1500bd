import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { toEngineFilter, toWireFilter } from '../../../src/broker/engine/filters.ts'

test('a shared subscription has another name at the engine, and its own again on the way out; any other filter keeps its name', () => {
  expect(toEngineFilter('$share/group/a/#')).toBe('$shared/group/a/#')
  expect(toWireFilter('$shared/group/a/#')).toBe('$share/group/a/#')
  for (const filter of ['a/#', 'a/$share/g/x', '$shares/g/x', '$share', '$SYS/#', '']) expect([toEngineFilter(filter), toWireFilter(filter)]).toEqual([filter, filter])
})

test('the way there and back is the filter again, for every filter that does not claim the name that the engine sees', () => {
  const filter = fc.tuple(fc.constantFrom('', '$share/', '$SYS/', 'a/'), fc.string()).map(([root, rest]) => root + rest).filter((text) => !text.startsWith('$shared/'))
  fc.assert(fc.property(filter, (text) => {
    expect(toWireFilter(toEngineFilter(text))).toBe(text)
    expect(toEngineFilter(text).startsWith('$share/')).toBe(false)
  }))
})

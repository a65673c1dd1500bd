// What a role is enough for.

import { expect, test } from 'vitest'
import { ROLES as OF_THE_SERVER } from '../../src/core/operator.ts'
import { isEnough } from '../../src/console/roles.ts'

test('each role is enough for itself and what is below, as the server has them', () => {
  expect(OF_THE_SERVER.map((role) => OF_THE_SERVER.map((least) => isEnough(role, least)))).toEqual([[true, false, false], [true, true, false], [true, true, true]])
})

test.each([undefined, '', 'root', 'Admin', '__proto__'])('what is no role (%s) is enough for nothing', (role) => {
  expect(isEnough(role, 'viewer')).toBe(false)
})

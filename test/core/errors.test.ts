// Failures carry what a person needs, and every code has an exit code that is no success.

import { describe, expect, test } from 'vitest'
import { deny } from '../../src/core/decision.ts'
import { FAILURES, refused, SallyportError } from '../../src/core/errors.ts'
import { EXIT } from '../../src/vocabulary.ts'

describe('a failure', () => {
  test('carries its code, the fix, the place and the cause', () => {
    const cause = new Error('ENOENT')
    const at = { file: 'policy.yaml', line: 3, column: 7 }
    const failure = new SallyportError('policy-invalid', 'No.', { fix: 'Do.', at, cause, reason: 'no-grant' })
    expect(failure).toMatchObject({ name: 'SallyportError', code: 'policy-invalid', message: 'No.', fix: 'Do.', at, cause, reason: 'no-grant' })
    expect(failure).toBeInstanceOf(Error)
  })

  test('has nothing that was not given', () => {
    const failure = new SallyportError('internal', 'No.')
    expect([failure.fix, failure.at, failure.reason, failure.cause]).toEqual([undefined, undefined, undefined, undefined])
    expect(Object.hasOwn(failure, 'cause')).toBe(false)
  })

  test('a denial that somebody needed as a success keeps its reason, and not its detail', () => {
    const failure = refused(deny('key-in-use', 'of device other'), 'The key is taken.')
    expect(failure).toMatchObject({ code: 'refused', reason: 'key-in-use', message: 'The key is taken.' })
    expect(JSON.stringify(failure)).not.toContain('other')
  })

  test('no failure ends a command with success, and wrong set-up ends with 78', () => {
    expect(Object.values(FAILURES).filter((code) => (code as number) === EXIT.ok)).toEqual([])
    for (const code of ['config-invalid', 'policy-invalid', 'profile-invalid', 'key-permissions', 'home-in-use', 'port-in-use', 'database-newer'] as const) expect(FAILURES[code]).toBe(78)
  })
})

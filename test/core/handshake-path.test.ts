// The way of a refused connection: for every reason there is exactly one place where it was stopped, or several of which each says that
// it is not certain; and nothing behind it was reached.

import { describe, expect, test } from 'vitest'
import { pathOf, type PathStep } from '../../src/core/handshake-path.ts'
import { REASONS, type DenyReason } from '../../src/vocabulary.ts'

const path = (reason: DenyReason, presented = false): readonly PathStep[] => pathOf({ step: REASONS[reason].step, reason, presented })
const where = (steps: readonly PathStep[], ...states: readonly string[]): readonly string[] => steps.filter(({ state }) => states.includes(state)).map(({ name }) => name)

describe('every reason', () => {
  test.each((Object.keys(REASONS) as DenyReason[]).flatMap((reason) => [[reason, false], [reason, true]] as const))('%s (certificate shown: %s) stops somewhere, and nothing behind it was reached', (reason, presented) => {
    const steps = path(reason, presented)
    const stops = where(steps, 'stopped', 'perhaps')
    expect(stops.length).toBeGreaterThan(0)
    expect(where(steps, 'stopped').length).toBe(where(steps, 'perhaps').length > 0 ? 0 : 1)
    const last = steps.findLastIndex(({ state }) => state === 'stopped' || state === 'perhaps')
    const first = steps.findIndex(({ state }) => state === 'stopped' || state === 'perhaps')
    expect(steps.slice(last + 1).every(({ state }) => state === 'not-reached')).toBe(true)
    expect(steps.slice(0, first).every(({ state }) => state === 'passed' || state === 'unknown')).toBe(true)
    expect(steps.filter(({ name }) => SEVEN.includes(name))).toHaveLength(7)
  })
})

const SEVEN = ['client-hello', 'server-hello', 'server-certificate', 'certificate-request', 'client-certificate', 'certificate-verify', 'finished']

describe('the handshake', () => {
  test('a stolen certificate without its key has shown the certificate and stops at the proof', () => {
    const steps = path('tls-possession-unproven', true)
    expect(where(steps, 'passed')).toEqual(['source', 'client-hello', 'server-hello', 'server-certificate', 'certificate-request', 'client-certificate'])
    expect(where(steps, 'stopped')).toEqual(['certificate-verify'])
  })
  test('a client without a certificate stops where it should show one', () => {
    expect(where(path('tls-no-certificate'), 'stopped')).toEqual(['client-certificate'])
    expect(where(path('tls-untrusted-issuer', true), 'stopped')).toEqual(['client-certificate'])
  })
  test('one that hung up may have done so anywhere from the certificate of the server on; what it had shown narrows that', () => {
    expect(where(path('tls-aborted'), 'perhaps')[0]).toBe('server-certificate')
    expect(where(path('tls-aborted', true), 'perhaps')).toEqual(['certificate-verify', 'finished'])
  })
  test('too many connections are turned away before it begins', () => {
    expect(where(path('source-rate'), 'not-reached')).toEqual([...SEVEN, 'certificate', 'registry', 'connect'])
  })
})

describe('our own checks', () => {
  test('a revoked device has shaken hands as well as ever, and stops at the registry', () => {
    const steps = path('certificate-revoked', true)
    expect(where(steps, 'passed')).toEqual(['source', ...SEVEN, 'certificate'])
    expect(where(steps, 'stopped')).toEqual(['registry'])
    expect(where(steps, 'not-reached')).toEqual(['connect'])
  })
  test('a denied topic is the last of them', () => {
    expect(where(path('publish-denied'), 'passed').slice(-3)).toEqual(['certificate', 'registry', 'connect'])
    expect(where(path('publish-denied'), 'stopped')).toEqual(['policy'])
  })
  test('who published over HTTPS has sent no CONNECT', () => {
    const steps = pathOf({ step: 'policy', reason: 'publish-denied', presented: false, door: 'https-publish' })
    expect(where(steps, 'passed').slice(-2)).toEqual(['certificate', 'registry'])
    expect([where(steps, 'stopped'), steps.some(({ name }) => name === 'connect')]).toEqual([['policy'], false])
  })
  test('at a door that asks not everybody for a certificate, what is not known is not said', () => {
    expect(where(path('token-unknown'), 'unknown')).toEqual(SEVEN.slice(3))
    expect(where(path('token-unknown', true), 'unknown')).toEqual([])
  })
})

import { describe, expect, test } from 'vitest'
import { judgeHealth, type HealthFacts } from '../../src/core/health.ts'

const NOW = 1_800_000_000_000
const WELL: HealthFacts = {
  now: NOW, closing: false, sessionStore: { ok: true }, auditWritable: true, disk: { ok: true }, feedBehind: 0,
  expiries: [{ kind: 'server', name: 'server', notBefore: 0, notAfter: NOW + 1 }, { kind: 'crl', name: 'crl issuing-1', notBefore: 0, notAfter: NOW + 1 }],
  signers: [{ ca: 'issuing-1', up: true }],
}
const looked = (facts: Partial<HealthFacts>): { readonly ready: boolean; readonly not: readonly string[] } => {
  const { ready, checks } = judgeHealth({ ...WELL, ...facts })
  return { ready, not: checks.filter(({ status }) => status !== 'ok').map(({ check, status, sentence }) => `${check} ${status}: ${sentence}`) }
}

test('a server that is well is ready, and every check says so', () => {
  expect(looked({})).toEqual({ ready: true, not: [] })
})

describe('is not ready', () => {
  test.each([
    [{ closing: true }, 'running fail: The server is shutting down.'],
    [{ sessionStore: { ok: false, problem: 'disk full' } }, 'sessions fail: The session store does not write: disk full.'],
    [{ disk: { ok: false, problem: 'EIO' } }, 'disk fail: The disk of the home does not take a write: EIO.'],
    [{ feedBehind: 3 }, 'feed fail: The door does not know of 3 changes of the registry.'],
    [{ expiries: [{ kind: 'server', name: 'server', notBefore: 0, notAfter: NOW }] }, 'certificates fail: Over: server.'],
    [{ expiries: [{ kind: 'crl', name: 'crl issuing-1', notBefore: 0, notAfter: NOW }] }, 'crls fail: Over: crl issuing-1.'],
  ] as const)('%j', (facts, sentence) => {
    expect(looked(facts)).toEqual({ ready: false, not: [sentence] })
  })
})

describe('is ready, and says that somebody should look', () => {
  test.each([
    [{ auditWritable: false }, 'audit warn: The audit log could not be written the last time: look for a full disk.'],
    [{ signers: [{ ca: 'issuing-1', up: false }] }, 'signer warn: The signer of issuing-1 does not run: nothing is issued until it is back. Devices are served.'],
    [{ expiries: [{ kind: 'operator', name: 'operator', notBefore: 0, notAfter: NOW }] }, 'certificates warn: Over: operator.'],
  ] as const)('%j', (facts, sentence) => {
    expect(looked(facts)).toEqual({ ready: true, not: [sentence] })
  })
})

// Faults of the enrollment door, of renewals and of what is said about revocations. The form of a fault is in faults.ts.

import type { Fault } from './faults.ts'

export const ENROLLMENT_FAULTS: readonly Fault[] = [
  {
    id: 'token-consumed-twice', side: 'ca', cases: ['E03', 'E04'],
    edits: [
      { file: 'src/core/token.ts', find: 'return usedBefore || token.uses < token.usesMax ? allow(undefined)', replace: 'return token.uses >= 0 ? allow(undefined)' },
      { file: 'src/store/sqlite/tokens.ts', find: "return use.run(change.name).changes === 1 ? DONE : deny('token-used-up')", replace: 'use.run(change.name)\n        return DONE' },
    ],
  },
  {
    id: 'token-of-another-device', side: 'ca', cases: ['E05'],
    edits: [{ file: 'src/core/token.ts', find: "if (!isTarget(token.target, device)) return deny('token-device', device)", replace: '' }],
  },
  {
    id: 'token-from-everywhere', side: 'ca', cases: ['E05'],
    edits: [{ file: 'src/core/token.ts', find: "if (!sourceFits) return deny('token-source')", replace: '' }],
  },
  {
    id: 'guessing-without-end', side: 'ca', cases: ['E05'],
    edits: [{ file: 'src/enroll/guesses.ts', find: 'return Math.max(0, account.lockedUntil - now)', replace: 'return Math.min(0, now)' }],
  },
  {
    id: 'claim-takes-over-a-device', side: 'ca', cases: ['E06'],
    edits: [{ file: 'src/enrollment-desk.ts', find: 'if (!untaken.allow) return untaken', replace: '' }],
  },
  {
    id: 'body-unbounded', side: 'ca', cases: ['E12'],
    edits: [{ file: 'src/enroll/request-body.ts', find: 'if (length <= bytesMax) return', replace: 'if (length > 0) return' }],
  },
  {
    id: 'revoked-renews', side: 'ca', cases: ['E18'],
    edits: [
      { file: 'src/core/renewal.ts', find: "if (record.state === 'revoked') return deny('certificate-revoked', record.revocationReason)", replace: '' },
      { file: 'src/renewal.ts', find: "states: ['issued', 'active'] } as const]", replace: "states: ['issued', 'active', 'revoked'] } as any]" },
    ],
  },
  {
    id: 'renewal-under-another-name', side: 'ca', cases: ['E19'],
    edits: [{ file: 'src/core/renewal.ts', find: "if (!asksForTheSame(csr, presented)) return deny('csr-subject-changed')", replace: '' }],
  },
  {
    id: 'request-flood-unbounded', side: 'ca', cases: ['E21'],
    edits: [{ file: 'src/enroll/server.ts', find: 'if (!withinRate(source.address, ports.clock())) return refusal(', replace: 'if (source.port < 0) return refusal(' }],
  },
  {
    id: 'unknown-serial-is-good', side: 'ca', cases: ['E30'],
    edits: [{ file: 'src/core/standing.ts', find: "if (record === undefined || record.sha256 === undefined && record.state !== 'revoked') return { kind: 'unknown' }", replace: "if (record === undefined) return { kind: 'good' }" }],
  },
]

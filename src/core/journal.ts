// The journal of issuance, as a person asks for it: what was planned, what came of it, and which plans nobody works on any more.
// An orphan was perhaps signed and never recorded as issued: its serial number is burnt, and revoking it says so to everybody.

import { JOURNAL } from '../signer-limits.ts'
import type { EpochMs } from './ids.ts'
import type { CertificateRecord } from './registry.ts'

export const JOURNAL_STATES = ['planned', 'issued', 'orphaned'] as const
export type JournalState = (typeof JOURNAL_STATES)[number]

/** No issuance takes this long: the deadlines of everything that it waits for are shorter. A clock that was set back makes nothing an orphan. */
export function journalState({ state, createdAt, sha256 }: CertificateRecord, now: EpochMs): JournalState {
  if (state !== 'planned') return sha256 === undefined ? 'orphaned' : 'issued'
  return now - createdAt > JOURNAL.orphanedAfterMs ? 'orphaned' : 'planned'
}

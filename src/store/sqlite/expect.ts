// What must hold at the moment of a commit, asked of the tables inside its transaction. It reads and never writes.

import type { DatabaseSync } from 'node:sqlite'
import type { DenyReason } from '../../vocabulary.ts'
import { allow, deny, unreachable, type Decision } from '../../core/decision.ts'
import type { DeviceState } from '../../core/device.ts'
import type { DeviceId } from '../../core/ids.ts'
import type { CertificateRecord, Change, Expectation } from '../../core/registry.ts'
import { prepareOperatorExpectations } from './operators.ts'

/** Judges one expectation of a commit of `changes`, before they are made. */
export type JudgeExpectation = (expected: Expectation, changes: readonly Change[]) => Decision<void>

const DEVICE_STATE_REASON = {
  pending: 'device-pending',
  active: 'state-transition',
  suspended: 'device-suspended',
  quarantined: 'device-quarantined',
  retired: 'device-retired',
} as const satisfies Record<DeviceState, DenyReason>

const HOLDS = allow(undefined)

function certificatesComing(changes: readonly Change[], device: DeviceId): readonly CertificateRecord[] {
  return changes.flatMap((c) => ((c.kind === 'certificate-planned' || c.kind === 'certificate-observed') && c.certificate.device === device ? [c.certificate] : []))
}

function endedBy(changes: readonly Change[]): ReadonlySet<string> {
  return new Set(changes.flatMap((c) => (c.kind === 'certificate-revoked' || (c.kind === 'certificate-state' && c.state === 'superseded') ? [`${c.issuer}/${c.serial}`] : [])))
}

const IN_FORCE = ['planned', 'issued', 'active'] as const

export function prepareExpectations(db: DatabaseSync): JudgeExpectation {
  const deviceNow = db.prepare('SELECT state, revision FROM devices WHERE id = ?')
  const certificateNow = db.prepare('SELECT state FROM certificates WHERE issuer = ? AND serial = ?')
  const caWithKey = db.prepare('SELECT name FROM cas WHERE spki_sha256 = ? LIMIT 1')
  const keyTaken = db.prepare("SELECT issuer, serial FROM certificates WHERE spki_sha256 = ? AND (device IS NOT ? OR state = 'revoked') LIMIT 1")
  const reported = db.prepare('SELECT id FROM devices WHERE key_sha256 = ? AND id IS NOT ?')
  const otherIssuer = db.prepare('SELECT issuer FROM certificates WHERE device = ? AND issuer <> ? LIMIT 1')
  const inForce = db.prepare("SELECT spki_sha256 AS key, issuer || '/' || serial AS name FROM certificates WHERE device = ? AND state IN ('planned', 'issued', 'active') AND not_after > ?")
  const caNow = db.prepare('SELECT state FROM cas WHERE name = ?')
  const tokenNow = db.prepare('SELECT revoked_at, suspended_at FROM tokens WHERE name = ?')
  const inUse = db.prepare("SELECT serial FROM certificates WHERE state = ? AND issuer = ? AND not_after > ? AND profile NOT IN ('root', 'issuing', 'ocsp-responder') LIMIT 1")
  const judgeOperators = prepareOperatorExpectations(db)

  return (expected, changes) => {
    switch (expected.kind) {
      case 'device-revision': {
        const revision = deviceNow.get(expected.id)?.['revision']
        return revision === expected.revision ? HOLDS : deny('revision-conflict', `${expected.id} is at revision ${String(revision)}`)
      }
      case 'device-state': {
        const row = deviceNow.get(expected.id)
        if (row === undefined) return deny('device-unknown', expected.id)
        const state = row['state'] as DeviceState
        return expected.states.includes(state) ? HOLDS : deny(DEVICE_STATE_REASON[state], `${expected.id} is ${state}`)
      }
      case 'device-issuer': {
        const other = otherIssuer.get(expected.device, expected.issuer)
        return other === undefined ? HOLDS : deny('device-issuer-mismatch', `${expected.device} has certificates of ${String(other['issuer'])}, this one is of ${expected.issuer}`)
      }
      case 'key-free': {
        const ca = caWithKey.get(expected.spkiSha256)
        if (ca !== undefined) return deny('key-in-use', `the key of the CA ${String(ca['name'])}`)
        const device = reported.get(expected.spkiSha256, expected.device ?? null)
        if (device !== undefined) return deny('key-in-use', 'the key that was reported of another device')
        const taken = keyTaken.get(expected.spkiSha256, expected.device ?? null)
        return taken === undefined ? HOLDS : deny('key-in-use', `the key of certificate ${String(taken['issuer'])}/${String(taken['serial'])}`)
      }
      case 'certificates-in-force': {
        const coming = certificatesComing(changes, expected.device)
        const keys = new Set<unknown>(coming.map((c) => c.spkiSha256))
        const ended = endedBy(changes)
        const others = inForce.all(expected.device, expected.now).filter((row) => !keys.has(row['key']) && !ended.has(String(row['name']))).length
        return others + coming.length <= expected.max ? HOLDS : deny('certificates-limit', `${expected.device} would have ${others + coming.length} of at most ${expected.max}`)
      }
      case 'operators-remain':
      case 'operator-open':
        return judgeOperators(expected, changes, endedBy(changes))
      case 'ca-state': {
        const state = caNow.get(expected.name)?.['state']
        return expected.states.some((s) => s === state) ? HOLDS : deny('ca-step', `${expected.name} is ${String(state ?? 'not there')}`)
      }
      case 'ca-unused': {
        // One search by the index for each of the three states.
        const used = IN_FORCE.map((state) => inUse.get(state, expected.name, expected.now)).find((row) => row !== undefined)
        return used === undefined ? HOLDS : deny('ca-in-use', `${expected.name}/${String(used['serial'])}`)
      }
      case 'token-open': {
        const row = tokenNow.get(expected.name)
        if (row === undefined) return deny('token-not-found', expected.name)
        if (row['revoked_at'] !== null) return deny('token-revoked')
        return row['suspended_at'] === null ? HOLDS : deny('token-suspended')
      }
      case 'certificate-state': {
        const state = certificateNow.get(expected.issuer, expected.serial)?.['state']
        return expected.states.some((s) => s === state) ? HOLDS : deny('revision-conflict', `${expected.issuer}/${expected.serial} is ${String(state ?? 'not there')}`)
      }
      default:
        return unreachable(expected)
    }
  }
}

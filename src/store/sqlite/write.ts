// Makes the changes of a commit in the tables. It refuses what would break an invariant of core/registry.ts and leaves
// transactions, feed and audit to registry.ts.

import type { DatabaseSync } from 'node:sqlite'
import { allow, deny, unreachable, type Decision } from '../../core/decision.ts'
import type { Device } from '../../core/device.ts'
import type { CaName, DeviceId, EpochMs, SerialNumber } from '../../core/ids.ts'
import type { CaRecord, CaState, CertificatePlan, CertificateRecord, Change } from '../../core/registry.ts'
import { caStep, certificateAfter, deviceAfter, type CertificateChange, type DeviceChange } from '../apply.ts'
import { prepareCrlChanges, prepareOutChanges } from './publication.ts'
import { CA_COLUMNS, caValues, CERTIFICATE_COLUMNS, certificateValues, DEVICE_COLUMNS, deviceValues, parseCertificate, parseDevice, prepareTuples } from './rows.ts'
import { prepareOperatorChanges } from './operators.ts'
import { prepareRenewalChanges } from './renewals.ts'
import { prepareTokenChanges } from './tokens.ts'
import { prepareWebhookChanges } from './webhooks.ts'

/** Makes one change, or says which invariant it would break; the caller then undoes the commit as a whole. */
export type MakeChange = (change: Change) => Decision<void>

const DONE = allow(undefined)

export function prepareChanges(db: DatabaseSync, clock: () => EpochMs): MakeChange {
  const devices = prepareDeviceChanges(db, clock)
  const certificates = prepareCertificateChanges(db)
  const cas = prepareCaChanges(db)
  const changeToken = prepareTokenChanges(db)
  const numberCrl = prepareCrlChanges(db)
  const changeRenewal = prepareRenewalChanges(db)
  const changeWebhook = prepareWebhookChanges(db)
  const changeOperator = prepareOperatorChanges(db)

  return (change) => {
    switch (change.kind) {
      case 'device-added':
        return devices.add(change.device)
      case 'device-state':
      case 'device-described':
        return devices.change(change)
      case 'certificate-planned':
        return change.certificate.state === 'planned' && change.certificate.sha256 === undefined
          ? certificates.plan(change.certificate, change.plan)
          : deny('state-transition', 'a planned certificate is not signed yet')
      case 'certificate-observed':
        return change.certificate.sha256 === undefined || (change.certificate.state !== 'issued' && change.certificate.state !== 'active')
          ? deny('state-transition', 'an observed certificate is signed and in force')
          : certificates.add(change.certificate, change.der)
      case 'certificate-issued':
      case 'certificate-state':
      case 'certificate-revoked':
        return certificates.change(change)
      case 'ca-added':
        return cas.add(change.ca)
      case 'ca-state':
        return cas.change(change)
      case 'token-added':
      case 'token-used':
      case 'token-revoked':
      case 'token-suspended':
      case 'enrollment-requested':
      case 'enrollment-decided':
        return changeToken(change)
      case 'crl-numbered':
        return numberCrl(change.crl)
      case 'renewal-ordered':
      case 'renewal-order-ended':
      case 'expiry-told':
        return changeRenewal(change)
      case 'webhook-added':
      case 'webhook-removed':
        return changeWebhook(change)
      case 'operator-added':
      case 'operator-role':
      case 'operator-revoked':
      case 'operator-certified':
        return changeOperator(change)
      default:
        return unreachable(change)
    }
  }
}

function prepareDeviceChanges(db: DatabaseSync, clock: () => EpochMs): { add(device: Device): Decision<void>; change(change: DeviceChange): Decision<void> } {
  const find = prepareTuples(db, `SELECT ${DEVICE_COLUMNS} FROM devices WHERE id = ?`)
  const insert = db.prepare(`INSERT INTO devices (${DEVICE_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`)
  const keyOwned = db.prepare('SELECT 1 FROM certificates WHERE spki_sha256 = ?1 AND device IS NOT ?2 UNION ALL SELECT 1 FROM devices WHERE key_sha256 = ?1 UNION ALL SELECT 1 FROM cas WHERE spki_sha256 = ?1 LIMIT 1')
  const update = db.prepare('UPDATE devices SET groups = ?, attributes = ?, state = ?, revision = ?, hold = ? WHERE id = ?')
  const enterGroup = db.prepare('INSERT OR IGNORE INTO device_groups (group_name, device) VALUES (?, ?)')
  const noteOut = prepareOutChanges(db, clock)
  const leaveGroups = db.prepare('DELETE FROM device_groups WHERE device = ?')
  const enterGroups = (device: Device): void => {
    for (const group of device.groups) enterGroup.run(group, device.id)
  }
  return {
    add(device) {
      if (find.get(device.id) !== undefined) return deny('device-exists', device.id)
      if (device.keySha256 !== undefined && keyOwned.get(device.keySha256, device.id) !== undefined) return deny('key-in-use', 'the reported key')
      insert.run(...deviceValues(device))
      enterGroups(device)
      noteOut(device.id, 'pending', device.state)
      return DONE
    },
    change(change) {
      const row = find.get(change.id)
      if (row === undefined) return deny('device-not-found', change.id)
      const before = parseDevice(row)
      const after = deviceAfter(before, change)
      if (!after.allow) return after
      const device = after.value
      noteOut(device.id, before.state, device.state)
      update.run(JSON.stringify(device.groups), JSON.stringify(device.attributes), device.state, device.revision, device.hold === undefined ? null : JSON.stringify(device.hold), device.id)
      if (change.kind === 'device-described') {
        leaveGroups.run(device.id)
        enterGroups(device)
      }
      return DONE
    },
  }
}

function named(certificate: { readonly issuer: CaName; readonly serial: SerialNumber }): string {
  return `${certificate.issuer}/${certificate.serial}`
}

function prepareCertificateChanges(db: DatabaseSync): { add(record: CertificateRecord, der?: Uint8Array): Decision<void>; plan(record: CertificateRecord, plan: CertificatePlan | undefined): Decision<void>; change(change: CertificateChange): Decision<void> } {
  const find = prepareTuples(db, `SELECT ${CERTIFICATE_COLUMNS}, number FROM certificates WHERE issuer = ? AND serial = ?`)
  const deviceIsThere = db.prepare('SELECT 1 FROM devices WHERE id = ?')
  const keyOfAnother = db.prepare('SELECT issuer, serial FROM certificates WHERE spki_sha256 = ? AND device IS NOT ? LIMIT 1')
  const keyReported = db.prepare('SELECT id FROM devices WHERE key_sha256 = ? AND id IS NOT ?')
  const keyOfCa = db.prepare('SELECT name FROM cas WHERE spki_sha256 = ? LIMIT 1')
  const sameBytes = db.prepare('SELECT issuer, serial FROM certificates WHERE sha256 = ?')
  const insert = db.prepare(`INSERT INTO certificates (${CERTIFICATE_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`)
  const tokenIsThere = db.prepare('SELECT 1 FROM tokens WHERE name = ?')
  const insertPlan = db.prepare('INSERT INTO certificate_plans (number, plan) SELECT number, ? FROM certificates WHERE issuer = ? AND serial = ?')
  const insertBody = db.prepare('INSERT INTO certificate_bodies (number, der) VALUES (?, ?)')
  const update = db.prepare('UPDATE certificates SET state = ?, sha256 = ?, revoked_at = ?, revocation_reason = ? WHERE number = ?')
  const deviceMissing = (device: DeviceId | undefined): boolean => device !== undefined && deviceIsThere.get(device) === undefined
  const add = (record: CertificateRecord, der?: Uint8Array): Decision<void> => {
    if (find.get(record.issuer, record.serial) !== undefined) return deny('revision-conflict', `${named(record)} is recorded already`)
    if (deviceMissing(record.device)) return deny('device-not-found', record.device)
    if (record.through !== undefined && tokenIsThere.get(record.through) === undefined) return deny('token-not-found', record.through)
    if (keyOfAnother.get(record.spkiSha256, record.device ?? null) !== undefined) return deny('key-in-use', 'the key of another device')
    if (keyReported.get(record.spkiSha256, record.device ?? null) !== undefined) return deny('key-in-use', 'the reported key of another device')
    if (record.profile !== 'root' && record.profile !== 'issuing' && keyOfCa.get(record.spkiSha256) !== undefined) return deny('key-in-use', 'the key of a CA')
    if (record.sha256 !== undefined && sameBytes.get(record.sha256) !== undefined) return deny('revision-conflict', 'these bytes are recorded already')
    const { lastInsertRowid } = insert.run(...certificateValues(record))
    if (der !== undefined) insertBody.run(lastInsertRowid, der)
    return DONE
  }
  return {
    add,
    plan(record, plan) {
      const added = add(record)
      if (added.allow && plan !== undefined) insertPlan.run(JSON.stringify(plan), record.issuer, record.serial)
      return added
    },
    change(change) {
      const row = find.get(change.issuer, change.serial)
      if (row === undefined) return deny('certificate-not-found', named(change))
      const after = certificateAfter(parseCertificate(row), change)
      if (!after.allow) return after
      if (change.kind === 'certificate-issued' && sameBytes.get(change.sha256) !== undefined) return deny('revision-conflict', 'these bytes are recorded already')
      const { state, sha256, revokedAt, revocationReason } = after.value
      const number = Number(row.at(-1))
      update.run(state, sha256 ?? null, revokedAt ?? null, revocationReason ?? null, number)
      if (change.kind === 'certificate-issued') insertBody.run(number, change.der)
      return DONE
    },
  }
}

function prepareCaChanges(db: DatabaseSync): { add(ca: CaRecord): Decision<void>; change(change: Extract<Change, { kind: 'ca-state' }>): Decision<void> } {
  const find = db.prepare('SELECT role, state FROM cas WHERE name = ?')
  const current = db.prepare("SELECT name FROM cas WHERE role = ? AND state = 'current'")
  const keyOfLeaf = db.prepare("SELECT 1 FROM certificates WHERE spki_sha256 = ? AND profile NOT IN ('root', 'issuing') LIMIT 1")
  const insert = db.prepare(`INSERT INTO cas (${CA_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`)
  const update = db.prepare('UPDATE cas SET state = ?, since = ? WHERE name = ?')
  const second = (role: string, state: CaState): Decision<void> => {
    const other = state === 'current' ? current.get(role) : undefined
    return other === undefined ? DONE : deny('revision-conflict', `${String(other['name'])} is current`)
  }
  return {
    add(ca) {
      if (find.get(ca.name) !== undefined) return deny('revision-conflict', `a CA ${ca.name} is recorded already`)
      if (keyOfLeaf.get(ca.spkiSha256) !== undefined) return deny('key-in-use', 'the key of a certificate that is no CA')
      const only = second(ca.role, ca.state)
      if (only.allow) insert.run(...caValues(ca))
      return only
    },
    change({ name, state, at }) {
      const row = find.get(name)
      if (row === undefined) return deny('ca-step', `there is no CA ${name}`)
      const step = row['role'] === 'trusted' ? deny('ca-step', `${name} is a CA of others`) : caStep(name, row['state'] as CaState, state)
      if (!step.allow) return step
      const only = second(String(row['role']), state)
      if (only.allow) update.run(state, at, name)
      return only
    },
  }
}

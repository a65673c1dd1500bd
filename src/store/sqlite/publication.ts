// What the registry keeps for CRLs and OCSP: numbers that were given, and since when a device is kept out; and what it
// answers about both. Pages are small tuples, since a list may have a million entries.

import type { DatabaseSync } from 'node:sqlite'
import { allow, deny, type Decision } from '../../core/decision.ts'
import type { DeviceState } from '../../core/device.ts'
import type { DeviceId, EpochMs, SerialNumber } from '../../core/ids.ts'
import type { CertificateOut, CrlRecord, DeviceOut, Registry, RevokedEntry } from '../../core/registry.ts'
import { PKI_LIMITS } from '../../pki-limits.ts'
import { prepareTuples } from './rows.ts'

export type PublicationReads = Pick<Registry, 'crls' | 'revokedAfter' | 'deviceOut' | 'certificatesOut'>

export function preparePublicationReads(db: DatabaseSync): PublicationReads {
  const crls = prepareTuples(db, 'SELECT issuer, scope, number, this_update, next_update FROM crls WHERE issuer = ? ORDER BY scope')
  const revoked = prepareTuples(db, "SELECT serial, revoked_at, revocation_reason, not_after FROM certificates INDEXED BY certificates_revoked WHERE state = 'revoked' AND issuer = ? AND serial > ? ORDER BY serial LIMIT ?")
  const outOne = prepareTuples(db, 'SELECT device, state, since FROM devices_out JOIN devices ON id = device WHERE device = ?')
  const outPage = prepareTuples(db, `SELECT devices_out.device, devices.state, since, serial, not_after
    FROM devices_out CROSS JOIN devices ON id = devices_out.device CROSS JOIN certificates INDEXED BY certificates_by_device ON certificates.device = devices_out.device AND issuer = ?
    WHERE certificates.state <> 'revoked' AND sha256 IS NOT NULL AND devices_out.device >= ? AND (devices_out.device > ? OR serial > ?) ORDER BY devices_out.device, serial LIMIT ?`)
  const parseOut = ([device, state, since]: readonly unknown[]): DeviceOut => ({ device: device as DeviceId, state: state as DeviceOut['state'], since: Number(since) })
  return {
    crls: (issuer) => crls.all(issuer).map(([name, scope, number, thisUpdate, nextUpdate]) => ({ issuer: name as CrlRecord['issuer'], scope: String(scope), number: Number(number), thisUpdate: Number(thisUpdate), nextUpdate: Number(nextUpdate) })),
    revokedAfter: (issuer, after) => revoked.all(issuer, after, PKI_LIMITS.crlPageEntries).map(([serial, at, reason, notAfter]): RevokedEntry => ({ serial: serial as RevokedEntry['serial'], at: Number(at), reason: reason as RevokedEntry['reason'], notAfter: Number(notAfter) })),
    deviceOut(device) {
      const row = outOne.get(device)
      return row === undefined ? undefined : parseOut(row)
    },
    certificatesOut: (issuer, { device, serial } = FIRST) =>
      outPage.all(issuer, device, device, serial, PKI_LIMITS.crlPageEntries).map(([of, state, since, each, notAfter]): CertificateOut => ({ ...parseOut([of, state, since]), serial: each as CertificateOut['serial'], notAfter: Number(notAfter) })),
  }
}

/** Before every device. */
const FIRST = { device: '' as DeviceId, serial: '' as SerialNumber }

/** Takes a number, or refuses one that was given already. */
export function prepareCrlChanges(db: DatabaseSync): (crl: CrlRecord) => Decision<void> {
  const find = db.prepare('SELECT number FROM crls WHERE issuer = ? AND scope = ?')
  const put = db.prepare('INSERT INTO crls (issuer, scope, number, this_update, next_update) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET number = excluded.number, this_update = excluded.this_update, next_update = excluded.next_update')
  return ({ issuer, scope, number, thisUpdate, nextUpdate }) => {
    const last = find.get(issuer, scope)?.['number']
    if (last !== undefined && number <= Number(last)) return deny('revision-conflict', `the CRL number ${number} is used already`)
    put.run(issuer, scope, number, thisUpdate, nextUpdate)
    return allow(undefined)
  }
}

/** Remembers since when a device is out, for as long as it is. A suspended device that is retired is out for another reason from then on. */
export function prepareOutChanges(db: DatabaseSync, clock: () => EpochMs): (device: DeviceId, before: DeviceState, after: DeviceState) => void {
  const enter = db.prepare('INSERT INTO devices_out (device, since) VALUES (?, ?) ON CONFLICT DO UPDATE SET since = excluded.since')
  const leave = db.prepare('DELETE FROM devices_out WHERE device = ?')
  return (device, before, after) => {
    if (before === after) return
    if (after === 'suspended' || after === 'retired') enter.run(device, clock())
    else leave.run(device)
  }
}

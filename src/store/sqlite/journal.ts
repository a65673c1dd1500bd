// The registry as the signer reads it: a connection of its own that cannot write. Each look sees what is committed at that
// moment, and nothing that is not.

import { DatabaseSync } from 'node:sqlite'
import type { CaName, SerialNumber } from '../../core/ids.ts'
import type { CaRecord, CertificatePlan, CertificateRecord } from '../../core/registry.ts'
import { REGISTRY_LIMITS } from '../../limits.ts'
import { openingFailure } from './database.ts'
import { prepareReader } from './read.ts'

export interface JournalOfIssuer extends Disposable {
  record(serial: SerialNumber): CertificateRecord | undefined
  plan(serial: SerialNumber): CertificatePlan | undefined
  ca(): CaRecord | undefined
  cas(): readonly CaRecord[]
}

/** Opens it for one issuer. Failures: 'home-not-writable', 'database-corrupt', 'internal'. */
export function openJournal(file: string, issuer: CaName): JournalOfIssuer {
  let db: DatabaseSync | undefined
  try {
    db = new DatabaseSync(file, { readOnly: true, timeout: REGISTRY_LIMITS.databaseBusyMs, defensive: true })
    db.exec('PRAGMA trusted_schema = OFF; PRAGMA query_only = ON')
    const reader = prepareReader(db)
    const opened = db
    return {
      record: (serial) => reader.certificate(issuer, serial),
      plan: (serial) => reader.certificatePlan(issuer, serial),
      cas: () => reader.cas(),
      ca: () => reader.cas().find(({ name }) => name === issuer),
      [Symbol.dispose]: () => opened.close(),
    }
  } catch (error) {
    db?.close()
    throw openingFailure(file, error)
  }
}

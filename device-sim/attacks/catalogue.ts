// The catalogue of hostile cases, in the order in which it is listed: its families, each written by hand in a file of its own.

import { ENROLLMENT_ROWS } from './catalogue-enrollment.ts'
import { HTTPS_ROWS } from './catalogue-https.ts'
import { IDENTITY_ROWS } from './catalogue-identity.ts'
import { MQTT_ROWS } from './catalogue-mqtt.ts'
import type { CatalogueRow } from './catalogue-row.ts'
import { SERVER_SIDE_ROWS } from './catalogue-server-side.ts'
import { TLS_ROWS } from './catalogue-tls.ts'

const CATALOGUE = { ...TLS_ROWS, ...IDENTITY_ROWS, ...MQTT_ROWS, ...ENROLLMENT_ROWS, ...HTTPS_ROWS, ...SERVER_SIDE_ROWS } as const satisfies Record<string, CatalogueRow>

export type CaseId = keyof typeof CATALOGUE

export const CASE_IDS: readonly CaseId[] = (Object.keys(CATALOGUE)).filter((id): id is CaseId => id in CATALOGUE)

/** The row under its general type. */
export function rowOf(id: CaseId): CatalogueRow {
  return CATALOGUE[id]
}

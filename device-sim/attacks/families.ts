// Which code runs which case; the compiler counts them against the catalogue.

import type { Runner } from './arena.ts'
import type { CaseId } from './catalogue.ts'
import { ENROLLMENT_CASES } from './enrollment.ts'
import { IDENTITY_CASES } from './identity.ts'
import { FLOOD_CASES } from './floods.ts'
import { MQTT_CASES } from './mqtt.ts'
import { SERVER_SIDE_CASES } from './server-side.ts'
import { TLS_CASES } from './tls.ts'

export const RUNNERS: Readonly<Record<CaseId, Runner>> = {
  ...TLS_CASES,
  ...IDENTITY_CASES,
  ...MQTT_CASES,
  ...FLOOD_CASES,
  ...ENROLLMENT_CASES,
  ...SERVER_SIDE_CASES,
}

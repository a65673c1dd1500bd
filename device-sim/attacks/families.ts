// Which code runs which case; the compiler counts them against the catalogue.

import type { Runner } from './arena.ts'
import type { CaseId } from './catalogue.ts'
import { ENROLLMENT_CASES } from './enrollment.ts'
import { EST_HTTP_CASES } from './est-http.ts'
import { EST_RENEWAL_CASES } from './est-renewal.ts'
import { EST_REQUEST_CASES } from './est-requests.ts'
import { EST_TOKEN_CASES } from './est-tokens.ts'
import { FLOOD_CASES } from './floods.ts'
import { HTTPS_BODY_CASES } from './https-bodies.ts'
import { HTTPS_CASES } from './https-posts.ts'
import { IDENTITY_CASES } from './identity.ts'
import { IDENTITY_NAME_CASES } from './identity-names.ts'
import { IDENTITY_RECORD_CASES } from './identity-records.ts'
import { MQTT_CASES } from './mqtt.ts'
import { MQTT_FUZZ_CASES } from './mqtt-fuzz.ts'
import { MQTT_PACKET_CASES } from './mqtt-packets.ts'
import { MQTT_QUOTA_CASES } from './mqtt-quotas.ts'
import { MQTT_SESSION_CASES } from './mqtt-sessions.ts'
import { MQTT_TOPIC_CASES } from './mqtt-topics.ts'
import { ON_PATH_CASES } from './on-path.ts'
import { SERVER_SIDE_CASES } from './server-side.ts'
import { TLS_BREAK_CASES } from './tls-breaks.ts'
import { TLS_CERTIFICATE_CASES } from './tls-certificates.ts'
import { TLS_CHAIN_CASES } from './tls-chains.ts'
import { TLS_FLAW_CASES } from './tls-flaws.ts'
import { TLS_GREETING_CASES } from './tls-greetings.ts'
import { TLS_HANDSHAKE_CASES } from './tls-handshake.ts'
import { TLS_RECORD_CASES } from './tls-records.ts'
import { TLS_REVOKED_CASES } from './tls-revoked.ts'
import { WEBSOCKET_CASES } from './websocket.ts'

export const RUNNERS: Readonly<Record<CaseId, Runner>> = {
  ...TLS_CERTIFICATE_CASES,
  ...TLS_FLAW_CASES,
  ...TLS_CHAIN_CASES,
  ...TLS_HANDSHAKE_CASES,
  ...TLS_GREETING_CASES,
  ...TLS_RECORD_CASES,
  ...TLS_BREAK_CASES,
  ...TLS_REVOKED_CASES,
  ...IDENTITY_CASES,
  ...IDENTITY_NAME_CASES,
  ...IDENTITY_RECORD_CASES,
  ...MQTT_CASES,
  ...MQTT_PACKET_CASES,
  ...MQTT_TOPIC_CASES,
  ...MQTT_SESSION_CASES,
  ...MQTT_QUOTA_CASES,
  ...MQTT_FUZZ_CASES,
  ...WEBSOCKET_CASES,
  ...FLOOD_CASES,
  ...ENROLLMENT_CASES,
  ...EST_TOKEN_CASES,
  ...EST_RENEWAL_CASES,
  ...EST_REQUEST_CASES,
  ...EST_HTTP_CASES,
  ...HTTPS_CASES,
  ...HTTPS_BODY_CASES,
  ...SERVER_SIDE_CASES,
  ...ON_PATH_CASES,
}

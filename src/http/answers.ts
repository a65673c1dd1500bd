// The answers of the admin API about devices, certificates and what has happened, as schemas: what the reference shows, and what
// the typed client promises. The compiler lays each of them against what the Desk returns; a test, against what is really sent.

import { z } from 'zod'
import { REVOCATION_REASONS, RUNGS, SIGNALS, STEPS, type RevocationReason, type Signal } from '../vocabulary.ts'
import { DEVICE_STATES } from '../core/device.ts'
import { CERTIFICATE_STATES, PROFILE_NAMES } from '../core/registry.ts'
import { aCa, aCount, aDevice, aDuration, aFingerprint, aGroup, aKeyHash, anActor, anInstant, aReason, aSerial, aTenant, aToken, pageOf, pem } from './shapes.ts'

const revocationReason = z.enum(Object.keys(REVOCATION_REASONS) as [RevocationReason, ...RevocationReason[]])
const signal = z.enum(Object.keys(SIGNALS) as [Signal, ...Signal[]])
const rung = z.enum(RUNGS)
const deviceState = z.enum(DEVICE_STATES)

const deviceFields = {
  id: aDevice,
  tenant: aTenant,
  groups: z.array(aGroup),
  attributes: z.record(z.string(), z.string()),
  state: deviceState,
  createdAt: anInstant,
  revision: z.number().int().meta({ description: 'Counts the changes of this device, from 1.' }),
  keySha256: aKeyHash.exactOptional(),
  hold: z.strictObject({ since: anInstant, from: deviceState, because: z.string() }).exactOptional().meta({ description: 'The detection ladder keeps it in its state.' }),
}
export const device = z.strictObject(deviceFields).meta({ id: 'Device' })

const certificateFields = {
  issuer: aCa,
  serial: aSerial,
  profile: z.enum(PROFILE_NAMES),
  device: aDevice.exactOptional(),
  state: z.enum(CERTIFICATE_STATES),
  spkiSha256: aKeyHash,
  sha256: aFingerprint.exactOptional(),
  notBefore: anInstant,
  notAfter: anInstant,
  createdAt: anInstant,
  revokedAt: anInstant.exactOptional(),
  revocationReason: revocationReason.exactOptional(),
  through: aToken.exactOptional(),
}
const certificate = z.strictObject(certificateFields).meta({ id: 'Certificate' })
export const certificateShown = z.strictObject({ ...certificateFields, pem: pem.exactOptional() }).meta({ id: 'CertificateShown' })
export const certificatePage = pageOf(certificate).meta({ id: 'CertificatePage' })
export const journalPage = pageOf(z.strictObject({ ...certificateFields, by: anActor.exactOptional() })).meta({ id: 'JournalPage' })

export const devicePage = pageOf(device).meta({ id: 'DevicePage' })
export const deviceShown = z.strictObject({ ...deviceFields, certificates: z.array(certificate) }).meta({ id: 'DeviceShown' })
export const deviceChanged = z.strictObject({ ...deviceFields, sessionsClosed: aCount }).meta({ id: 'DeviceChanged' })
export const devicesAdded = z.strictObject({
  results: z.array(z.union([
    z.strictObject({ id: aDevice, ok: z.literal(true) }),
    z.strictObject({ id: z.string().exactOptional(), ok: z.literal(false), code: z.string(), message: z.string(), hint: z.string().exactOptional() }),
  ])),
}).meta({ id: 'DevicesAdded', description: 'Results in the order of the rows; a refused row stops no other.' })
export const enrolled = z.strictObject({ device: aDevice, serial: aSerial, certificate: pem, chain: z.array(pem), root: pem, notAfter: anInstant }).meta({ id: 'Enrolled' })

const refusal = z.strictObject({
  at: anInstant,
  step: z.enum(STEPS),
  reason: aReason,
  sentence: z.string(),
  fix: z.string(),
  detail: z.string().exactOptional(),
  source: z.string().exactOptional(),
  clientId: z.string().exactOptional(),
  topic: z.string().exactOptional(),
  rule: z.string().exactOptional(),
  ruleAt: z.string().exactOptional(),
  /** By which way in, where it was not MQTT. */
  door: z.string().exactOptional(),
  claimed: z.literal(true).exactOptional(),
  count: aCount.exactOptional(),
}).meta({ id: 'Refusal' })
const detection = z.strictObject({ at: anInstant, from: rung, to: rung, because: z.string(), signal: signal.exactOptional(), fix: z.string().exactOptional(), until: anInstant.exactOptional() }).meta({ id: 'DetectionStep' })
export const why = z.strictObject({ device: aDevice, refusals: z.array(refusal), detections: z.array(detection) }).meta({ id: 'Why' })
export const onRung = z.strictObject({ device: aDevice, rung: z.enum(RUNGS).exclude(['none']), since: anInstant, until: anInstant.exactOptional(), because: z.string(), signal: signal.exactOptional() }).meta({ id: 'OnRung' })
export const detectionCleared = z.strictObject({ device: aDevice, was: rung, undone: z.boolean(), state: deviceState }).meta({ id: 'DetectionCleared' })

export const revoked = z.strictObject({ revoked: z.array(aSerial), before: z.array(aSerial).exactOptional(), sessionsClosed: aCount, closedMs: aDuration }).meta({ id: 'Revoked' })
export const massRevoked = z.strictObject({ dryRun: z.boolean(), certificates: aCount, devices: aCount, first: z.array(aDevice), sessions: aCount, closedMs: aDuration }).meta({ id: 'MassRevoked' })

/** ECS field names, as they stand in data/audit.ndjson. */
const auditRecord = z.record(z.string(), z.unknown()).meta({ id: 'AuditRecord', description: 'A record of data/audit.ndjson: ECS field names.' })
export const auditTail = z.strictObject({ items: z.array(auditRecord) }).meta({ id: 'AuditTail' })
export const auditPage = z.strictObject({ items: z.array(auditRecord), next: z.string().exactOptional() }).meta({ id: 'AuditPage' })
export const auditVerdict = z.strictObject({ intact: z.boolean(), records: aCount, firstBad: z.strictObject({ line: z.number(), problem: z.string() }).exactOptional() }).meta({ id: 'AuditVerdict' })
export const openapi = z.record(z.string(), z.unknown()).meta({ id: 'OpenApi', description: 'An OpenAPI document.' })
export const status = z.record(z.string(), z.unknown()).meta({ id: 'Status' })

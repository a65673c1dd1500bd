// The answers of the admin API about tokens, requests to enroll, renewal and the CAs, as schemas.

import { z } from 'zod'
import { CA_STATES, PROFILE_NAMES } from '../core/registry.ts'
import { ROTATION_STEPS } from '../core/rotation.ts'
import { ENROLLMENT_STATES, NAME_SOURCES } from '../core/token.ts'
import { aCa, aCount, aDevice, aDuration, aGroup, aKeyHash, anInstant, aSerial, aTarget, aTenant, aToken, listOf, pageOf, pem } from './shapes.ts'

const proof = z.union([
  z.strictObject({ kind: z.literal('secret') }),
  z.strictObject({ kind: z.literal('claim'), sha256: aKeyHash }),
  z.strictObject({ kind: z.literal('manufacturer'), sha256: aKeyHash, ca: aCa, nameFrom: z.enum(NAME_SOURCES), prefix: z.string() }),
])
export const token = z.strictObject({
  name: aToken,
  proof,
  password: z.literal(true).exactOptional(),
  target: aTarget,
  register: z.boolean(),
  groups: z.array(aGroup),
  networks: z.array(z.string()),
  approve: z.enum(['auto', 'operator']),
  tenant: aTenant.exactOptional(),
  usesMax: aCount,
  uses: aCount,
  createdAt: anInstant,
  expiresAt: anInstant,
  revokedAt: anInstant.exactOptional(),
  suspendedAt: anInstant.exactOptional(),
}).meta({ id: 'Token' })
export const tokenPage = pageOf(token).meta({ id: 'TokenPage' })
export const tokensMade = listOf(z.strictObject({ name: aToken, token: z.string().meta({ description: 'Name and secret; shown now and never again.' }), target: aTarget, expiresAt: anInstant })).meta({ id: 'TokensMade' })
export const claimMade = z.strictObject({ name: aToken, target: aTarget, expiresAt: anInstant, serial: aSerial, certificate: pem, chain: z.array(pem), root: pem }).meta({ id: 'ClaimMade' })

export const enrollment = z.strictObject({
  id: z.string(),
  token: aToken,
  device: aDevice,
  spkiSha256: aKeyHash,
  state: z.enum(ENROLLMENT_STATES),
  source: z.string(),
  createdAt: anInstant,
  decidedAt: anInstant.exactOptional(),
}).meta({ id: 'Enrollment' })
export const enrollmentPage = pageOf(enrollment).meta({ id: 'EnrollmentPage' })

const choice = z.strictObject({ device: aDevice.optional(), group: aGroup.optional(), ca: aCa.optional(), issuedBefore: anInstant.optional() })
export const renewalOrdered = z.strictObject({ dryRun: z.boolean(), id: z.string().exactOptional(), devices: aCount, first: z.array(aDevice), connected: aCount }).meta({ id: 'RenewalOrdered' })
const renewalProgress = z.strictObject({ id: z.string(), choice, at: anInstant, overMs: aDuration, devices: aCount, fetched: aCount, connected: aCount, away: aCount, done: aCount }).meta({ id: 'RenewalProgress' })
export const renewalOrders = listOf(renewalProgress).meta({ id: 'RenewalOrders' })
export const renewalEnded = z.strictObject({ ended: z.string() }).meta({ id: 'RenewalEnded' })

const EXPIRY_KINDS = ['cross', 'trusted', 'crl', 'named-operator'] as const
const ownKind = z.enum(['root', 'issuing', ...EXPIRY_KINDS, 'server', 'operator', 'ocsp-responder'])
const ownExpiry = z.strictObject({ kind: ownKind, name: z.string(), serial: aSerial.exactOptional(), notBefore: anInstant, notAfter: anInstant })
export const renewedOwn = z.strictObject({ replaced: ownExpiry, issued: ownExpiry }).meta({ id: 'RenewedOwn' })
const expiring = z.strictObject({ kind: z.enum([...EXPIRY_KINDS, ...PROFILE_NAMES]), name: z.string(), serial: aSerial.exactOptional(), notBefore: anInstant, notAfter: anInstant, nextWaits: z.literal(true).exactOptional() })
export const expiringPage = z.strictObject({ items: z.array(expiring), next: z.string().exactOptional(), counted: z.strictObject({ devices: aCount, own: aCount }).exactOptional() }).meta({ id: 'ExpiringPage' })

const rotationStep = z.enum(ROTATION_STEPS)
export const caList = listOf(z.strictObject({ name: aCa, role: z.enum(['root', 'issuing', 'trusted']), state: z.enum(CA_STATES), ids: z.array(z.string()).exactOptional(), subject: z.string(), sha256: z.string(), notAfter: anInstant, pem })).meta({ id: 'CaList' })
export const caRotation = z.strictObject({
  next: rotationStep,
  nextDoes: z.string(),
  steps: z.array(z.strictObject({ step: rotationStep, does: z.string() })),
  crossSigning: z.enum(['not-needed', 'impossible', 'open', 'done']),
  cas: z.array(z.strictObject({ name: aCa, role: z.enum(['root', 'issuing']), state: z.enum(CA_STATES), since: anInstant, notAfter: anInstant, root: aCa.exactOptional(), certificates: aCount, only: aCount, devices: z.array(aDevice), others: aCount, sessions: aCount })),
  serverIssuer: aCa,
  rootKeys: z.array(aCa),
  expiring: z.array(z.strictObject({ certificate: z.string(), notAfter: anInstant })),
}).meta({ id: 'CaRotation' })
export const rotated = z.strictObject({ step: rotationStep, outcome: z.enum(['did', 'done', 'would', 'part']), told: z.array(z.string()), breaks: z.array(aDevice), breaksCount: aCount, sessionsClosed: aCount, revoked: aCount, next: rotationStep }).meta({ id: 'Rotated' })
export const caRequest = z.strictObject({ ca: aCa, csr: pem }).meta({ id: 'CaRequest' })
export const casImported = listOf(aCa).meta({ id: 'CasImported' })
export const caKeyNoted = z.strictObject({ ca: aCa, action: z.enum(['exported', 'removed']) }).meta({ id: 'CaKeyNoted' })

// The requests of the admin API that are about the policy. A policy comes as the texts of its files; what they say is read by
// whoever compiles them.

import { isIP } from 'node:net'
import { z } from 'zod'
import { POLICY_LIMITS } from '../limits.ts'
import { TLS_VERSIONS } from '../core/policy/document.ts'
import { deviceId } from './requests.ts'

const TOPIC_CHARS_MAX = 65_535
const NAME_CHARS_MAX = 256
const CLIENT_ID_CHARS_MAX = 1_024
/** Beyond this a date is none: ECMAScript's last. */
const INSTANT_MAX = 8_640_000_000_000_000

const files = z.array(z.strictObject({ name: z.string().min(1).max(NAME_CHARS_MAX), text: z.string().max(POLICY_LIMITS.documentBytesMax) })).max(POLICY_LIMITS.filesMax)
const generation = z.number().int().min(1)
const topic = z.string().max(TOPIC_CHARS_MAX).optional()

const asked = {
  publish: topic, subscribe: topic, receive: topic, will: topic, connect: z.string().max(CLIENT_ID_CHARS_MAX).optional(),
  qos: z.union([z.literal(0), z.literal(1), z.literal(2)]).optional(),
  retain: z.boolean().optional(),
  bytes: z.number().int().min(0).optional(),
}

const circumstances = {
  source: z.string().refine((text) => isIP(text) !== 0, 'not an address').optional(),
  tls: z.enum(TLS_VERSIONS).optional(),
  at: z.number().int().min(0).max(INSTANT_MAX).optional(),
}

const ofPolicy = { files: files.optional() }
/** A cursor is what a range before this one said. */
const range = { after: z.string().max(NAME_CHARS_MAX).optional(), limit: z.number().int().min(0).max(POLICY_LIMITS.fleetDevicesPerRequestMax).optional() }

export const question = z.strictObject({ device: deviceId, clientId: z.string().max(CLIENT_ID_CHARS_MAX).optional(), ...asked, ...circumstances, ...ofPolicy })
export const whoCan = z.strictObject({ ...asked, ...circumstances, ...ofPolicy, ...range })
export const diff = z.strictObject({ ...ofPolicy, ...range, from: z.union([files, generation]).optional(), to: generation.optional(), fleet: z.boolean().optional() })
export const lint = z.strictObject({ ...ofPolicy, ...range, fleet: z.boolean().optional() })
export const apply = z.strictObject({ ...ofPolicy, rollback: generation.optional(), base: z.number().int().min(0).optional(), sha256: z.string().regex(/^[0-9a-f]{64}$/).optional(), dryRun: z.boolean().optional(), force: z.boolean().optional() })
  .refine((request) => request.files === undefined || request.rollback === undefined, 'either files or rollback')

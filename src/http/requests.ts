// The requests of the admin API, as schemas: strict objects, so that an unknown field is an error and not a surprise. Text
// becomes a branded type here, by the constructors of core.

import { z } from 'zod'
import { REVOCATION_REASONS, type DenyReason, type RevocationReason } from '../vocabulary.ts'
import { PASSWORD_LIMITS, TOKEN_LIMITS } from '../enrollment-limits.ts'
import { REGISTRY_LIMITS, X509_LIMITS } from '../limits.ts'
import { EXPIRY_LIMITS } from '../renewal-limits.ts'
import type { Decision } from '../core/decision.ts'
import { DEVICE_ACTIONS, DEVICE_STATES, parseAttributes } from '../core/device.ts'
import { parseCaName, parseDeviceId, parseGroupName, parseKeyHash, parseSerialNumber, parseTenantId, parseTokenName } from '../core/ids.ts'
import { CERTIFICATE_STATES, PROFILE_NAMES } from '../core/registry.ts'
import { ENROLLMENT_STATES, parsePattern } from '../core/token.ts'

const ATTRIBUTE_CHARS_MAX = REGISTRY_LIMITS.attributeNameCharsMax + 1 + REGISTRY_LIMITS.attributeValueBytesMax

/** What a field is refused with, where that is not request-invalid: the document of this API collects it. */
export const REFUSED_WITH = 'x-refused-with'

interface FieldMeta {
  readonly description?: string
  readonly examples?: string[]
  readonly [REFUSED_WITH]?: DenyReason
}

/** A refusal of one field, with its own reason code. */
export function parsed<Out>(parse: (text: string) => Decision<Out>, meta: FieldMeta = {}): z.ZodType<Out, string> {
  return z.string().meta({ ...meta }).transform((text, context) => {
    const decision = parse(text)
    if (decision.allow) return decision.value
    context.addIssue({ code: 'custom', message: decision.detail ?? decision.reason, params: { reason: decision.reason } })
    return z.NEVER
  })
}

export const deviceId = parsed(parseDeviceId, { description: '1 to 64 of A-Z a-z 0-9 _ . -, the first a letter or digit.', examples: ['pump-17'], [REFUSED_WITH]: 'device-id-invalid' })
export const serialNumber = parsed(parseSerialNumber, { description: 'A serial number in hex, in either case, with colons or without.' })
export const caName = parsed(parseCaName)
export const groupName = parsed(parseGroupName, { [REFUSED_WITH]: 'group-invalid' })

const attributes = z.record(z.string(), z.string()).meta({ [REFUSED_WITH]: 'attribute-invalid' }).transform((value, context) => {
  const decision = parseAttributes(Object.entries(value))
  if (decision.allow) return decision.value
  context.addIssue({ code: 'custom', message: decision.detail ?? decision.reason, params: { reason: decision.reason } })
  return z.NEVER
})

export const newDevice = z.strictObject({
  id: deviceId,
  groups: z.array(groupName).max(REGISTRY_LIMITS.groupsPerDeviceMax).default([]),
  attributes: attributes.default({}),
  tenant: parsed(parseTenantId).optional(),
  keySha256: parsed(parseKeyHash).optional(),
  /** Judged with the id. */
  password: z.strictObject({ text: z.string().max(PASSWORD_LIMITS.charsMax), lifeMs: z.number().int().min(1).max(TOKEN_LIMITS.lifeMaxMs) }).optional(),
})

/** Values are judged with what the device has already. */
export const description = z.strictObject({
  groups: z.array(groupName).max(REGISTRY_LIMITS.groupsPerDeviceMax).optional(),
  attributes: z.record(z.string(), z.string().nullable()).optional(),
  revision: z.number().int().min(1).optional(),
})

/** Rows are judged one by one: each has a result of its own. */
export const newDevices = z.strictObject({ devices: z.array(z.unknown().meta({ description: 'As one device.' })).min(1).max(REGISTRY_LIMITS.pageSizeMax) })

export const enrollment = z.strictObject({ csr: z.string().max(2 * X509_LIMITS.csrBytesMax) })

export const stateChange = z.strictObject({ action: z.enum(DEVICE_ACTIONS) })

const REASON_NAMES = Object.keys(REVOCATION_REASONS) as [RevocationReason, ...RevocationReason[]]
export const revocation = z.union([
  z.strictObject({ device: deviceId, reason: z.enum(REASON_NAMES) }),
  z.strictObject({ serial: serialNumber, reason: z.enum(REASON_NAMES) }),
])

export const tokenName = parsed(parseTokenName)
const target = z.union([z.strictObject({ device: deviceId }), z.strictObject({ pattern: parsed(parsePattern) })])
export const newToken = z.strictObject({
  target,
  register: z.boolean().default(false),
  groups: z.array(groupName).max(REGISTRY_LIMITS.groupsPerDeviceMax).default([]),
  networks: z.array(z.string().max(64)).max(TOKEN_LIMITS.networksMax).default([]),
  approve: z.enum(['auto', 'operator']).default('auto'),
  uses: z.number().int().min(1).max(TOKEN_LIMITS.usesMax).default(1),
  lifeMs: z.number().int().min(1).max(TOKEN_LIMITS.lifeMaxMs),
})
export const newTokens = z.strictObject({ tokens: z.array(newToken).min(1).max(REGISTRY_LIMITS.pageSizeMax) })
export const decision = z.strictObject({ state: z.enum(['approved', 'rejected']) })
export const enrollmentId = z.string().max(32)
const instant = z.number().int().min(0)
export const massRevocation = z.strictObject({
  choice: z.strictObject({ group: groupName.optional(), ca: parsed(parseCaName).optional(), token: tokenName.optional(), issuedAfter: instant.optional(), issuedBefore: instant.optional() })
    .refine((choice) => Object.values(choice).some((value) => value !== undefined), 'say what to revoke'),
  reason: z.enum(REASON_NAMES),
  dryRun: z.boolean(),
  atMost: z.number().int().min(0).optional().meta({ description: 'What a dry run has counted. Without a dry run it must be said.' }),
}).refine(({ dryRun, atMost }) => dryRun || atMost !== undefined, 'say how many at most, as a dry run counts them')

export const limit = z.coerce.number<number>().int().min(1).max(REGISTRY_LIMITS.pageSizeMax).optional()
/** A cursor is what a page before this one said, nothing that anybody writes. */
export const after = z.string().max(256).optional()

/** name=value. */
const attribute = z.string().max(ATTRIBUTE_CHARS_MAX).meta({ description: 'name=value, as in site=north.', examples: ['site=north'] }).transform((text, context) => {
  const at = text.indexOf('=')
  const [name, value] = [text.slice(0, at), text.slice(at + 1)]
  if (at > 0 && /^[A-Za-z][A-Za-z0-9_]*$/.test(name)) return { name, value }
  context.addIssue({ code: 'custom', message: 'not name=value' })
  return z.NEVER
})
const expiringWithinMs = z.coerce.number<number>().int().min(0).max(EXPIRY_LIMITS.withinMsMax).meta({ description: 'The certificates of the device that are in force end within this time.' })

export const deviceQuery = z.strictObject({
  after, limit, group: groupName.optional(), state: z.enum(DEVICE_STATES).optional(), tenant: parsed(parseTenantId).optional(),
  q: z.string().min(1).max(REGISTRY_LIMITS.deviceIdCharsMax).meta({ description: 'Stands somewhere in the id, in whatever case.' }).optional(),
  attribute: attribute.optional(), expiringWithinMs: expiringWithinMs.optional(),
})
export const pageQuery = z.strictObject({ after, limit })
export const enrollmentQuery = z.strictObject({ after, limit, state: z.enum(ENROLLMENT_STATES).optional() })
export const certificateQuery = z.strictObject({ after, limit, device: deviceId.optional(), state: z.enum(CERTIFICATE_STATES).optional(), profile: z.enum(PROFILE_NAMES).optional(), through: tokenName.optional() })
export const auditQuery = z.strictObject({ count: limit })
export const auditRecordsQuery = z.strictObject({ after, limit, action: z.string().max(64).optional(), device: z.string().max(256).optional(), q: z.string().max(256).optional() })
/** Of the console, as it is listed. */
export const sessionId = z.string().regex(/^[0-9a-f]{8}$/)
export const reportName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}\.json$/)

// The requests of the admin API about connections, refusals and events. What is searched for is a part of a text, and no pattern.

import { isIP } from 'node:net'
import { z } from 'zod'
import { REASONS, STEPS, type DenyReason } from '../vocabulary.ts'
import { FEED_LIMITS } from '../feed-limits.ts'
import { FEED_KINDS, FEED_PLACE, parsePlace, type FeedPlace } from '../core/feed.ts'
import { LISTENERS } from '../core/feed-desk.ts'
import { deviceId, groupName } from './requests.ts'

const REASON_CODES = Object.keys(REASONS) as [DenyReason, ...DenyReason[]]
/** The key of a session: tenant, device and client id. */
const AFTER_CHARS_MAX = 2_048
const instant = z.coerce.number().int().min(0).optional()
const limit = z.coerce.number().int().min(1).max(FEED_LIMITS.pageMax).optional()
const q = z.string().min(1).max(FEED_LIMITS.searchCharsMax).optional()
const address = z.string().refine((text) => isIP(text) !== 0, 'not an address').optional()

export const connections = z.strictObject({ after: z.string().max(AFTER_CHARS_MAX).optional(), limit, device: deviceId.optional(), group: groupName.optional(), q, address, listener: z.enum(LISTENERS).optional() })
export const connection = z.string().regex(/^[0-9]{1,15}$/, 'not a connection')
const filter = { step: z.enum(STEPS).optional(), reason: z.enum(REASON_CODES).optional(), device: z.string().max(FEED_LIMITS.searchCharsMax).optional(), address, since: instant, until: instant, q }
export const refusals = z.strictObject({ after: z.string().regex(/^[0-9]{1,15}$/, 'not a cursor').optional(), limit, ...filter })
export const refusalGroups = z.strictObject(filter)
export const refusal = z.coerce.number().int().min(1).max(Number.MAX_SAFE_INTEGER)
export const events = z.strictObject({
  kinds: z.string().max(FEED_LIMITS.searchCharsMax).transform((text, context) => {
    const asked = text.split(',')
    const known = FEED_KINDS.filter((kind) => asked.includes(kind))
    if (known.length === new Set(asked).size) return known
    context.addIssue({ code: 'custom', message: `not all of them are of ${FEED_KINDS.join(', ')}` })
    return z.NEVER
  }).optional(),
  device: deviceId.optional(),
  /** For whoever cannot send a Last-Event-ID the first time. */
  after: z.string().regex(FEED_PLACE, 'not the id of an event').transform(parsePlace).optional(),
})

/** What is no number of ours is as good as none: a browser sends back whatever it was last told. */
export function lastEventOf(header: string | undefined): FeedPlace | undefined {
  return header === undefined ? undefined : parsePlace(header)
}

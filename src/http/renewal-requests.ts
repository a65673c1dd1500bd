// The requests of the admin API that are about renewal and expiry.

import { z } from 'zod'
import { REGISTRY_LIMITS } from '../limits.ts'
import { EXPIRY_LIMITS, RENEWAL_LIMITS } from '../renewal-limits.ts'
import { caName, deviceId, groupName } from './requests.ts'

export const order = z.strictObject({
  choice: z.strictObject({ device: deviceId.optional(), group: groupName.optional(), ca: caName.optional(), issuedBefore: z.number().int().min(0).optional() })
    .refine((choice) => Object.values(choice).some((value) => value !== undefined), 'say whom it means'),
  overMs: z.number().int().min(0).max(RENEWAL_LIMITS.orderOverMsMax),
  dryRun: z.boolean(),
})
export const orderId = z.string().max(32)
export const own = z.strictObject({ credential: z.enum(['server', 'operator']) })
export const expiring = z.strictObject({
  withinMs: z.coerce.number<number>().int().min(0).max(EXPIRY_LIMITS.withinMsMax),
  group: groupName.optional(),
  after: z.string().max(256).optional(),
  limit: z.coerce.number<number>().int().min(1).max(REGISTRY_LIMITS.pageSizeMax).optional(),
})

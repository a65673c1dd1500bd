// The requests of the admin API about tokens that a certificate proves, and about who planned which certificate.

import { z } from 'zod'
import { CLAIM_LIMITS } from '../claim-limits.ts'
import { ACTOR_KINDS } from '../core/audit.ts'
import { NAME_SOURCES, parsePrefix } from '../core/token.ts'
import { after, caName, enrollment, limit, newToken, parsed, tokenName } from './requests.ts'

export const newClaim = z.strictObject({ token: newToken, csr: enrollment.shape.csr })
export const newManufacturer = z.strictObject({ token: newToken, rule: z.strictObject({ ca: caName, nameFrom: z.enum(NAME_SOURCES), prefix: parsed(parsePrefix) }) })
export const suspension = z.strictObject({ suspended: z.boolean() })
export const journalQuery = z.strictObject({ after, limit, state: z.literal('planned').optional(), by: z.enum(ACTOR_KINDS).optional(), name: z.string().max(CLAIM_LIMITS.journalNameCharsMax).optional(), through: tokenName.optional() })

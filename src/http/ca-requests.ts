// The requests of the admin API that are about the CAs. A key that is lent comes over mutual TLS, is used, and is kept nowhere.

import { z } from 'zod'
import { CA_LIFE_LIMITS } from '../ca-limits.ts'
import { ROTATION_STEPS } from '../core/rotation.ts'
import { X509_LIMITS } from '../limits.ts'
import { caName } from './requests.ts'

const PASSPHRASE_CHARS_MAX = 1_024
/** As long as a device id. */
const PATTERN_CHARS_MAX = 64
/** A certificate in PEM, or a chain of a few. */
const pem = z.string().max(8 * X509_LIMITS.certificateBytesMax)

const ids = z.array(z.string().max(PATTERN_CHARS_MAX)).max(CA_LIFE_LIMITS.idPatternsMax)

export const rotate = z.strictObject({
  step: z.enum(ROTATION_STEPS),
  root: z.boolean().optional(),
  dryRun: z.boolean().optional(),
  force: z.boolean().optional(),
  ids: ids.optional(),
  unit: z.string().max(PATTERN_CHARS_MAX).optional(),
  rootKey: z.strictObject({ text: z.string().max(CA_LIFE_LIMITS.keyCharsMax), passphrase: z.string().max(PASSPHRASE_CHARS_MAX).optional() }).optional(),
})
export const source = z.strictObject({ cert: pem, chain: pem.optional(), ids: ids.optional() })
export const key = z.strictObject({ ca: caName, action: z.enum(['exported', 'removed']) })

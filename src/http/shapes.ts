// What answers are made of: names, times, pages. A name is text on the wire; in this program it is of its own type, and whoever
// reads an answer of our own server need not parse it again.

import { z } from 'zod'
import { REASONS, type DenyReason } from '../vocabulary.ts'
import type { Actor } from '../core/audit.ts'
import type { CaName, DeviceId, Fingerprint, GroupName, KeyHash, OperatorName, SerialNumber, TenantId, TokenName } from '../core/ids.ts'

/** The one place where text of our own server becomes a name without being looked at. */
function named<Name extends string>(schema: z.ZodString): z.ZodType<Name, string> {
  return schema as unknown as z.ZodType<Name, string>
}

export const aDevice = named<DeviceId>(z.string().meta({ description: 'A device id.', examples: ['pump-17'] }))
export const aGroup = named<GroupName>(z.string())
export const aTenant = named<TenantId>(z.string())
export const aCa = named<CaName>(z.string())
export const aSerial = named<SerialNumber>(z.string().meta({ description: 'A serial number, lower-case hex.' }))
export const anOperator = named<OperatorName>(z.string())
export const aToken = named<TokenName>(z.string().meta({ description: 'The name of a token: its first eight characters.' }))
export const aFingerprint = named<Fingerprint>(z.string().meta({ description: 'SHA-256 of the certificate, hex.' }))
export const aKeyHash = named<KeyHash>(z.string().meta({ description: 'SHA-256 of the public key, hex.' }))
export const anInstant = z.number().meta({ description: 'Milliseconds since 1970-01-01T00:00:00Z.' })
export const aDuration = z.number().meta({ description: 'Milliseconds.' })
export const aCount = z.number().int().min(0)
export const pem = z.string().meta({ description: 'PEM.' })

export const aReason = z.enum(Object.keys(REASONS) as [DenyReason, ...DenyReason[]]).meta({ id: 'Reason', description: 'Why something was refused: docs/reasons.md.' })
export const aPosition = z.strictObject({ file: z.string(), line: z.number(), column: z.number() }).meta({ id: 'SourcePosition' })
export const anActor: z.ZodType<Actor> = z
  .union([z.strictObject({ kind: z.literal('operator'), name: z.string(), operator: anOperator.exactOptional() }), z.strictObject({ kind: z.enum(['device', 'token', 'claim', 'manufacturer']), name: z.string() }), z.strictObject({ kind: z.enum(['local', 'system']) })])
  .meta({ id: 'Actor', description: 'Who did it: an operator by name, a device, whoever held a token; somebody at a shell of the home (local), or the program.' })

/** A page of a list: `next` is the `after` of the page behind it, and absent on the last. */
export const pageOf = <Item extends z.ZodType>(item: Item) => z.strictObject({ items: z.array(item), next: z.string().exactOptional() })
export const listOf = <Item extends z.ZodType>(item: Item) => z.strictObject({ items: z.array(item) })

export const aTarget = z.union([z.strictObject({ device: aDevice }), z.strictObject({ pattern: z.string() })])

// The YAML form of a policy as a JSON Schema (draft 2020-12), for editors: what may stand where, and what it means. It sees
// forms and words; what depends on other rules, on variables or on the calendar only the reader sees.

import { BROKER_LIMITS, POLICY_LIMITS, REGISTRY_LIMITS } from '../limits.ts'
import { ON_DENY, POLICY_STATES, RETAINED_FATES, TLS_VERSIONS, WILDCARD_MODES, WILL_ON_KICK } from '../core/policy/document.ts'
import type { CONDITION_KEYS, CONNECT_KEYS, DENIED_KEYS, DENY_KEYS, GRANT_KEYS, IDENTITY_KEYS, QUARANTINE_KEYS, RATE_KEYS, SENT_KEYS, SUBSCRIBE_KEYS, TARGET_KEYS, TIME_KEYS, TOP_KEYS } from '../core/policy/keys.ts'

export type JsonSchema = Readonly<Record<string, unknown>>

/** A schema for each key that the reader knows, or the compiler counts what is missing. */
type Properties<Keys extends readonly string[]> = Readonly<Record<Keys[number], JsonSchema>>

const ref = (name: string): JsonSchema => ({ $ref: `#/$defs/${name}` })
const described = (description: string, schema: JsonSchema): JsonSchema => ({ description, ...schema })
const object = (properties: Readonly<Record<string, JsonSchema>>, more: JsonSchema = {}): JsonSchema => ({ type: 'object', additionalProperties: false, properties, ...more })
const list = (items: JsonSchema, maxItems: number = POLICY_LIMITS.patternsPerRuleMax): JsonSchema => ({ type: ['array', 'null'], items, maxItems })
/** One, or a list of at least one. */
const some = (items: JsonSchema, maxItems: number): JsonSchema => ({ anyOf: [items, { type: 'array', items, minItems: 1, maxItems }] })
const oneOf = (words: readonly string[], standard: string): JsonSchema => ({ enum: words, default: standard })
/** A topic alone is short for a mapping with nothing else. */
const topics = (properties: Readonly<Record<string, JsonSchema>>, more: JsonSchema = {}): JsonSchema => list({ anyOf: [ref('topic'), object(properties, { required: ['topic'], ...more })] })

const NAME = { type: 'string', pattern: '^[A-Za-z0-9][A-Za-z0-9_.-]*$', maxLength: REGISTRY_LIMITS.groupCharsMax }
const DURATION = '[0-9]{1,9}(?:ms|s|m|h|d)'
const DAY = '(?:mon|tue|wed|thu|fri|sat|sun)'
const TIME_OF_DAY = { type: 'string', pattern: '^(?:(?:[01][0-9]|2[0-3]):[0-5][0-9]|24:00)$' }
const INSTANT = { type: 'string', pattern: '^[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])T(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9])?(?:Z|[+-](?:0[0-9]|1[0-4]):[0-5][0-9])$', examples: ['2027-03-01T06:00:00Z'] }
const TEXT = { type: 'string' }

const topic = described('A topic or a filter; variables fill in parts of a level.', ref('topic'))
const qos = described('The highest QoS.', { type: 'integer', minimum: 0, maximum: 2, default: 2 })
const retain = (standard: boolean): JsonSchema => described('Whether it may be retained.', { type: 'boolean', default: standard })
const maxBytes = described('The largest payload.', { anyOf: [{ type: 'integer', minimum: 0, maximum: 999_999_999_999 }, { type: 'string', pattern: '^[0-9]{1,12}(?:B|KiB|MiB|GiB)?$' }], examples: ['8KiB'] })
const sent: Omit<Properties<typeof SENT_KEYS>, 'retain'> = { topic, qos, maxBytes }
const rates: Properties<typeof RATE_KEYS> = {
  rate: described('How often a device may publish by this line, all of its sessions together.', { type: 'string', pattern: '^0*[1-9][0-9]*/[smh]$', maxLength: 9, examples: ['20/s', '600/m'] }),
  burst: described('How many at once; the number of the rate, when it is not said.', { type: 'integer', minimum: 1, maximum: 1_000_000 }),
}
const subscribed: Properties<typeof SUBSCRIBE_KEYS> = {
  topic, qos,
  wildcard: described('contain: one grant contains the whole filter. forbid: the filter has no wildcard. filter: they overlap, and only what is granted is delivered.', oneOf(WILDCARD_MODES, 'contain')),
  share: described('Names for $share; a last * stands for anything.', list({ type: 'string', pattern: '^[^/+#*]*(?:[^/+#]|\\*)$' }, POLICY_LIMITS.shareNamesMax)),
}
const denied: Properties<typeof DENIED_KEYS> = { topic }
const connect: Properties<typeof CONNECT_KEYS> = {
  clientId: described('The client id must be one of these; a last * stands for anything.', list({ type: 'string', pattern: '^[^*]*\\*?$' })),
  sessions: described('How many sessions the device may have.', { type: 'integer', minimum: 1, maximum: BROKER_LIMITS.sessionsPerDeviceMax }),
  sessionExpiryMax: described('How long a session may be kept.', { type: 'string', pattern: `^${DURATION}$`, examples: ['24h'] }),
}
const body: Properties<typeof QUARANTINE_KEYS> = {
  connect: described('Narrows who may connect, and for how long.', object(connect)),
  publish: described('What may be published.', topics({ ...sent, retain: retain(false), ...rates }, { dependentRequired: { burst: ['rate'] } })),
  subscribe: described('What may be subscribed to, and so received.', topics(subscribed)),
  will: described('Which Wills may be announced.', topics({ ...sent, retain: retain(true) })),
}

const target: Properties<typeof TARGET_KEYS> = {
  group: described('The devices of a group, and of the groups that it contains.', ref('name')),
  device: described('One device.', ref('name')),
  ca: described('The devices whose certificate this CA issued.', ref('name')),
  tenant: described('The devices of a tenant.', ref('name')),
  attr: described('The devices that have all of these attributes, each with one of its values.', {
    type: 'object',
    propertyNames: { pattern: '^[A-Za-z][A-Za-z0-9_]*$', maxLength: REGISTRY_LIMITS.attributeNameCharsMax },
    additionalProperties: some({ type: 'string', minLength: 1, pattern: '^[^/+#]*$' }, POLICY_LIMITS.valuesMax),
    minProperties: 1, maxProperties: REGISTRY_LIMITS.attributesPerDeviceMax,
    examples: [{ model: 'X1', site: ['north', 'south'] }],
  }),
}

const time: Properties<typeof TIME_KEYS> = {
  days: described('Days, or ranges of them; of a window over midnight, the day on which it begins.', { ...some({ type: 'string', pattern: `^${DAY}(?:-${DAY})?$` }, 1_000), examples: ['mon-fri'] }),
  from: described('When it begins.', TIME_OF_DAY),
  to: described('When it ends; over midnight, when that is not later.', TIME_OF_DAY),
  zone: described('A name of the IANA time zone database.', { type: 'string', pattern: '^[A-Za-z]', default: 'UTC', examples: ['Europe/Berlin'] }),
}
const conditions: Properties<typeof CONDITION_KEYS> = {
  source: described('The address of the connection is in one of these networks.', { ...some({ type: 'string', pattern: '^[0-9A-Fa-f:.]+(?:/[0-9]{1,3})?$' }, POLICY_LIMITS.networksMax), examples: [['10.0.0.0/8']] }),
  tls: described('The TLS version of the connection.', { enum: TLS_VERSIONS.flatMap((v) => [v, `>=${v}`, Number(v)]) }),
  time: described('A weekly window.', object(time)),
  notBefore: described('From this instant on.', INSTANT),
  notAfter: described('Until before this instant.', INSTANT),
  certificateAge: described('Since the certificate\'s notBefore.', { type: 'string', pattern: `^\\s*(?:>=|<)${DURATION}(?:\\s+(?:>=|<)${DURATION})?\\s*$`, examples: ['>=1d <90d'] }),
  attested: described('Whether the enrollment proved what device it is.', { type: 'boolean' }),
  state: described('The state of the device. A grant that says none is for active devices, a deny for all.', some({ enum: POLICY_STATES }, 1_000)),
}

const rule = {
  id: described('Named in every explanation and in the audit log.', ref('name')),
  to: described('Whom the rule is for.', ref('target')),
  when: described('What must hold for the rule to apply: all that is said.', object(conditions, { minProperties: 1 })),
}
const onDeny = described('What a refused publish costs.', oneOf(ON_DENY, 'drop'))
const grant: Properties<typeof GRANT_KEYS> = { ...rule, ...body }
const deny: Properties<typeof DENY_KEYS> = {
  ...rule,
  publish: described('What must not be published, Wills included.', topics(denied)),
  subscribe: described('What must not be subscribed to, nor received.', topics(denied)),
  receive: described('What must not be received.', topics(denied)),
  onDeny,
}
const identity: Properties<typeof IDENTITY_KEYS> = {
  ca: described('The name of a CA of trust: in sallyport.yaml.', ref('name')),
  device: described('Where the device id comes from.', { ...TEXT, examples: ['${cert.subject.CN}'] }),
  idPattern: described('What the whole id must match; RE2 syntax.', TEXT),
  groups: described('The groups of a device that is registered by this rule.', list(TEXT)),
  register: described('auto: a valid certificate of this CA registers its device on first connect.', oneOf(['known', 'auto'], 'known')),
}

const top: Properties<typeof TOP_KEYS> = {
  version: described('Of the language.', { const: 1 }),
  identity: described('For which devices the certificates of other CAs speak.', list(object(identity, { required: ['ca', 'device'] }), POLICY_LIMITS.rulesMax)),
  groups: described('Which groups a group contains: a device of one of them is of it, too.', { type: ['object', 'null'], propertyNames: ref('name'), additionalProperties: list(ref('name')) }),
  grants: described('What is allowed. The default is nothing.', list(object(grant, { required: ['id', 'to'] }), POLICY_LIMITS.rulesMax)),
  deny: described('What is forbidden, whatever the grants say.', list(object(deny, { required: ['id', 'to'] }), POLICY_LIMITS.rulesMax)),
  onDeny,
  strictDeny: described('A deny that only overlaps a filter refuses it.', { type: 'boolean', default: false }),
  retained: described('What becomes of a retained message whose publisher is out of force, or may not publish it any longer.', oneOf(RETAINED_FATES, 'hide')),
  willOnKick: described('Whether the Will of a session is published that an operator, a revocation or a policy ends.', oneOf(WILL_ON_KICK, 'suppress')),
  quarantine: described('All that a quarantined device may do.', object(body)),
}

/** The schema of one file of a policy, in YAML or JSON. */
export const POLICY_SCHEMA: JsonSchema = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'Sallyport policy',
  description: 'Who may publish and subscribe to what. The default is that nobody may anything; a deny wins over every grant.',
  ...object(top, { required: ['version'] }),
  $defs: {
    name: NAME,
    topic: { type: 'string', minLength: 1, pattern: '^(?!\\$(?!\\{))(?:(?:\\+|[^/+#]*)/)*(?:#|\\+|[^/+#]*)$', examples: ['t/${device.id}/#'] },
    target: { anyOf: [{ const: 'any' }, object(target, { minProperties: 1, maxProperties: 1 })] },
  },
}

/** As it is published. */
export function policySchemaText(): string {
  return `${JSON.stringify(POLICY_SCHEMA, null, 2)}\n`
}

// The properties of MQTT 5 packets, held to the table of §2.2.2.2 before the engine sees them. The parser hands on what it
// could not read (null, -1, false) and repeated properties as lists: from those the engine throws, and what it forwards
// destroys the sockets of the subscribers (trap 17). It knows no session and no grants.

import { allow, deny, type Decision } from '../../core/decision.ts'

type Kind = 'number' | 'flag' | 'text' | 'bytes' | 'pairs'

const KINDS: Readonly<Record<string, Kind>> = {
  sessionExpiryInterval: 'number', willDelayInterval: 'number', messageExpiryInterval: 'number', receiveMaximum: 'number',
  maximumPacketSize: 'number', topicAliasMaximum: 'number', topicAlias: 'number', subscriptionIdentifier: 'number',
  requestResponseInformation: 'flag', requestProblemInformation: 'flag', payloadFormatIndicator: 'flag',
  authenticationMethod: 'text', contentType: 'text', responseTopic: 'text', reasonString: 'text',
  authenticationData: 'bytes', correlationData: 'bytes',
  userProperties: 'pairs',
}

const MESSAGE = ['payloadFormatIndicator', 'messageExpiryInterval', 'contentType', 'responseTopic', 'correlationData', 'userProperties'] as const
const ACK = ['reasonString', 'userProperties'] as const

/** What a client may send with which packet. A Subscription Identifier in its PUBLISH is an error, too [MQTT-3.3.4-6]. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  connect: ['sessionExpiryInterval', 'receiveMaximum', 'maximumPacketSize', 'topicAliasMaximum', 'requestResponseInformation', 'requestProblemInformation', 'userProperties', 'authenticationMethod', 'authenticationData'],
  will: ['willDelayInterval', ...MESSAGE],
  publish: ['topicAlias', ...MESSAGE],
  puback: ACK,
  pubrec: ACK,
  pubrel: ACK,
  pubcomp: ACK,
  subscribe: ['subscriptionIdentifier', 'userProperties'],
  unsubscribe: ['userProperties'],
  disconnect: ['sessionExpiryInterval', ...ACK],
}

/** Where zero is a protocol error. §3.1.2.11.3, §3.1.2.11.4, §3.8.2.1.2. */
const NEVER_ZERO: readonly string[] = ['receiveMaximum', 'maximumPacketSize', 'subscriptionIdentifier']

// U+FFFD stands where the bytes were not UTF-8 [MQTT-1.5.4-1]; NUL must not occur at all [MQTT-1.5.4-2].
const NOT_A_STRING = /[\0\uFFFD]/

/** Bytes that were UTF-8 text without NUL. */
export function isText(value: unknown): value is string {
  return typeof value === 'string' && !NOT_A_STRING.test(value)
}

function isA(kind: Kind, value: unknown): boolean {
  switch (kind) {
    case 'number':
      return typeof value === 'number' && value >= 0
    case 'flag':
      return typeof value === 'boolean'
    case 'text':
      return isText(value)
    case 'bytes':
      return value instanceof Uint8Array
    case 'pairs':
      // The only property that may be repeated: a name that occurs twice has a list of values.
      return typeof value === 'object' && value !== null && Object.entries(value).every(([name, text]) => isText(name) && (Array.isArray(text) ? text.every(isText) : isText(text)))
  }
}

/** Judges the properties of one packet; `packet` names a row of the table above. Reasons: malformed-packet, protocol-error. */
export function judgeProperties(packet: string, properties: Readonly<Record<string, unknown>> | undefined): Decision<void> {
  if (properties === undefined) return allow(undefined)
  const allowed = ALLOWED[packet] ?? []
  for (const [name, value] of Object.entries(properties)) {
    if (!allowed.includes(name)) return deny('protocol-error', `property ${name} in ${packet}`)
    // A repeated property is a protocol error, one that cannot be read a malformed packet.
    if (Array.isArray(value)) return deny('protocol-error', `property ${name} twice`)
    const kind = KINDS[name]
    if (kind === undefined || !isA(kind, value)) return deny('malformed-packet', `property ${name}`)
    if (value === 0 && NEVER_ZERO.includes(name)) return deny('protocol-error', `property ${name} is 0`)
    // A Response Topic is a topic name [MQTT-3.3.2-14].
    if (name === 'responseTopic' && /[+#]/.test(String(value))) return deny('protocol-error', 'a wildcard in the Response Topic')
  }
  if (properties['authenticationData'] !== undefined && properties['authenticationMethod'] === undefined) return deny('protocol-error', 'authentication data without a method')
  return allow(undefined)
}

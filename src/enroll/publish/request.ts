// A request that publishes, read: topic, QoS, retain and the properties of MQTT 5, where AWS IoT Core's HTTPS publish has them. Nothing is
// guessed: what is there twice, unknown or not readable is refused. Whether the topic is one, and is granted, is judged elsewhere.

import type { IncomingHttpHeaders } from 'node:http'
import { allow, deny, type Decision } from '../../core/decision.ts'
import type { Post } from '../../core/https-publish.ts'
import type { MessageProperties, UserProperty } from '../../core/message.ts'
import { printable } from '../../core/ids.ts'

/** What is published, but for its payload. */
export type PostAsked = Omit<Post, 'payload'>

const ROOT = '/topics'

/** Is this a request to publish, whatever is wrong with it? `target` stands in the request line, behind the host where there is one. */
export function isPublish(target: string): boolean {
  return target === ROOT || target.startsWith(`${ROOT}/`) || target.startsWith(`${ROOT}?`)
}

/** Reasons: topic-invalid, publish-request, whose detail may be said to the client; publish-origin. */
export function parsePublish(target: string, headers: IncomingHttpHeaders): Decision<PostAsked> {
  const origin = judgeOrigin(headers)
  if (!origin.allow) return origin
  // What a URL cannot have is read in one way here, and in another by whatever stands before.
  if (/[^\x21-\x7e]/.test(target)) return deny('publish-request', 'a character that a URL cannot have')
  const mark = target.indexOf('?')
  const topic = decoded(target.slice(ROOT.length + 1, mark === -1 ? undefined : mark))
  if (topic === undefined) return deny('topic-invalid', 'not UTF-8, or not percent-encoded')
  const query = parseQuery(mark === -1 ? '' : target.slice(mark + 1))
  if (!query.allow) return query
  const properties = parseProperties(query.value, headers)
  if (!properties.allow) return properties
  const { qos = '0', retain = 'false', messageExpiry } = query.value
  if (qos !== '0' && qos !== '1') return deny('publish-request', 'qos is 0 or 1')
  if (retain !== 'true' && retain !== 'false') return deny('publish-request', 'retain is true or false')
  if (messageExpiry !== undefined && !(/^\d{1,10}$/.test(messageExpiry) && Number(messageExpiry) <= UINT32_MAX)) return deny('publish-request', 'messageExpiry is a number of seconds')
  return allow({ topic, qos: qos === '1' ? 1 : 0, retain: retain === 'true', properties: properties.value, expirySeconds: messageExpiry === undefined ? undefined : Number(messageExpiry) })
}

/**
 * A browser shows the certificate of its user for whichever page asks, also by a form, and shows nothing of it: a foreign page would speak as
 * that user's device. It cannot leave these headers out; a device has none.
 */
function judgeOrigin({ origin, 'sec-fetch-site': site }: IncomingHttpHeaders): Decision<void> {
  return origin === undefined && site === undefined ? allow(undefined) : deny('publish-origin', `origin ${printable(origin ?? 'of a browser')}`)
}

const PARAMETERS = ['qos', 'retain', 'contentType', 'responseTopic', 'messageExpiry'] as const
type Query = Partial<Record<(typeof PARAMETERS)[number], string>>

function parseQuery(text: string): Decision<Query> {
  const query: Query = {}
  for (const part of text === '' ? [] : text.split('&')) {
    const [, said = '', coded = ''] = /^([^=]*)=(.*)$/.exec(part) ?? []
    const name = PARAMETERS.find((known) => known === said)
    // One that is there twice would be two for two readers.
    if (name === undefined || query[name] !== undefined) return deny('publish-request', `the parameter ${printable(said === '' ? part : said)} ${name === undefined ? 'is unknown' : 'is there twice'}`)
    const value = decoded(coded)
    if (value === undefined) return deny('publish-request', `the parameter ${name} is not percent-encoded UTF-8`)
    query[name] = value
  }
  return allow(query)
}

/** Decoded once, strictly; undefined where that cannot be. A plus sign is one: media types have it. */
function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

const UINT32_MAX = 0xffff_ffff
const USER_PROPERTIES = 'x-amz-mqtt5-user-properties'
const FORMAT = 'x-amz-mqtt5-payload-format-indicator'
const CORRELATION = 'x-amz-mqtt5-correlation-data'

function parseProperties({ contentType, responseTopic }: Query, headers: IncomingHttpHeaders): Decision<MessageProperties | undefined> {
  const [pairs, format, correlation] = [headers[USER_PROPERTIES], headers[FORMAT], headers[CORRELATION]]
  const userProperties = typeof pairs === 'string' ? userPropertiesOf(pairs) : undefined
  if (pairs !== undefined && userProperties === undefined) return deny('publish-request', `${USER_PROPERTIES} is base64 of a JSON list of objects, each with one name and its text`)
  if (format !== undefined && format !== 'UTF8_DATA' && format !== 'UNSPECIFIED_BYTES') return deny('publish-request', `${FORMAT} is UTF8_DATA or UNSPECIFIED_BYTES`)
  const correlationData = typeof correlation === 'string' ? fromBase64(correlation) : undefined
  if (correlation !== undefined && correlationData === undefined) return deny('publish-request', `${CORRELATION} is base64`)
  const properties: MessageProperties = {
    ...(format === 'UTF8_DATA' ? { payloadFormatIndicator: true } : {}),
    ...(contentType === undefined ? {} : { contentType }),
    ...(responseTopic === undefined ? {} : { responseTopic }),
    ...(correlationData === undefined ? {} : { correlationData }),
    ...(userProperties === undefined || userProperties.length === 0 ? {} : { userProperties }),
  }
  return allow(Object.keys(properties).length === 0 ? undefined : properties)
}

/** Undefined: it is none, or not the one way in which it is written. */
function fromBase64(text: string): Uint8Array | undefined {
  const bytes = Buffer.from(text, 'base64')
  return bytes.toString('base64') === text ? Uint8Array.from(bytes) : undefined
}

/** One pair in each object: so their order is theirs, and no name hides another. */
function userPropertiesOf(text: string): readonly UserProperty[] | undefined {
  const bytes = fromBase64(text)
  if (bytes === undefined) return undefined
  let list: unknown
  try {
    list = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    return undefined
  }
  if (!Array.isArray(list)) return undefined
  const pairs: UserProperty[] = []
  for (const each of list as readonly unknown[]) {
    const [pair, more] = typeof each === 'object' && each !== null && !Array.isArray(each) ? Object.entries(each) : []
    if (pair === undefined || more !== undefined || typeof pair[1] !== 'string' || NO_TEXT.test(pair[0]) || NO_TEXT.test(pair[1])) return undefined
    pairs.push([pair[0], pair[1]])
  }
  return pairs
}

/** [MQTT-1.5.4-1], [MQTT-1.5.4-2]: half a surrogate pair is no UTF-8, and NUL is not allowed. */
const NO_TEXT = /[\0\p{Cs}\uFFFD]/u

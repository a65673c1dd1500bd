// Reads what stands under publish, subscribe, will and receive: topics with their terms. A topic alone is short for
// {topic: …}.

import { POLICY_LIMITS } from '../../limits.ts'
import type { SourcePosition } from '../errors.ts'
import { printable } from '../ids.ts'
import type { MapEntry, SourceNode, TreeReader } from '../source-tree.ts'
import { parseTopicFilter } from '../topic.ts'
import { RESERVED_ROOT_PREFIX } from '../../vocabulary.ts'
import { WILDCARD_MODES, type DenyPattern, type PublishGrant, type Rate, type SubscribeGrant } from './document.ts'
import { DENIED_KEYS, RATE_KEYS, SENT_KEYS, SUBSCRIBE_KEYS } from './keys.ts'
import { parseParts, type Parts, type Template, type TemplateLevel } from './template.ts'

const RATE = /^(\d{1,7})\/([smh])$/
const SECONDS_OF: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600 }
const BURST_MAX = 1_000_000
const WILL_HAS_NO_RATE = { rate: 'a Will is announced once for each connection.', burst: 'a Will is announced once for each connection.' }

export class TopicReader {
  readonly #reader: TreeReader
  /** Levels that were read: ten thousand rules have few different ones, and share them. */
  readonly #levels = new Map<string, Parts>()

  constructor(reader: TreeReader) {
    this.#reader = reader
  }

  /** A list of what `read` reads. */
  each<T>(entry: MapEntry | undefined, what: string, read: (node: SourceNode) => T | undefined, max: number = POLICY_LIMITS.patternsPerRuleMax): readonly T[] {
    return this.items(entry, what, max).flatMap((node) => {
      const value = read(node)
      // What is read may be a list itself (parts of a text), so it is wrapped, not flattened.
      return value === undefined ? [] : [value]
    })
  }

  /** A section with nothing in it is an empty one; one that is too long is not read at all. */
  items(entry: MapEntry | undefined, what: string, max: number): readonly SourceNode[] {
    if (entry === undefined || (entry.value.kind === 'scalar' && entry.value.value === null)) return []
    const items = this.#reader.list(entry.value, what) ?? []
    if (items.length <= max) return items
    this.#reader.report(entry.keyAt, `${what} has more than ${max} entries.`)
    return []
  }

  publish(node: SourceNode): PublishGrant | undefined {
    return this.#sent(node, 'publish', false)
  }

  will(node: SourceNode): PublishGrant | undefined {
    return this.#sent(node, 'will', true)
  }

  subscribe(node: SourceNode): SubscribeGrant | undefined {
    const map = this.#topicMap(node, 'subscribe', SUBSCRIBE_KEYS)
    if (map === undefined) return undefined
    const topic = this.#template(map.get('topic')?.value ?? node, 'the topic of subscribe')
    const wildcard = map.get('wildcard')
    const terms = {
      qos: this.#qos(map.get('qos')),
      wildcard: (wildcard && this.#reader.oneOf(wildcard.value, 'wildcard', WILDCARD_MODES)) ?? 'contain',
      share: this.each(map.get('share'), 'share', (n) => this.#shareName(n), POLICY_LIMITS.shareNamesMax),
    } as const
    return topic && { topic, at: node.at, ...terms }
  }

  denied(node: SourceNode): DenyPattern | undefined {
    const map = this.#topicMap(node, 'a denied topic', DENIED_KEYS)
    const topic = map && this.#template(map.get('topic')?.value ?? node, 'a denied topic')
    return topic && { topic, at: node.at }
  }

  parts(text: string, at: SourcePosition, what: string): Parts | undefined {
    const parts = parseParts(text)
    return 'problem' in parts ? this.#reader.report(at, `${what}: ${parts.problem}`, parts.fix) : parts
  }

  #level(text: string, at: SourcePosition, what: string): Parts | undefined {
    const known = this.#levels.get(text)
    if (known !== undefined) return known
    const parts = this.parts(text, at, what)
    if (parts !== undefined && this.#levels.size < POLICY_LIMITS.levelsSharedMax) this.#levels.set(text, parts)
    return parts
  }

  #sent(node: SourceNode, what: 'publish' | 'will', retainByDefault: boolean): PublishGrant | undefined {
    const map = what === 'will' ? this.#topicMap(node, what, SENT_KEYS, WILL_HAS_NO_RATE) : this.#topicMap(node, what, [...SENT_KEYS, ...RATE_KEYS])
    if (map === undefined) return undefined
    const topic = this.#template(map.get('topic')?.value ?? node, `the topic of ${what}`)
    const retain = map.get('retain')
    const bytes = map.get('maxBytes')
    const rate = this.#rate(map.get('rate'), map.get('burst'))
    const terms = {
      qos: this.#qos(map.get('qos')),
      retain: (retain && this.#reader.boolean(retain.value, 'retain')) ?? retainByDefault,
      bytesMax: (bytes && this.#reader.bytes(bytes.value, 'maxBytes')) ?? Number.POSITIVE_INFINITY,
      ...(rate === undefined ? {} : { rate }),
    }
    return topic && { topic, at: node.at, ...terms }
  }

  /** '20/s', '600/m', '100/h'. As many at once as the number says, where no burst is given. */
  #rate(entry: MapEntry | undefined, burst: MapEntry | undefined): Rate | undefined {
    if (entry === undefined) return burst === undefined ? undefined : this.#reader.report(burst.keyAt, 'burst needs a rate.', 'Say how often, too: a rate such as 20/s.')
    const text = this.#reader.written(entry.value, 'rate')
    if (text === undefined) return undefined
    const match = RATE.exec(text)
    const count = Number(match?.[1] ?? 0)
    if (count === 0) return this.#reader.report(entry.value.at, `rate must be a number of messages in a time, not ${printable(text)}.`, 'Write 20/s, 600/m or 100/h; to forbid publishing, grant none.')
    const atOnce = burst && this.#reader.integer(burst.value, 'burst', 1, BURST_MAX)
    return { perSecond: count / (SECONDS_OF[match?.[2] ?? 's'] ?? 1), burst: atOnce ?? count }
  }

  #shareName(node: SourceNode): string | undefined {
    const text = this.#reader.string(node, 'a share name')
    return text === undefined || /^[^/+#*]*(?:[^/+#]|\*)$/.test(text) ? text : this.#reader.report(node.at, 'a share name is not empty and has none of / + #; only its last character may be "*".', 'In $share/workers/t/# it is workers.')
  }

  #topicMap(node: SourceNode, what: string, keys: readonly string[], misplaced: Readonly<Record<string, string>> = {}): ReadonlyMap<string, MapEntry> | undefined {
    if (node.kind === 'scalar') return new Map()
    const map = this.#reader.map(node, what, keys, misplaced)
    if (map === undefined || map.has('topic')) return map
    // Where a key is none of these, that has been said, and it may well be the topic.
    return node.kind === 'map' && node.entries.length > map.size ? undefined : this.#reader.report(node.at, `${what} has no topic.`, 'Add: topic: "…"')
  }

  #qos(entry: MapEntry | undefined): 0 | 1 | 2 {
    const qos = entry && this.#reader.integer(entry.value, 'qos', 0, 2)
    return qos === 0 ? 0 : qos === 1 ? 1 : 2
  }

  #template(node: SourceNode, what: string): Template | undefined {
    const text = this.#reader.string(node, what)
    if (text === undefined) return undefined
    const levels: TemplateLevel[] = []
    for (const level of text.split('/')) {
      const parts = level === '+' || level === '#' ? level : this.#level(level, node.at, what)
      if (parts === undefined) return undefined
      levels.push(parts)
    }
    // Each variable fills a part of one level, so any letter may stand for it where the form is checked.
    const form = levels.map((level) => (typeof level === 'string' ? level : level.map((p) => ('literal' in p ? p.literal : 'v')).join(''))).join('/')
    if (form.startsWith(RESERVED_ROOT_PREFIX)) return this.#reader.report(node.at, `${what}: topics that begin with ${RESERVED_ROOT_PREFIX} are reserved.`, 'Choose a root of your own.')
    const filter = parseTopicFilter(form)
    if (!filter.allow) return this.#reader.report(node.at, `${what}: "${printable(text)}" is not a topic filter (${filter.detail ?? 'malformed'}).`, 'A "+" fills a level alone, a "#" is the last level, alone.')
    return { text, levels }
  }
}

// Random ACL files, and what Mosquitto makes of them: a model of its security_default.c in few words, written without looking at
// ours. test/e2e/mosquitto-acl.test.ts asks Mosquitto itself.

import * as fc from 'fast-check'
import { filtersOf, matcher, topicsOf, type Who } from './imports.ts'

export interface Line {
  readonly kind: 'topic' | 'pattern'
  readonly access: string
  readonly topic: string
  readonly user: string
}

/** Own lines first, in each of them deny before the rest, then patterns. */
export function model(lines: readonly Line[], who: Required<Pick<Who, 'id' | 'clientId'>>, wanted: 'read' | 'write', topic: string): boolean {
  for (const kind of ['topic', 'pattern']) {
    const mine = lines.filter((line) => line.kind === kind && (kind === 'pattern' || line.user === who.id))
    const fitting = mine.filter((line) => matcher(kind === 'pattern' ? line.topic.replaceAll('%u', who.id).replaceAll('%c', who.clientId) : line.topic)(topic))
    if (fitting.some(({ access }) => access === 'deny')) return false
    if (fitting.some(({ access }) => access.includes(wanted))) return true
  }
  return false
}

// One that would be a variable here.
const ALPHABET = ['a', 'b', '', 'd1', 'x${device.id}', 'xd1']
export const TOPICS = topicsOf(ALPHABET, 3)
/** What each filter has of them. */
export const TOPICS_OF: ReadonlyMap<string, readonly string[]> = new Map(filtersOf(ALPHABET, 3).map((filter) => [filter, TOPICS.filter(matcher(filter))]))

const level = fc.constantFrom('a', 'a', 'b', '', '+', 'd1', 'x${device.id}')
const own = fc.constantFrom('%u', '%u', '%c', '%c', 'x%u')
const filter = (of: fc.Arbitrary<string>): fc.Arbitrary<string> => fc.tuple(fc.array(of, { minLength: 1, maxLength: 3 }), fc.constantFrom('', '', '/#')).map(([levels, end]) => levels.join('/') + end).filter((text) => text !== '')
const line = fc.tuple(fc.constantFrom<Line['kind']>('topic', 'topic', 'pattern'), fc.constantFrom('read', 'write', 'readwrite', 'deny'), fc.constantFrom('d1', 'd1', 'd2', 'd3')).chain(([kind, access, user]) =>
  fc.oneof(filter(kind === 'pattern' ? fc.oneof(level, own) : level), fc.constantFrom('#', '+/#')).map((topic): Line => ({ kind, access, topic, user })))

export const aclFiles: fc.Arbitrary<readonly Line[]> = fc.array(line, { minLength: 1, maxLength: 7 })

export function aclText(lines: readonly Line[]): string {
  return lines.map(({ kind, access, topic, user }) => `user ${user}\n${kind} ${access} ${topic}\n`).join('')
}

// What a target's access control list grants, as far as the cases must know it: templates in which ${id} stands for the device's
// name. It makes the topics and filters of a case out of them: what is a device's own, and the nearest that is not.

import { filterMatches } from './policy-oracle.ts'
import type { Group } from './identities.ts'

export interface Acl {
  /** Templates of topics; the first is the one that the cases speak on. */
  readonly publish: readonly string[]
  readonly subscribe: readonly string[]
  readonly will: readonly string[]
  /** Who may hear what others say, and by which filters. */
  readonly ears?: { readonly group: Group; readonly filters: readonly string[] } | undefined
  /** Whether somebody may publish what devices subscribe to; the filters of where. */
  readonly backend?: readonly string[] | undefined
  /** What names a device: its certificate alone, so that a client id is only the name of a session; or the client id, which must then be held to the certificate. */
  readonly identity: 'certificate' | 'client-id'
}

/** Sallyport's starter policy, by hand. */
export const STARTER_ACL = {
  publish: ['t/${id}/#'],
  subscribe: ['t/${id}/#', 'cmd/${id}/+'],
  will: ['state/${id}'],
  ears: { group: 'backend', filters: ['t/#', 'state/#'] },
  backend: ['cmd/+/+'],
  identity: 'client-id',
} as const satisfies Acl

const ID = '${id}'
const filled = (template: string, id: string): string => template.replaceAll(ID, () => id)

/** A topic of this template: every wildcard is one level, `leaf`. */
function topicOf(template: string, id: string, leaf: string): string {
  return template.split('/').map((level) => (level === '+' || level === '#' ? leaf : filled(level, id))).join('/')
}

/** A wildcard stands alone in its level, and # in the last one [MQTT-4.7.1-1, 4.7.1-3]. */
export function wellFormed(filter: string): boolean {
  const levels = filter.split('/')
  return levels.every((level, i) => (level === '+' || !level.includes('+')) && (!level.includes('#') || (level === '#' && i === levels.length - 1)))
}

/** Whether every topic that `asked` matches is matched by `granted`. */
function contains(granted: string, asked: string): boolean {
  if (!wellFormed(asked) || (asked.startsWith('$') && /^[+#]/.test(granted))) return false
  const [have, want] = [granted.split('/'), asked.split('/')]
  for (const [i, level] of have.entries()) {
    if (level === '#') return true
    const other = want[i]
    if (other === undefined || other === '#' || (level !== '+' && level !== other)) return false
  }
  return have.length === want.length
}

export function mayPublish(acl: Acl, id: string, topic: string): boolean {
  return acl.publish.some((template) => filterMatches(filled(template, id), topic))
}

export function maySubscribe(acl: Acl, id: string, filter: string): boolean {
  return acl.subscribe.some((template) => contains(filled(template, id), filter))
}

/** Where this device may speak. */
export function ownTopic(acl: Acl, id: string, leaf: string): string {
  return topicOf(acl.publish[0] ?? '', id, leaf)
}

export function willTopic(acl: Acl, id: string): string {
  return topicOf(acl.will[0] ?? '', id, 'will')
}

/** A topic on which this device hears itself, with the filter by which it does; undefined where devices do not. */
export function echoOf(acl: Acl, id: string, leaf: string): { readonly topic: string; readonly filter: string } | undefined {
  const topics = [...acl.publish, ...acl.subscribe].map((template) => topicOf(template, id, leaf)).filter((topic) => mayPublish(acl, id, topic))
  const filters = acl.subscribe.map((template) => filled(template, id))
  return topics.flatMap((topic) => filters.filter((filter) => filterMatches(filter, topic)).map((filter) => ({ topic, filter })))[0]
}

/** All that this device may hear. */
export function ownFilters(acl: Acl, id: string): readonly string[] {
  return acl.subscribe.map((template) => filled(template, id))
}

/** Where the backend may speak and this device hears it. */
export function commandTopic(acl: Acl, id: string, leaf: string): string | undefined {
  return acl.subscribe.map((template) => topicOf(template, id, leaf)).find((topic) => acl.backend?.some((filter) => filterMatches(filter, topic)) === true)
}

/** Topics near this device's own on which it may not speak, by what is wrong with them. */
export function foreignTopics(acl: Acl, own: string, other: string): Readonly<Record<string, string>> {
  const mine = ownTopic(acl, own, 'a')
  const [root = '', ...rest] = mine.split('/')
  const topics: Readonly<Record<string, string | undefined>> = {
    'telemetry of another device': ownTopic(acl, other, 'a'),
    'command to another device': commandTopic(acl, other, 'reboot') ?? topicOf(acl.subscribe[0] ?? '', other, 'reboot'),
    'a prefix of its id': ownTopic(acl, `${own}0`, 'a'),
    'another root': ['x', ...rest].join('/'),
    'capitals': [root.toUpperCase(), ...rest].join('/'),
    'a slash in front': `/${mine}`,
  }
  return Object.fromEntries(Object.entries(topics).flatMap(([label, topic]) => (topic === undefined || topic === '' || mayPublish(acl, own, topic) ? [] : [[label, topic]])))
}

/** Wills that this device may not leave. */
export function forbiddenWillTopics(acl: Acl, own: string, other: string): Readonly<Record<string, string>> {
  const permitted = (topic: string): boolean => acl.will.some((template) => filterMatches(filled(template, own), topic))
  const topics: Readonly<Record<string, string>> = {
    'state of another device': willTopic(acl, other),
    'telemetry of another device': ownTopic(acl, other, 'a'),
    'command to another device': commandTopic(acl, other, 'reboot') ?? topicOf(acl.subscribe[0] ?? '', other, 'reboot'),
    '$SYS': '$SYS/broker/uptime',
    'a wildcard': filled(acl.will[0] ?? '', '+'),
    'all topics': '#',
  }
  return Object.fromEntries(Object.entries(topics).filter(([, topic]) => topic !== '' && !permitted(topic)))
}

/** All that stands beside the levels of the devices in this template. */
function rootOf(template: string): string {
  const levels = template.split('/')
  return [...levels.slice(0, levels.findIndex((level) => level.includes(ID))), '#'].join('/')
}

/** Filters that match more than this device may hear: wide ones, others' ones, and tricks with the end of its own. */
export function wideFilters(acl: Acl, own: string, other: string): readonly string[] {
  const around = (template: string): readonly string[] => {
    const levels = template.split('/')
    const mine = filled(levels.slice(0, levels.findIndex((level) => level.includes(ID)) + 1).join('/'), own)
    return [
      ...(levels[0]?.includes(ID) === true ? [] : [rootOf(template), `${(levels[0] ?? '').toUpperCase()}/#`]),
      topicOf(template, '+', 'x'), filled(template, '+'), filled(template, other), topicOf(template, other, 'x'),
      `${mine}#`, `${mine}+/x`, `${mine}/#/x`, `${mine}/#`,
    ]
  }
  const templates = [...new Set([...acl.publish, ...acl.subscribe, ...acl.will])].filter((template) => template.includes(ID))
  const filters = new Set(['#', '+', '+/#', '+/+/+', '//', '/#', ...templates.flatMap(around)])
  return [...filters].filter((filter) => !maySubscribe(acl, own, filter))
}

/** The same around the corner of a shared subscription. */
export function sharedFilters(acl: Acl, own: string, other: string): readonly string[] {
  const template = acl.publish[0] ?? ''
  const wide = rootOf(template)
  return [
    '$share/g/#', `$share/g/${wide}`, `$share/g/${filled(template, other)}`, `$share/g/${filled(template, `${own}x`)}`, '$share/g/$SYS/#', '$share/g', `$share//${wide}`, `$share/+/${wide}`,
    '$share/g/$share/h/#', '$queue/#', `$queue/${topicOf(template, other, 'x')}`,
  ]
}

/** Whether cases that write the topics of the starter policy by hand can be run here. */
export function speaksStarterTopics(acl: Acl): boolean {
  return mayPublish(acl, 'd', 't/d/x') && ['t/d/#', 'cmd/d/+'].every((filter) => maySubscribe(acl, 'd', filter)) && acl.will.some((template) => filterMatches(filled(template, 'd'), 'state/d')) && !mayPublish(acl, 'd', 't/e/x')
}

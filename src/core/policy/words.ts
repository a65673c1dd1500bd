// A policy in words: one short line for each thing that a rule says, as people read it and as two rules are compared. Terms
// that are left out in a policy are left out here.

import type { ConditionName } from './conditions.ts'
import type { Conditions, ConnectTerms, DenyRule, GrantRule, IdentityRule, PublishGrant, Rate, SubscribeGrant, Target, TimeWindow } from './document.ts'
import type { Parts } from './template.ts'

export function partsWords(parts: Parts): string {
  return parts.map((part) => ('literal' in part ? part.literal.replaceAll('${', '$${') : `\${${part.variable}}`)).join('')
}

/** What could be taken for more than one word stands in quotes: two rules that differ must not read the same. */
const quoted = (text: string): string => (/^[^\s()|,;"]+$/.test(text) ? text : JSON.stringify(text))

export function targetWords(to: Target): string {
  switch (to.kind) {
    case 'any':
      return 'everybody'
    case 'group':
      return `group ${to.group}`
    case 'device':
      return `device ${to.device}`
    case 'ca':
      return `devices of CA ${to.ca}`
    case 'tenant':
      return `tenant ${to.tenant}`
    case 'attributes':
      return `devices with ${to.all.map(({ name, values }) => `${name}=${values.map(quoted).join('|')}`).join(', ')}`
  }
}

const UNITS = [['GiB', 1_024 ** 3], ['MiB', 1_024 ** 2], ['KiB', 1_024]] as const

function bytesWords(bytes: number): string {
  const unit = UNITS.find(([, size]) => bytes >= size && bytes % size === 0)
  return unit === undefined ? `${bytes}B` : `${bytes / unit[1]}${unit[0]}`
}

const SECONDS_OF = { s: 1, m: 60, h: 3_600 } as const

function rateWords({ perSecond, burst }: Rate): string {
  const unit = (['s', 'm', 'h'] as const).find((u) => isWhole(perSecond * SECONDS_OF[u])) ?? 'h'
  const count = Math.round(perSecond * SECONDS_OF[unit])
  return `rate ${count}/${unit}${burst === count ? '' : ` burst ${burst}`}`
}

/** A third of a second times sixty is 20, but for the last bit. */
const isWhole = (count: number): boolean => count >= 1 && Math.abs(count - Math.round(count)) < 1e-6

const DAY_WORDS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun']
const EVERY_DAY = 7
const MINUTES_OF_HOUR = 60
const clock = (minute: number): string => `${String(Math.floor(minute / MINUTES_OF_HOUR)).padStart(2, '0')}:${String(minute % MINUTES_OF_HOUR).padStart(2, '0')}`

function windowWords({ days, fromMinute, toMinute, zone }: TimeWindow): string {
  const on = days.length === EVERY_DAY ? '' : `${days.toSorted((a, b) => a - b).map((day) => DAY_WORDS[day - 1]).join(',')} `
  return `${on}${clock(fromMinute)}–${clock(toMinute)} ${zone}`
}

const AGE_UNITS = [['d', 86_400_000], ['h', 3_600_000], ['m', 60_000], ['s', 1_000]] as const

export function ageWords(ms: number): string {
  const unit = AGE_UNITS.find(([, size]) => ms >= size && ms % size === 0)
  return unit === undefined ? `${ms}ms` : `${ms / unit[1]}${unit[0]}`
}

export const instantWords = (ms: number): string => new Date(ms).toISOString().replace('.000Z', 'Z')

type ConditionWriter = (when: Conditions) => string | undefined
const CONDITION_WORDS: Readonly<Record<ConditionName, ConditionWriter>> = {
  source: ({ source }) => source?.networks.join(', '),
  tls: ({ tls }) => tls && `${tls.orLater ? '>=' : ''}${tls.version}`,
  time: ({ time }) => time && windowWords(time),
  notBefore: ({ notBefore }) => (notBefore === undefined ? undefined : instantWords(notBefore)),
  notAfter: ({ notAfter }) => (notAfter === undefined ? undefined : instantWords(notAfter)),
  certificateAge: ({ certificateAge: age }) => age && [age.minMs === undefined ? [] : [`>=${ageWords(age.minMs)}`], age.maxMs === undefined ? [] : [`<${ageWords(age.maxMs)}`]].flat().join(' '),
  attested: ({ attested }) => (attested === undefined ? undefined : String(attested)),
  state: ({ states }) => states?.join(', '),
}

/** What one condition asks for: '>=1.3', '10.0.0.0/8'. */
export function conditionWords(when: Conditions, condition: ConditionName): string {
  return CONDITION_WORDS[condition](when) ?? ''
}

/** All of them on one line, in one order; '' where there are none. */
export function whenWords(when: Conditions | undefined): string {
  if (when === undefined) return ''
  return Object.entries(CONDITION_WORDS).flatMap(([name, write]) => {
    const words = write(when)
    return words === undefined ? [] : [`${name} ${words}`]
  }).join('; ')
}

/** Of publish and of a Will; what is the same for nearly all of them is not said. */
export function sendTerms({ qos, retain, bytesMax, rate }: Omit<PublishGrant, 'topic' | 'at'>): string {
  return [
    qos < 2 ? `qos≤${qos}` : '', retain ? 'retain' : '', Number.isFinite(bytesMax) ? `≤${bytesWords(bytesMax)}` : '', rate === undefined ? '' : rateWords(rate),
  ].filter((term) => term !== '').join(', ')
}

export function readTerms({ qos, wildcard, share }: Omit<SubscribeGrant, 'topic' | 'at'>): string {
  return [qos < 2 ? `qos≤${qos}` : '', wildcard === 'contain' ? '' : `wildcard ${wildcard}`, share.length === 0 ? '' : `share ${share.map(quoted).join(' ')}`].filter((term) => term !== '').join(', ')
}

export const withTerms = (topic: string, terms: string): string => (terms === '' ? quoted(topic) : `${quoted(topic)} (${terms})`)

export const sendWords = (grant: PublishGrant): string => withTerms(grant.topic.text, sendTerms(grant))
export const readWords = (grant: SubscribeGrant): string => withTerms(grant.topic.text, readTerms(grant))

export function connectWords({ clientIds, sessionsMax, sessionExpirySecondsMax }: ConnectTerms): readonly string[] {
  return [
    ...(clientIds === undefined ? [] : [`clientId ${clientIds.map(({ parts, prefix }) => quoted(partsWords(parts) + (prefix ? '*' : ''))).join(' or ')}`]),
    ...(sessionsMax === undefined ? [] : [`sessions≤${sessionsMax}`]),
    ...(sessionExpirySecondsMax === undefined ? [] : [`session expiry≤${ageWords(sessionExpirySecondsMax * SECOND_MS)}`]),
  ]
}

const SECOND_MS = 1_000

/** Everything that a rule says, a line for each. */
export function grantLines({ to, when, connect, publish, subscribe, will }: GrantRule): readonly string[] {
  return [
    `to ${targetWords(to)}`, ...conditionLines(when), ...connectWords(connect).map((line) => `connect ${line}`),
    ...publish.map((grant) => `publish ${sendWords(grant)}`), ...subscribe.map((grant) => `subscribe ${readWords(grant)}`), ...will.map((grant) => `will ${sendWords(grant)}`),
  ]
}

export function denyLines({ to, when, publish, subscribe, receive, onDeny }: DenyRule): readonly string[] {
  return [
    `to ${targetWords(to)}`, ...conditionLines(when), ...(onDeny === undefined ? [] : [`onDeny ${onDeny}`]),
    ...publish.map(({ topic }) => `publish ${quoted(topic.text)}`), ...subscribe.map(({ topic }) => `subscribe ${quoted(topic.text)}`), ...receive.map(({ topic }) => `receive ${quoted(topic.text)}`),
  ]
}

export function identityLines({ device, idPattern, groups, register }: IdentityRule): readonly string[] {
  return [`device ${partsWords(device)}`, ...(idPattern === undefined ? [] : [`idPattern ${idPattern}`]), ...groups.map((group) => `group ${partsWords(group)}`), `register ${register}`]
}

function conditionLines(when: Conditions | undefined): readonly string[] {
  const words = whenWords(when)
  return words === '' ? [] : [`when ${words}`]
}

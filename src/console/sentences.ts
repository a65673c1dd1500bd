// Sentences that the console makes of what the server answers: how things stand, what will happen, what a complaint means. Pure, so
// that each can be laid before somebody and asked whether it is true.

import { quoted } from './shell.ts'
import type { FleetCounts, Overview, PolicyFile, PolicyLint, Status, Token } from './shapes.ts'
import { count, type Tone } from './words.ts'
import { REASONS } from '../vocabulary.ts'

const SERIAL = /^[0-9a-f: ]{16,}$/i

/** Where a search leads: a serial to its certificate, a reason to its refusals, anything else to devices. */
export function placeOf(text: string): string {
  const wanted = text.trim()
  if (SERIAL.test(wanted)) return `/certificates?serial=${wanted.replaceAll(/[: ]/g, '').toLowerCase()}`
  if (Object.hasOwn(REASONS, wanted)) return `/refusals?reason=${wanted}`
  return `/devices?q=${encodeURIComponent(wanted)}`
}

/** The worst thing first: one dot, one sentence. */
export function healthOf(status: Status): readonly [Tone, string] {
  if (!status.sessionStore.ok) return ['bad', 'The session store fails: nothing new is acknowledged']
  if (status.expiring.length > 0) return ['soon', `${count(status.expiring.length, 'certificate')} of the server's own ${status.expiring.length === 1 ? 'expires' : 'expire'} soon`]
  return ['good', 'Serving']
}

/** The line of truth in its parts: a number comes with the page of what it counts. */
export function truthOf({ devices, connected, refused }: Pick<Overview, 'devices' | 'connected' | 'refused'>): readonly (readonly [words: string, to?: string])[] {
  if (devices.total === 0) return [['No device is registered yet.']]
  return [
    [connected.devices.toLocaleString('en-US'), '/connections'], [' of '], [count(devices.total, 'device'), '/devices'], [' connected; '],
    [refused.hour === 0 ? 'nobody' : count(refused.hour, 'connection'), '/refusals'], [' refused in the last hour.'],
  ]
}

/** A sentence within another one: without its full stop, and small where it does not begin with a name. */
export function inside(sentence: string): string {
  const plain = sentence.replace(/\.$/, '')
  return /^[A-Z][a-z]*(?= )/.test(plain) ? plain.charAt(0).toLowerCase() + plain.slice(1) : plain
}

const COMMAND = /sallyport [a-z][^:;,()]*?(?=[.;]?$|[.;] )/
/** What a person would have to fill in. */
const BLANK = /(?:^| )[A-Z]+(?= |$)/

/** The command that a fix ends with, for this device and this topic; undefined where somebody would have to complete it. */
export function commandIn(fix: string, device: string | undefined, topic?: string): string | undefined {
  const found = COMMAND.exec(fix)?.[0].split(' ')
  if (found === undefined) return undefined
  const known: Readonly<Record<string, string | undefined>> = { ID: device, DEVICE: device, TOPIC: topic }
  const filled = found.map((word) => (Object.hasOwn(known, word) ? known[word] : BLANK.test(word) ? undefined : word))
  return filled.every((word) => word !== undefined) ? filled.map((word, index) => (word === found[index] ? word : quoted(word))).join(' ') : undefined
}

/** How it stands, in a word. */
export function standingOf({ revokedAt, suspendedAt, expiresAt, uses, usesMax }: Pick<Token, 'revokedAt' | 'suspendedAt' | 'expiresAt' | 'uses' | 'usesMax'>, now: number): readonly [Tone, string] {
  if (revokedAt !== undefined) return ['bad', 'revoked']
  if (suspendedAt !== undefined) return ['soon', 'suspended']
  if (expiresAt <= now) return ['idle', 'expired']
  return uses >= usesMax ? ['idle', 'used up'] : ['good', 'open']
}

/** "Disconnects 1 session now." */
export function disconnects(sessions: number | undefined): string {
  if (sessions === undefined) return 'Disconnects whatever sessions it has now.'
  return sessions === 0 ? 'It is not connected now.' : `Disconnects ${count(sessions, 'session')} now.`
}

/** What it means for the fleet, the worst first. */
export function sentenceOf(counts: FleetCounts | undefined): string {
  if (counts === undefined || counts.concerned === 0) return 'No device loses or gains anything.'
  const parts = [
    counts.shutOut > 0 ? `${count(counts.shutOut, 'device')} lose every grant` : '', counts.sessionsEnding > 0 ? `${count(counts.sessionsEnding, 'session')} end` : '',
    counts.subscriptionsLost > 0 ? `${count(counts.subscriptionsLost, 'subscription')} are lost` : '', counts.losing > 0 ? `${count(counts.losing, 'device')} lose something` : '', counts.gaining > 0 ? `${count(counts.gaining, 'device')} gain something` : '',
  ].filter((part) => part !== '')
  return `Of ${count(counts.devices, 'device')}: ${parts.join(', ')}.`
}

const MARKED = /(?:^|[\s;(])([\w./-]+\.(?:ya?ml|policy)):(\d+)(?::\d+)?:?\s*([^\n]*)/g

export interface Mark {
  readonly file: string
  readonly line: number
  readonly message: string
  readonly isError: boolean
}

const fileOf = (named: string, files: readonly PolicyFile[]): string | undefined => files.find(({ name }) => named === name || named.endsWith(`/${name}`))?.name

/** What a look at the text found, at its lines. */
export function marksOf({ findings = [] }: PolicyLint, files: readonly PolicyFile[]): readonly Mark[] {
  return findings.flatMap(({ at, message, rule, severity }) => {
    const file = fileOf(at.file, files)
    return file === undefined ? [] : [{ file, line: at.line, message: `${rule}: ${message}`, isError: severity === 'error' }]
  })
}

/** What was tried when it was refused for this, as the policy is asked about it; undefined where it was no question of topics. */
export function triedIn(reason: string): 'publish' | 'subscribe' | 'receive' | 'will' | undefined {
  return (['publish', 'subscribe', 'receive', 'will'] as const).find((action) => reason.startsWith(`${action}-`))
}

/** The places that a complaint names. */
export function marksIn({ title, detail = '' }: { readonly title: string; readonly detail?: string }, files: readonly PolicyFile[]): readonly Mark[] {
  return [...`${title}\n${detail}`.matchAll(MARKED)].flatMap(([, named = '', line, message = '']) => {
    const file = fileOf(named, files)
    return file === undefined ? [] : [{ file, line: Number(line), message: message.trim() === '' ? title : message.trim(), isError: true }]
  })
}

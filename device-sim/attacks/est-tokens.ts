// Family E: secrets that open the enrollment door once, tried twice, by many at once, by guessing, from elsewhere, too late; and
// certificates that open one door, tried at another.

import { keyPem, privateKey } from '../forge/keys.ts'
import { forgeRequest } from '../forge/request.ts'
import { MQTT_LIMITS } from '../mqtt-limits.ts'
import type { Credentials } from '../raw-peer.ts'
import { auditOf, connectFrom, tryOnBothVersions, type Arena, type Bench, type Runner } from './arena.ts'
import { askEst, attackEst, enrollsHonestly, issued, seenOf } from './est-door.ts'

async function replay(arena: Arena, bench: Bench): Promise<void> {
  const id = await arena.identities.registered('e03')
  const token = await arena.admin.createToken(id)
  await enrollsHonestly(arena, bench, 'a token for the first time', id, token)
  await attackEst(arena, bench, 'attack', 'the same token for another key', { id, token })
  await attackEst(arena, bench, 'attack', 'and again, for a third', { id, token })
}

/** E04: fifty who have read the same sheet of paper. */
async function race(arena: Arena, bench: Bench): Promise<void> {
  const id = await arena.identities.registered('e04')
  const token = await arena.admin.createToken(id)
  const runners = Array.from({ length: MQTT_LIMITS.tokenRace }, () => ({ source: arena.sources.next(), key: privateKey() }))
  const answers = await Promise.all(runners.map(async ({ source, key }) => ({ source, answer: await askEst(arena, { id, token, source, key }) })))
  const winners = answers.filter(({ answer }) => issued(answer) !== undefined)
  const recorded = await arena.admin.certificatesOf(id)
  bench.control('one of them gets the certificate', winners.length > 0, `${winners.length} of ${answers.length}`)
  bench.attack('winners', `${answers.length} at once with one token`, winners.length === 1 && recorded === 1 ? { kind: 'withstood', how: 'one certificate' } : { kind: 'disturbed', how: `${winners.length} certificates, ${recorded} recorded` })
  for (const { source, answer } of answers) if (issued(answer) === undefined) bench.attack('attack', 'one who came too late', seenOf(answer), { address: source })
}

/** E05: secrets that are nearly right. A token is its name, a hyphen and its secret. */
const WRONG_TOKENS: Readonly<Record<string, (right: string, other: string) => string>> = {
  'one letter short': (right) => right.slice(0, -1),
  'one letter more': (right) => `${right}0`,
  'in small letters': (right) => right.toLowerCase(),
  'its last letter changed': (right) => `${right.slice(0, -1)}${right.endsWith('0') ? '1' : '0'}`,
  'its name with the secret of another': (right, other) => `${right.split('-')[0] ?? ''}-${other.split('-')[1] ?? ''}`,
  'its name alone': (right) => right.split('-')[0] ?? '',
  'nothing but a hyphen': () => '-',
}

async function wrongTokens(arena: Arena, bench: Bench): Promise<void> {
  const [id, other] = [await arena.identities.registered('e05'), await arena.identities.registered('e05')]
  const [token, foreign] = [await arena.admin.createToken(id), await arena.admin.createToken(other)]
  for (const [label, wrong] of Object.entries(WRONG_TOKENS)) await attackEst(arena, bench, 'unknown', label, { id, token: wrong(token, foreign) })
  await attackEst(arena, bench, 'other', 'the token of another device', { id, token: foreign })
  const expired = await arena.admin.createToken(id, { lifeMs: 1 })
  await attackEst(arena, bench, 'expired', 'a token that has expired', { id, token: expired })
  const elsewhere = await arena.admin.createToken(id, { networks: ['192.0.2.0/24'] })
  await attackEst(arena, bench, 'elsewhere', 'a token for another network', { id, token: elsewhere })
  const revoked = await arena.admin.createToken(id)
  await arena.admin.revokeToken(revoked)
  await attackEst(arena, bench, 'revoked', 'a token that was revoked', { id, token: revoked })
  await attackEst(arena, bench, 'nothing', 'no token', { id })
  await guessing(arena, bench, id, token)
  // Whoever guesses at a token must not shut out the one whose it is.
  await enrollsHonestly(arena, bench, 'the device itself, from an address where nobody guesses', id, token)
}

/** One address that tries one token after the other, and many addresses that try one token. */
async function guessing(arena: Arena, bench: Bench, id: string, right: string): Promise<void> {
  const source = arena.sources.next()
  let locked = 0
  for (let i = 0; i < MQTT_LIMITS.guesses; i++) {
    const { reason } = await askEst(arena, { id, token: guess(right, i), source })
    if (reason === 'token-locked') locked += 1
  }
  bench.attack('guessing', `${MQTT_LIMITS.guesses} tokens from one address`, locked > 0 ? { kind: 'withstood', how: `locked out after ${MQTT_LIMITS.guesses - locked}` } : { kind: 'disturbed', how: 'it may go on guessing' }, { address: source })
  const answer = await askEst(arena, { id, token: right, source })
  bench.attack('lucky', 'and then the right one', seenOf(answer), {})
  const many = await Promise.all(Array.from({ length: MQTT_LIMITS.guesses }, (_, i) => askEst(arena, { id, token: guess(right, i) })))
  bench.attack('spread', `the same from ${many.length} addresses`, many.every((each) => issued(each) === undefined) ? { kind: 'withstood', how: 'refused' } : { kind: 'disturbed', how: 'one was right' })
}

const guess = (right: string, number: number): string => `${right.split('-')[0] ?? ''}-${String(number).padStart(26, '0')}`

/** E06: each certificate opens its own door. */
async function otherDoors(arena: Arena, bench: Bench): Promise<void> {
  const [line, own, other] = [await arena.identities.registered('e06'), await arena.identities.fresh('e06'), await arena.identities.registered('e06')]
  const key = privateKey()
  const { certificate, chain } = await arena.admin.createClaim(`${line}*`, forgeRequest(key, 'claim'))
  const claim: Credentials = { cert: [certificate, ...chain].join(''), key: keyPem(key) }
  const enrolling = await askEst(arena, { id: line, credentials: claim })
  bench.control('a claim at the enrollment door', issued(enrolling) !== undefined, `HTTP ${enrolling.status}`)
  await tryOnBothVersions(arena, bench, 'broker', 'a claim at the broker', claim, line)
  await attackEst(arena, bench, 'claim', 'a claim for a device that it is not for', { id: other, credentials: claim, authorization: `Basic ${Buffer.from(`${other}:`).toString('base64')}` })
  await attackEst(arena, bench, 'claim', 'a claim for a device that has a certificate', { id: line, credentials: claim })
  await attackEst(arena, bench, 'device', 'a device in the name of another', { id: other, credentials: own, authorization: `Basic ${Buffer.from(`${other}:`).toString('base64')}` })
  await attackEst(arena, bench, 'renewal', 'a claim that would be renewed', { id: line, credentials: claim, path: '/.well-known/est/simplereenroll' })
  const { seen, peer } = await connectFrom(arena, { credentials: own, version: 5 }, own.id)
  bench.control('the device at the broker', seen.kind === 'admitted', auditOf(peer).address ?? '')
  peer.end()
}

/** E22: an answer that was lost on the way is asked for again. */
async function lostAnswers(arena: Arena, bench: Bench): Promise<void> {
  const id = await arena.identities.registered('e22')
  const token = await arena.admin.createToken(id)
  const key = privateKey()
  const asked = await Promise.all(Array.from({ length: MQTT_LIMITS.retries }, () => askEst(arena, { id, token, key })))
  const again = await askEst(arena, { id, token, key })
  const serials = new Set([...asked, again].flatMap((answer) => issued(answer)?.serialNumber ?? []))
  const recorded = await arena.admin.certificatesOf(id)
  bench.control('whoever asks again is answered', issued(again) !== undefined, `HTTP ${again.status}`)
  bench.attack('attack', `one request, ${asked.length} times at once and once more`, serials.size === 1 && recorded === 1 ? { kind: 'withstood', how: 'one certificate' } : { kind: 'disturbed', how: `${serials.size} certificates, ${recorded} recorded` })
}

/** E21. */
async function requestFlood(arena: Arena, bench: Bench): Promise<void> {
  const id = await arena.identities.registered('e21')
  const source = arena.sources.next()
  const answers = await Promise.all(Array.from({ length: MQTT_LIMITS.requestFlood }, () => askEst(arena, { id, body: 'AAAA', source })))
  const refused = answers.filter(({ status }) => status === 429).length
  bench.attack('attack', `${answers.length} bad requests from one address`, refused > 0 ? { kind: 'withstood', how: 'slowed down' } : { kind: 'disturbed', how: 'all were worked through' }, { address: source })
  bench.attack('others', 'the canary device meanwhile', (await arena.canary.roundTrip()) === undefined ? { kind: 'disturbed', how: 'it no longer hears itself' } : { kind: 'undisturbed' })
  await enrollsHonestly(arena, bench, 'an honest device from another address', id, await arena.admin.createToken(id))
}

export const EST_TOKEN_CASES = {
  E03: replay,
  E04: race,
  E05: wrongTokens,
  E06: otherDoors,
  E21: requestFlood,
  E22: lostAnswers,
} as const satisfies Record<string, Runner>

// What the cases at the enrollment door do: make a token as an operator, send a request as a stranger, and count what was recorded.

import { X509Certificate, type KeyObject } from 'node:crypto'
import { certificatesOf, type EstDoor } from '../est.ts'
import { forgeRequest, type RequestWishes } from '../forge/request.ts'
import { privateKey } from '../forge/keys.ts'
import type { Observed } from '../oracle.ts'
import { base64Of, basic, estHead, exchangeHttp, type EstFields, type HttpAnswer } from '../raw-https.ts'
import type { Credentials } from '../raw-peer.ts'
import type { Arena, Bench } from './arena.ts'
import { NotOffered } from './powers.ts'

export interface Asking extends EstFields {
  readonly id: string
  readonly token?: string
  readonly source?: string | undefined
  readonly credentials?: Credentials
  readonly key?: KeyObject
  readonly wishes?: RequestWishes
  /** In place of a request that is made for the id. */
  readonly body?: string | Buffer
}

/** The door itself. A row that knocks there names it. */
export function doorOf(arena: Arena): EstDoor {
  arena.take('enrollment-door')
  if (arena.doors === undefined) throw new NotOffered('enrollment-door')
  return arena.doors.enroll
}

/** One request, from an address of its own unless it is named. */
export function askEst(arena: Arena, { id, token, source, credentials, key, wishes, body, ...fields }: Asking): Promise<HttpAnswer> {
  const bytes = Buffer.from(body ?? base64Of(forgeRequest(key ?? privateKey(), id, wishes)))
  const head = estHead(bytes.length, { ...(token === undefined ? {} : { authorization: basic(id, token) }), ...fields })
  return exchangeHttp({ door: doorOf(arena), source: source ?? arena.sources.next(), credentials, pieces: [head, bytes] })
}

/** Is it a certificate? */
export function issued({ status, body }: HttpAnswer): X509Certificate | undefined {
  const [first] = status === 200 ? certificatesOf(body) : []
  return first === undefined ? undefined : new X509Certificate(first)
}

/** Asks as an attacker: what came back, and how many certificates of the device are recorded that were not before. */
export async function attackEst(arena: Arena, bench: Bench, claim: string, label: string, asking: Asking): Promise<void> {
  const source = asking.source ?? arena.sources.next()
  const before = await arena.admin.certificatesOf(asking.id)
  const answer = await askEst(arena, { ...asking, source })
  bench.attack(claim, label, seenOf(answer, (await arena.admin.certificatesOf(asking.id)) - before), { address: source })
}

export function seenOf({ status, reason }: HttpAnswer, recorded = 0): Observed {
  return { kind: 'answered', status, code: reason, recorded }
}

/** The nearest that must work: this device, with this token, from an address where nobody has guessed. */
export async function enrollsHonestly(arena: Arena, bench: Bench, label: string, id: string, token: string): Promise<void> {
  const answer = await askEst(arena, { id, token })
  bench.control(label, issued(answer)?.subject === `CN=${id}`, `HTTP ${answer.status}${answer.reason === undefined ? '' : ` ${answer.reason}`}`)
}

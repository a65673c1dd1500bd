// What every attack must come to is written by hand, in one file for each family, from the catalogue of hostile cases and from
// the promises that the operator is given. Nothing there is computed from the server's own rules. Here is the form of a row,
// and the claims that many rows make.

import type { DenyReason } from '../../src/vocabulary.ts'
import type { Claim, Excuse, Expected } from '../oracle.ts'

export type Family = 'tls' | 'identity' | 'mqtt' | 'enrollment' | 'https' | 'server-side'
/** What must be at hand for a case; without it the case is not run. */
export type Need =
  | 'ca-key' | 'second-ca' | 'third-ca' | 'loopback-sources' | 'registry' | 'enrollment' | 'revocation' | 'audit' | 'ears' | 'starter-topics' | 'several-sessions' | 'intermediate' | 'floods' | 'server-process'
  | 'letter' | 'own-policy' | 'enrollment-door' | 'websocket' | 'ocsp'

/** `expected` is what the report prints, `claims` what the oracle holds the run to, with the reasons that the audit log may name. */
export interface CatalogueRow {
  readonly family: Family
  readonly title: string
  /** What goes wrong in the world when this is not refused. */
  readonly why: string
  /** Where it went wrong in the world: the public number, and of what. */
  readonly advisory?: string
  readonly expected: string
  readonly claims: Readonly<Record<string, Claim>>
  readonly needs?: readonly Need[]
  /** Why it is asked of Sallyport alone: what others do here is neither a hole nor a fault. */
  readonly onlyOurs?: string
  /** A case of family mqtt speaks on the topics of the starter policy, unless it asks the target's own access control list for them. */
  readonly topics?: 'acl'
  /** Runs beside all others, because it mostly waits; or after them, because it takes the whole machine. */
  readonly pace?: 'background' | 'alone'
}

export const TLS: Expected = { kind: 'tls' }
export const CUT: Expected = { kind: 'cut', v5: [0x87, 0x98] }
export const UNDISTURBED: Claim = { outcome: { kind: 'undisturbed' }, reasons: [] }
/** It did not happen, and there is nothing to write down. */
export const WITHSTOOD: Claim = { outcome: { kind: 'withstood' }, reasons: [] }
/** Refused before or in CONNACK. 3.1.1: not authorised (5). */
export const TLS_OR_CONNACK: Expected = { kind: 'tls-or-connack', v3: [0x05], v5: [0x87] }
export const BAD_CLIENT_ID: Expected = { kind: 'connack', v3: [0x02, 0x05], v5: [0x85, 0x87] }

export const CLOSED = 'closed without an MQTT byte'

/** Of a name that nobody would register, where nothing is registered. */
const ITS_OWN_NAME: Excuse = { judgedBy: 'speaks', because: 'No registry says here which names there are; what counts is that it cannot speak for another device, which is judged.' }
/** Of a client id, where it is nobody's identity. */
export const ONLY_A_SESSION: Excuse = { where: 'certificate', because: 'A client id is only the name of a session here; what may be done is bound to the certificate.' }

/** Of what is no MQTT, or breaks its rules. */
export const BORNE: Excuse = { seen: ['open', 'admitted'], because: 'It goes on where MQTT says that a connection must end; by that alone nobody gets what he may not have.' }
/** Of what MQTT sets no bound to. */
export const ITS_OWN_BOUND: Excuse = { seen: ['open', 'admitted', 'disturbed'], because: 'How much of it is borne with, MQTT leaves to the server; whether others notice is judged.' }

/** The same claims, and why they may be broken at a broker that is not ours. */
export function elsewhere(excuse: Excuse, claims: Claims): Claims {
  return Object.fromEntries(Object.entries(claims).map(([name, claim]) => [name, { ...claim, elsewhere: excuse }]))
}

type Claims = Readonly<Record<string, Claim>>
/** Closed in TLS, of whichever CA the certificate is. */
export const inTls = (...reasons: readonly DenyReason[]): Claims => ({ attack: { outcome: TLS, reasons } })
/** The same, and of a CA that issues for others, too. */
export const inBoth = (...reasons: readonly DenyReason[]): Claims => ({ ...inTls(...reasons), trusted: { outcome: TLS, reasons } })
/** Refused for who it says it is. */
export const byName = (...reasons: readonly DenyReason[]): Claims => ({ attack: { outcome: TLS_OR_CONNACK, reasons, elsewhere: ITS_OWN_NAME }, speaks: { outcome: { kind: 'publish-dropped', v5: [] }, reasons: [] } })
/** Of a CA that issues for others, too, the identity rule says where the name stands and what it may look like. */
export const BY_RULE: Claim = { outcome: TLS_OR_CONNACK, reasons: ['certificate-name-ambiguous', 'certificate-name-invalid', 'certificate-subject-empty', 'device-unknown'], elsewhere: ITS_OWN_NAME }

// The way of a connection, and where on it a refusal stopped it: the seven steps of the mutual handshake, and our own checks before
// and behind them. A refusal names one reason; from that the way follows, and where it does not, the path says that it is not known.

import type { DenyReason, Step } from '../vocabulary.ts'

export const PATH_STATES = ['passed', 'stopped', 'perhaps', 'not-reached', 'unknown'] as const
export type PathState = (typeof PATH_STATES)[number]

export interface PathStep {
  readonly name: string
  readonly title: string
  /** `perhaps`: it was stopped here or at one of the others that say so. `unknown`: nothing says whether it came by. */
  readonly state: PathState
}

const HANDSHAKE = [
  ['client-hello', 'ClientHello: the device says what it can'],
  ['server-hello', 'ServerHello: the server chooses'],
  ['server-certificate', 'The server shows its certificate, and the device verifies it'],
  ['certificate-request', 'CertificateRequest: the server demands one, too'],
  ['client-certificate', 'The device shows its certificate, and the server verifies who issued it'],
  ['certificate-verify', 'CertificateVerify: the device proves that it holds the key'],
  ['finished', 'Finished: nobody has changed a bit on the way'],
] as const

const CHECKS = {
  source: 'The address: not too many connections at once',
  certificate: 'The certificate: well-formed, meant for this, in force by its dates',
  registry: 'The registry: certificate and device are recorded and in force',
  connect: 'CONNECT: client id, Will, sessions, grants',
  protocol: 'MQTT: what is sent keeps to the protocol and its quotas',
  policy: 'The policy: topic, QoS, size and rate',
  enrollment: 'The enrollment: who asks may have this certificate',
  api: 'The request: an operator, and something that can be done',
} as const satisfies Record<Exclude<Step, 'tls'>, string>

/** The checks behind the handshake, by the step at which a refusal stopped: each door has its own. */
const BEHIND = {
  source: ['certificate', 'registry', 'connect'],
  tls: ['certificate', 'registry', 'connect'],
  certificate: ['certificate', 'registry', 'connect'],
  registry: ['certificate', 'registry', 'connect'],
  connect: ['certificate', 'registry', 'connect'],
  protocol: ['certificate', 'registry', 'connect', 'protocol'],
  policy: ['certificate', 'registry', 'connect', 'policy'],
  enrollment: ['enrollment'],
  api: ['api'],
} as const satisfies Record<Step, readonly (keyof typeof CHECKS)[]>

/** The handshake steps, from and to (counted from 0), among which a refusal of TLS lies: where the peer had shown no certificate, and where it had. */
type Span = readonly [from: number, to: number]
const CLIENT_CERTIFICATE = 4
const LAST = HANDSHAKE.length - 1
const STOPS: Readonly<Partial<Record<DenyReason, { readonly hidden: Span; readonly shown: Span }>>> = {
  'tls-not-tls': { hidden: [0, 0], shown: [0, 0] },
  'tls-protocol-version': { hidden: [1, 1], shown: [1, 1] },
  'tls-no-shared-parameters': { hidden: [1, 1], shown: [1, 1] },
  // It does not like what the server showed; or the network broke.
  'tls-aborted': { hidden: [2, LAST], shown: [5, LAST] },
  'tls-handshake-timeout': { hidden: [0, CLIENT_CERTIFICATE], shown: [5, LAST] },
  'tls-malformed': { hidden: [0, LAST], shown: [CLIENT_CERTIFICATE, LAST] },
  'tls-no-certificate': { hidden: [CLIENT_CERTIFICATE, CLIENT_CERTIFICATE], shown: [CLIENT_CERTIFICATE, CLIENT_CERTIFICATE] },
  'tls-possession-unproven': { hidden: [5, 5], shown: [5, 5] },
}
/** What is wrong with the chain. */
const OF_CHAIN: Span = [CLIENT_CERTIFICATE, CLIENT_CERTIFICATE]

export interface PathFacts {
  readonly step: Step
  readonly reason: DenyReason
  /** The peer had shown a certificate by then, as far as the record says. */
  readonly presented: boolean
  /** It did not come by MQTT: there was no CONNECT. */
  readonly door?: string | undefined
}

export function pathOf({ step, reason, presented, door }: PathFacts): readonly PathStep[] {
  const check = (name: keyof typeof CHECKS, state: PathState): PathStep => ({ name, title: CHECKS[name], state })
  const behind = BEHIND[step].filter((name) => door === undefined || name !== 'connect' || step === 'connect')
  if (step === 'source') return [check('source', 'stopped'), ...HANDSHAKE.map(([name, title]): PathStep => ({ name, title, state: 'not-reached' })), ...behind.map((name) => check(name, 'not-reached'))]
  if (step === 'tls') {
    const span = STOPS[reason]?.[presented ? 'shown' : 'hidden'] ?? OF_CHAIN
    return [check('source', 'passed'), ...HANDSHAKE.map(([name, title], index): PathStep => ({ name, title, state: inSpan(index, span) })), ...behind.map((name) => check(name, 'not-reached'))]
  }
  const stopped = behind.findIndex((name) => name === step)
  // The doors of enrollment and of the API ask some for no certificate, or answer below HTTP: the record does not say how far the handshake went.
  const isCertain = step !== 'enrollment' && step !== 'api'
  const ofHandshake = (index: number): PathState => (isCertain || presented || index < CERTIFICATE_REQUEST ? 'passed' : 'unknown')
  return [
    check('source', 'passed'),
    ...HANDSHAKE.map(([name, title], index): PathStep => ({ name, title, state: ofHandshake(index) })),
    ...behind.map((name, index) => check(name, index < stopped ? 'passed' : index === stopped ? 'stopped' : 'not-reached')),
  ]
}

const CERTIFICATE_REQUEST = 3

function inSpan(index: number, [from, to]: Span): PathState {
  if (index < from) return 'passed'
  if (index > to) return 'not-reached'
  return from === to ? 'stopped' : 'perhaps'
}

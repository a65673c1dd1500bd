// What a run is aimed at: where it is, whom the simulator can be there, what may be forged, and how much of an operator's hand
// there is. A home of Sallyport has all of it; another broker has its CA's key, and what its adapter can do.

import { speaksStarterTopics, type Acl } from './acl.ts'
import type { Admin } from './admin.ts'
import type { Need } from './attacks/catalogue-row.ts'
import type { ForgedAuthority } from './forge/authority.ts'
import type { Identities } from './identities.ts'
import { resourcesOf } from './resources.ts'
import type { OpenedHome } from './server-process.ts'
import { isLoopback, openSources, type Target } from './target.ts'

export interface Aim {
  /** For people, with the version where it is known. */
  readonly name: string
  readonly target: Target
  readonly identities: Identities
  readonly acl: Acl
  /** DER: the root, and the CA that issues to devices. */
  readonly root: Buffer
  readonly issuing: Buffer
  /** The issuing CA with its key. */
  readonly issuingAuthority?: ForgedAuthority | undefined
  /** A second CA that the target trusts, with its key. */
  readonly factoryAuthority?: ForgedAuthority | undefined
  /** A third, trusted for the same names as the second. */
  readonly secondFactoryAuthority?: ForgedAuthority | undefined
  /** The doors beside MQTT, where there are any. */
  readonly doors?: Pick<OpenedHome, 'enroll' | 'websocket' | 'pki'> | undefined
  /** The verbs that this target has. */
  readonly operator: Partial<Admin>
  /** Ours is held to every code and every record of the audit log; others to what mutual TLS and an access control list promise. */
  readonly measure: 'letter' | 'promises'
  /** Whether one device may have several connections, under ids of its own. */
  readonly severalSessions: boolean
  /** Whether it knows the issuing CA only by what devices send along. */
  readonly intermediate: boolean
  /** Whether its owner wants floods though it is not this machine. */
  readonly floods: boolean
  /** The process that serves, where it is known. */
  pid(): Promise<number | undefined>
}

/** What a case may ask of this target. */
export async function powersOf(aim: Aim): Promise<ReadonlySet<Need>> {
  const { operator } = aim
  const there: Readonly<Record<Need, boolean>> = {
    'ca-key': aim.issuingAuthority !== undefined,
    'second-ca': aim.factoryAuthority !== undefined,
    'third-ca': aim.secondFactoryAuthority !== undefined,
    'loopback-sources': openSources(aim.target).next() !== undefined,
    registry: operator.addDevices !== undefined,
    enrollment: operator.enroll !== undefined,
    revocation: operator.revoke !== undefined,
    audit: operator.refusalsAfter !== undefined,
    ears: aim.acl.ears !== undefined,
    'starter-topics': speaksStarterTopics(aim.acl),
    'several-sessions': aim.severalSessions,
    intermediate: aim.intermediate,
    floods: aim.floods || isLoopback(aim.target.host),
    letter: aim.measure === 'letter',
    'own-policy': aim.factoryAuthority !== undefined && operator.enroll !== undefined,
    'enrollment-door': aim.doors?.enroll !== undefined,
    websocket: aim.doors?.websocket !== undefined,
    ocsp: aim.doors?.pki !== undefined,
    'server-process': (await resourcesOf(await aim.pid())) !== undefined,
  }
  return new Set(Object.keys(there).filter((need): need is Need => there[need as Need]))
}

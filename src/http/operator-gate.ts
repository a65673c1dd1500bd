// Who may speak to the admin API at all: the right host, a program or a page of our own console and no other page, and an
// operator whose certificate, or session of the console, is in force at this moment. It knows requests and sockets; what is asked
// for, and whether it may be done, it does not.

import { createHash } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import type { TLSSocket } from 'node:tls'
import type { Actor } from '../core/audit.ts'
import { allow, deny, type Decision } from '../core/decision.ts'
import { printable, type EpochMs, type Fingerprint } from '../core/ids.ts'
import { sessionActor, sessionOperator } from '../core/console-session.ts'
import { isAtLeast, type Operator } from '../core/operator.ts'
import type { RegistryView } from '../core/registry.ts'
import type { ConsoleAccess } from './console-access.ts'
import type { RouteFacts } from './route.ts'

const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD'])
/** No page asked: a program, or a person who typed the address. */
const isPage = ({ origin, 'sec-fetch-site': site }: IncomingHttpHeaders): boolean => origin !== undefined || (site !== undefined && site !== 'none')

const ALWAYS_HOSTS: readonly string[] = ['localhost', '127.0.0.1', '::1']

export interface GatePorts {
  /** Names and addresses by which a request may call this server now, besides localhost. */
  readonly hosts: () => readonly string[]
  readonly view: RegistryView
  /** The sessions of the console. */
  readonly access: ConsoleAccess
  readonly clock: () => EpochMs
}

/** Somebody who was let in, and what the registry says of them at this moment. */
export interface Admitted {
  readonly actor: Actor
  readonly operator: Operator
}

/** What is asked of a request before anything of it is read. */
export interface OperatorGate {
  /** Reasons: host-not-allowed, operator-required, operator-revoked, certificate-unrecorded, -revoked, -superseded, -expired, console-session-ended, console-link-remote. */
  judge(headers: IncomingHttpHeaders, socket: TLSSocket, method: string): Decision<Admitted>
  /** Of what is for everybody. Reason: host-not-allowed. */
  judgeHost(headers: IncomingHttpHeaders): Decision<void>
  /** Is it a page of our own that asks? Reason: operator-required. */
  judgePage(headers: IncomingHttpHeaders, method: string): Decision<void>
}

/** May this operator ask for this? The row says what is least. Reasons: role-insufficient, tenant-insufficient. */
export function judgeRole({ role, name, tenant }: Operator, { role: least, tenants }: Pick<RouteFacts, 'role' | 'tenants'>): Decision<void> {
  if (tenant !== undefined && tenants !== 'own') return deny('tenant-insufficient', `${name} is of tenant ${tenant}`)
  return isAtLeast(role, least) ? allow(undefined) : deny('role-insufficient', `${name} is ${role}, this takes ${least}`)
}

export function openOperatorGate(ports: GatePorts): OperatorGate {
  /** A page that a name of somebody else's leads to this address (DNS rebinding) says that name here. */
  function judgeHost(header: string | undefined): Decision<void> {
    const name = (header ?? '').toLowerCase().replace(/:\d{1,5}$/, '').replaceAll(/^\[|\]$/g, '')
    return [...ALWAYS_HOSTS, ...ports.hosts()].some((host) => host.toLowerCase() === name) ? allow(undefined) : deny('host-not-allowed', printable(header ?? '(none)'))
  }

  /**
   * Browsers hold certificates and cookies, and send them for whichever page asks: only ours may. The browser says in these headers
   * which page it is, and no page can change them. Who only reads sends no Origin; who changes something must.
   */
  function judgePage({ host = '', origin, 'sec-fetch-site': site }: IncomingHttpHeaders, method: string): Decision<void> {
    const isOurs = site === 'same-origin' && (origin === undefined ? SAFE_METHODS.has(method) : origin.toLowerCase() === `https://${host.toLowerCase()}`)
    return isOurs ? allow(undefined) : deny('operator-required', 'a request from a web page')
  }

  /** The certificate of this connection, against the registry of this moment: a revoked operator is out at the next request. */
  function judgeOperator(socket: TLSSocket): Decision<Admitted> {
    const leaf = socket.getPeerX509Certificate()
    if (leaf === undefined) return deny('operator-required', 'no certificate')
    // The handshake goes on without a good certificate, for the sake of the page on which a person signs in: here it ends.
    if (!socket.authorized) return deny('operator-required', `TLS: ${String(socket.authorizationError)}`)
    const record = ports.view.certificateBySha256(createHash('sha256').update(leaf.raw).digest('hex') as Fingerprint)
    if (record === undefined) return deny('certificate-unrecorded')
    if (record.profile !== 'operator') return deny('operator-required', `profile ${record.profile}${record.device === undefined ? '' : ` of ${record.device}`}`)
    if (record.state === 'revoked') return deny('certificate-revoked', record.revocationReason)
    if (record.state === 'superseded') return deny('certificate-superseded')
    if (record.state !== 'active') return deny('certificate-unrecorded', record.state)
    if (record.notAfter <= ports.clock()) return deny('certificate-expired')
    const operator = ports.view.operatorOf(record)
    if (operator === undefined) return deny('operator-required', 'the certificate is nobody\'s')
    if (operator.revokedAt !== undefined) return deny('operator-revoked', operator.name)
    return allow({ actor: { kind: 'operator', name: record.serial, operator: operator.name }, operator })
  }

  return {
    judge(headers, socket, method) {
      const host = judgeHost(headers.host)
      if (!host.allow) return host
      const fromPage = isPage(headers)
      const page = fromPage ? judgePage(headers, method) : allow(undefined)
      if (!page.allow) return page
      const operator = judgeOperator(socket)
      // A cookie is for pages: no program has one, and no address that somebody was made to open by hand.
      if (operator.allow || !fromPage || !ports.access.shows({ headers, socket })) return operator
      const session = ports.access.judge({ headers, socket })
      return session.allow ? allow({ actor: sessionActor(session.value), operator: sessionOperator(session.value) }) : session
    },
    judgeHost: ({ host }) => judgeHost(host),
    judgePage,
  }
}

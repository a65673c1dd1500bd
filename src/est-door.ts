// The enrollment door over an open home: tokens, renewal, the CAs that are published and what the configuration says, handed to the
// server that speaks EST.

import type { Authority } from './ca/issue.ts'
import { publishedCas } from './ca/chains.ts'
import type { Config } from './config.ts'
import { deny } from './core/decision.ts'
import type { EnrollRules } from './core/enroll-rules.ts'
import type { EpochMs } from './core/ids.ts'
import type { AuditSink, Registry } from './core/registry.ts'
import { openEnrollDoor, type EnrollDoor } from './enroll/behind.ts'
import type { EnrollServerPorts, EnrollTls } from './enroll/server.ts'
import { openEnrollmentDoor } from './enrollment-desk.ts'
import type { Renewal } from './renewal.ts'
import { loadProfiles } from './shipped-profiles.ts'

export interface EstDoorPorts {
  readonly listen: Config['listen']['enroll']
  readonly tls: EnrollTls
  readonly registry: Registry
  readonly authority: Authority
  readonly renewal: Renewal
  readonly audit: AuditSink
  readonly rules: () => EnrollRules
  readonly clock: () => EpochMs
  readonly log: EnrollServerPorts['log']
}

/** Opens the port. Failure: 'port-in-use'. */
export function openEstDoor({ listen, tls, registry, authority, renewal, audit, rules, clock, log }: EstDoorPorts): Promise<EnrollDoor> {
  const tokens = openEnrollmentDoor({ registry, authority, clock })
  // Keys that are made here are of the kind that the profile of devices names.
  const kind = loadProfiles().device.key
  const bindingOf = (expected: string | undefined) => ({ expected, rule: rules().channelBinding })
  return openEnrollDoor({
    listen, tls, audit, log,
    enrollments: {
      // The rules are asked again here: those of the door may be older by a moment.
      async withToken({ binding, serverKey, ...request }) {
        if (serverKey && rules().serverKeys === 'refused') return deny('server-key-refused')
        return tokens.withToken({ ...request, binding: bindingOf(binding), ...(serverKey ? { serverKey: kind } : {}) })
      },
      async renew({ leaf, csr, source, binding, serverKey }) {
        if (serverKey && rules().serverKeys === 'refused') return deny('server-key-refused')
        const renewed = await renewal.renew({ presented: leaf, csr, mayBeLate: true, binding: bindingOf(binding), ...(serverKey ? { serverKey: { kind, source } } : {}) })
        if (!renewed.allow) return renewed
        const { der, key } = renewed.value
        return { allow: true, value: { certificate: der, ...(key === undefined ? {} : { key }) } }
      },
      caCertificates: () => publishedCas(registry),
      labels: () => [authority.issuer],
      rules,
    },
  })
}

// Everything that the enrollment door asks for, over an open home: enrollment with a token, with a certificate, and renewal, each bound to
// its connection and with a key that is made here as far as the configuration says.

import { publishedCas } from './ca/chains.ts'
import type { Authority } from './ca/issue.ts'
import { openCertificateDoor } from './certificate-door.ts'
import { deny } from './core/decision.ts'
import type { EnrollRules } from './core/enroll-rules.ts'
import type { EpochMs } from './core/ids.ts'
import type { Asked, Enrollments } from './enroll/est.ts'
import { openEnrollmentDoor } from './enrollment-desk.ts'
import type { AskedHow } from './est-request.ts'
import type { OpenHome } from './home.ts'
import type { Renewal } from './renewal.ts'
import { loadProfiles } from './shipped-profiles.ts'
import type { Trust } from './x509/chain.ts'

export interface EnrollmentsPorts {
  readonly home: Pick<OpenHome, 'registry' | 'view'>
  readonly authority: Authority
  readonly renewal: Pick<Renewal, 'renew'>
  readonly trust: () => Trust
  readonly rules: () => EnrollRules
  readonly clock: () => EpochMs
}

export function openEnrollments({ home: { registry, view }, authority, renewal, trust, rules, clock }: EnrollmentsPorts): Enrollments {
  const enroll = openEnrollmentDoor({ registry, authority, clock })
  // Keys that are made here are of the kind that the profile of devices names.
  const kind = loadProfiles().device.key
  const how = ({ binding, serverKey }: Pick<Asked, 'binding' | 'serverKey'>): AskedHow => ({ binding: { expected: binding, rule: rules().channelBinding }, ...(serverKey ? { serverKey: kind } : {}) })
  // The rules of the door's thread may be older by a moment.
  const isRefused = ({ serverKey }: Pick<Asked, 'serverKey'>): boolean => serverKey && rules().serverKeys === 'refused'
  const certificates = openCertificateDoor({
    registry, view, trust, enroll, clock,
    async renew({ leaf, csr, source, binding, serverKey }) {
      const renewed = await renewal.renew({ presented: leaf, csr, mayBeLate: true, ...(binding === undefined ? {} : { binding }), ...(serverKey === undefined ? {} : { serverKey: { kind: serverKey, source } }) })
      if (!renewed.allow) return renewed
      const { der, key } = renewed.value
      return { allow: true, value: { certificate: der, ...(key === undefined ? {} : { key }) } }
    },
  })
  return {
    withToken: async ({ token, device, csr, source, ...asked }) => (isRefused(asked) ? deny('server-key-refused') : enroll.withToken({ token, device, csr, source, ...how(asked) })),
    withCertificate: async ({ chain, device, csr, source, ...asked }) => (isRefused(asked) ? deny('server-key-refused') : certificates.withCertificate({ chain, device, csr, source, ...how(asked) })),
    renew: async ({ leaf, csr, source, ...asked }) => (isRefused(asked) ? deny('server-key-refused') : certificates.renew({ leaf, csr, source, ...how(asked) })),
    caCertificates: () => publishedCas(registry),
    labels: () => [authority.issuer],
    rules,
  }
}

// Everything that the enrollment door asks for, over an open home: enrollment with a token, with a certificate, and renewal.

import { publishedCas } from './ca/chains.ts'
import type { Authority } from './ca/issue.ts'
import { openCertificateDoor } from './certificate-door.ts'
import type { EpochMs } from './core/ids.ts'
import type { Enrollments } from './enroll/est.ts'
import { openEnrollmentDoor } from './enrollment-desk.ts'
import type { OpenHome } from './home.ts'
import type { Renewal } from './renewal.ts'
import type { Trust } from './x509/chain.ts'

export interface EnrollmentsPorts {
  readonly home: Pick<OpenHome, 'registry' | 'view'>
  readonly authority: Authority
  readonly renewal: Pick<Renewal, 'renew'>
  readonly trust: () => Trust
  readonly clock: () => EpochMs
}

export function openEnrollments({ home: { registry, view }, authority, renewal, trust, clock }: EnrollmentsPorts): Enrollments {
  const enroll = openEnrollmentDoor({ registry, authority, clock })
  const renew: Enrollments['renew'] = async ({ leaf, csr }) => {
    const renewed = await renewal.renew({ presented: leaf, csr, mayBeLate: true })
    return renewed.allow ? { allow: true, value: { certificate: renewed.value.der } } : renewed
  }
  return {
    withToken: (request) => enroll.withToken(request),
    ...openCertificateDoor({ registry, view, trust, enroll, renew, clock }),
    renew,
    caCertificates: () => publishedCas(registry),
    labels: () => [authority.issuer],
  }
}

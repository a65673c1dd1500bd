// May this CA give these names? Judged before anything is planned: its ids by our own rule, and what its certificate and that of its
// root permit by the rules that everybody else will apply to what it signs.

import { judgeId } from '../core/ca-names.ts'
import type { SubjectAltName } from '../core/certificate.ts'
import { allow, deny, type Decision } from '../core/decision.ts'
import type { DeviceId } from '../core/ids.ts'
import { judgeNames } from '../core/name-constraints.ts'
import { parseCertificate } from '../x509/certificate.ts'
import { readDer } from '../x509/der.ts'
import { readAltNames } from '../x509/extensions.ts'
import { readName } from '../x509/names.ts'
import { encodeAltNames } from '../x509/template.ts'
import { subjectOf, type IssuerCertificate, type IssuerFacts } from './tbs.ts'

export interface NamesAsked {
  readonly commonName: string
  readonly organization?: string
  readonly device?: DeviceId
  readonly subjectAltNames?: readonly SubjectAltName[]
}

/** Reason: ca-name-outside. */
export function openNameRules({ ids, root }: Pick<IssuerCertificate, 'ids' | 'root'>, issuer: Pick<IssuerFacts, 'facts' | 'base'>): (asked: NamesAsked) => Decision<void> {
  const above = root === undefined ? undefined : parseCertificate(root)
  const constrained = [issuer.facts, ...(above?.allow === true ? [above.value] : [])].filter(({ hasNameConstraints }) => hasNameConstraints)

  return (asked) => {
    const id = asked.device === undefined ? allow(undefined) : judgeId(ids, asked.device)
    if (!id.allow || constrained.length === 0) return id
    const subject = readDer(subjectOf(asked, issuer))
    const name = subject.allow ? readName(subject.value) : undefined
    const subjectAltNames = asReadBack(asked.subjectAltNames ?? [])
    if (name === undefined || subjectAltNames === undefined) return deny('ca-name-outside', 'a name that cannot be written')
    for (const facts of constrained) {
      // Constraints that cannot be read permit nothing.
      const judged = facts.nameConstraints === undefined ? deny('ca-name-outside', 'its name constraints cannot be read') : judgeNames({ subject: name, subjectAltNames }, facts)
      if (!judged.allow) return deny('ca-name-outside', judged.detail)
    }
    return allow(undefined)
  }
}

/** As whoever verifies will read them: an address has one form there, and several in a configuration. */
function asReadBack(names: readonly SubjectAltName[]): readonly SubjectAltName[] | undefined {
  if (names.length === 0) return names
  const written = readDer(encodeAltNames(names))
  return written.allow ? readAltNames(written.value) : undefined
}

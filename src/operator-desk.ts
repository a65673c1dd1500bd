// Operators over an open home: made, given another role, certified, revoked. The rule that an admin remains is the registry's, in the
// transaction: of two changes that are planned at the same time neither sees the other.

import { chainOf, rootsInForce } from './ca/chains.ts'
import type { Authority } from './ca/issue.ts'
import type { Actor, AuditEvent } from './core/audit.ts'
import { isSignatureAccepted } from './core/certificate-rules.ts'
import { deny } from './core/decision.ts'
import { failureOf } from './core/errors.ts'
import type { EpochMs, OperatorName } from './core/ids.ts'
import { isFullAdmin, type Operator } from './core/operator.ts'
import type { OperatorCertified, OperatorDesk, OperatorShown } from './core/operator-desk.ts'
import type { Change, Expectation, Registry } from './core/registry.ts'
import { planRevocation } from './core/revocation.ts'
import { parseCsr } from './x509/csr.ts'
import { encodePem } from './x509/pem.ts'

interface OperatorDeskPorts {
  readonly registry: Registry
  readonly authority: Authority
  readonly clock: () => EpochMs
}

/** Who was certified since the certificates were read is read again. */
const REVOKE_ATTEMPTS_MAX = 3

export function openOperatorDesk({ registry, authority, clock }: OperatorDeskPorts, actor: Actor): OperatorDesk {
  function known(name: OperatorName): Operator {
    const operator = registry.operator(name)
    if (operator === undefined) throw failureOf(deny('operator-not-found', name))
    return operator
  }

  function shown(operator: Operator): OperatorShown {
    const now = clock()
    const inForce = registry.certificatesOfOperator(operator.name).filter(({ state, notAfter }) => state === 'active' && notAfter > now)
    return { ...operator, certificates: inForce.map(({ serial, notAfter }) => ({ serial, notAfter })) }
  }

  /** `added`: the operator comes with the certificate. */
  async function certify(operator: Operator, text: string, added: boolean): Promise<OperatorCertified> {
    const csr = parseCsr(text)
    if (!csr.allow) throw failureOf(csr)
    const { possessionProven, signatureAlgorithm, key, spki } = csr.value
    if (!possessionProven) throw failureOf(deny('csr-signature-invalid'))
    if (!isSignatureAccepted(signatureAlgorithm)) throw failureOf(deny('csr-signature-invalid', `signature algorithm ${signatureAlgorithm}`))
    const { name, role, tenant, createdAt: at } = operator
    const changes: readonly Change[] = added ? [{ kind: 'operator-added', operator }] : []
    const audit: readonly AuditEvent[] = added ? [{ kind: 'operator-added', at, operator: name, role, actor, ...(tenant === undefined ? {} : { tenant }) }] : []
    const expected: readonly Expectation[] = added ? [] : [{ kind: 'operator-open', name }]
    const issued = await authority.issue({ profile: 'operator', commonName: name, spki, key, operator: name, along: { changes, audit, expected } }, actor)
    if (!issued.allow) throw failureOf(issued)
    const { record, der } = issued.value
    const cas = registry.cas()
    return {
      name, role, ...(tenant === undefined ? {} : { tenant }), serial: record.serial, notAfter: record.notAfter,
      certificate: encodePem('CERTIFICATE', der),
      chain: chainOf(record.issuer, cas).map((ca) => encodePem('CERTIFICATE', ca)),
      root: rootsInForce(cas).map((root) => encodePem('CERTIFICATE', root.der)).join(''),
    }
  }

  /** Only who takes an admin away has to leave another one. */
  const remain = (operator: Operator): readonly Expectation[] => (isFullAdmin(operator) ? [{ kind: 'operators-remain', now: clock() }] : [])

  return {
    operators: async (query) => {
      const { items, ...rest } = registry.operators(query)
      return { items: items.map(shown), ...rest }
    },
    addOperator: async ({ name, role, tenant, csr }) => {
      if (registry.operator(name) !== undefined) throw failureOf(deny('operator-exists', name))
      return certify({ name, role, ...(tenant === undefined ? {} : { tenant }), createdAt: clock() }, csr, true)
    },
    certifyOperator: async (name, csr) => certify(known(name), csr, false),
    async changeOperatorRole(name, role) {
      const operator = known(name)
      if (operator.revokedAt !== undefined) throw failureOf(deny('operator-revoked', name))
      if (operator.role !== role) {
        const committed = await registry.commit([{ kind: 'operator-role', name, role }], remain(operator), [{ kind: 'operator-role', at: clock(), operator: name, role, actor }])
        if (!committed.allow) throw failureOf(committed)
      }
      return shown(known(name))
    },
    async revokeOperator(name) {
      for (let attempt = 1; ; attempt++) {
        const operator = known(name)
        if (operator.revokedAt !== undefined) return shown(operator)
        const at = clock()
        const plan = planRevocation(registry.certificatesOfOperator(name), 'privilegeWithdrawn', at)
        const revocations = plan.allow ? plan.value.changes : []
        const committed = await registry.commit(
          [...revocations, { kind: 'operator-revoked', name, at }], remain(operator),
          [...revocations.map(({ issuer, serial, reason }): AuditEvent => ({ kind: 'certificate-revoked', at, issuer, serial, revocationReason: reason, actor })), { kind: 'operator-revoked', at, operator: name, actor }],
        )
        if (committed.allow) return shown(known(name))
        if (committed.reason !== 'state-transition' || attempt === REVOKE_ATTEMPTS_MAX) throw failureOf(committed)
      }
    },
  }
}

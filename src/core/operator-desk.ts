// What an operator does about operators: who there are, who comes and goes, and what each of them may do.

import type { EpochMs, OperatorName, SerialNumber, TenantId } from './ids.ts'
import type { Operator, Role } from './operator.ts'
import type { CertificateRecord, Page, PageQuery } from './registry.ts'

export interface OperatorShown extends Operator {
  /** Those that are in force, newest first. */
  readonly certificates: readonly { readonly serial: SerialNumber; readonly notAfter: EpochMs }[]
}

export interface NewOperator {
  readonly name: OperatorName
  readonly role: Role
  /** Sees and changes what is of this tenant alone. */
  readonly tenant?: TenantId | undefined
  /** PEM; the key stays with whoever asked. */
  readonly csr: string
}

/** All certificates in PEM. */
export interface OperatorCertified {
  readonly name: OperatorName
  readonly role: Role
  readonly tenant?: TenantId
  readonly serial: CertificateRecord['serial']
  readonly certificate: string
  /** The issuing certificates, leaf side first, without the root. */
  readonly chain: readonly string[]
  /** What the server is verified with. */
  readonly root: string
  readonly notAfter: EpochMs
}

/** Refusals are thrown, as by the rest of the Desk. */
export interface OperatorDesk {
  operators(query: PageQuery): Promise<Page<OperatorShown>>
  /** Recorded with the plan of the certificate, or not at all. Reasons: operator-exists, operators-limit, and those of issuance. */
  addOperator(operator: NewOperator): Promise<OperatorCertified>
  /** A further certificate for somebody who is there; those before it stay as they are. Reasons: operator-not-found, operator-revoked. */
  certifyOperator(name: OperatorName, csr: string): Promise<OperatorCertified>
  /** From the next request on. Reasons: operator-not-found, operator-revoked, last-admin. */
  changeOperatorRole(name: OperatorName, role: Role): Promise<OperatorShown>
  /** Out from the next request on, with all certificates. Reasons: operator-not-found, last-admin. */
  revokeOperator(name: OperatorName): Promise<OperatorShown>
}

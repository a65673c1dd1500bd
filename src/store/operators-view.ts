// Operators in memory: whose a certificate is, and what that one may do, for whoever opens the admin API. There are few.

import type { CaName, OperatorName } from '../core/ids.ts'
import { FIRST_OPERATOR, operatorAfter, type Operator } from '../core/operator.ts'
import type { Change, RegistryView } from '../core/registry.ts'

export interface OperatorsInMemory {
  readonly operatorOf: RegistryView['operatorOf']
  readonly operator: (operator: Operator) => void
  readonly operatorCertified: (issuer: CaName, serial: string, name: OperatorName) => void
  apply(change: Extract<Change, { kind: 'operator-added' | 'operator-role' | 'operator-revoked' | 'operator-certified' }>): void
}

export function openOperatorsInMemory(): OperatorsInMemory {
  const operators = new Map<OperatorName, Operator>()
  /** By issuer and serial; those of the first operator are not here. At most as many as operators were given. */
  const owners = new Map<string, OperatorName>()
  const own = (issuer: CaName, serial: string, name: OperatorName): void => void owners.set(`${issuer}/${serial}`, name)
  return {
    operatorOf({ issuer, serial, profile }) {
      return profile === 'operator' ? operators.get(owners.get(`${issuer}/${serial}`) ?? FIRST_OPERATOR) : undefined
    },
    operator: (operator) => void operators.set(operator.name, operator),
    operatorCertified: own,
    apply(change) {
      if (change.kind === 'operator-added') operators.set(change.operator.name, change.operator)
      else if (change.kind === 'operator-certified') own(change.issuer, change.serial, change.name)
      else {
        const before = operators.get(change.name)
        if (before !== undefined) operators.set(change.name, operatorAfter(before, change))
      }
    },
  }
}

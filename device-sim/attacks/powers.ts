// What a case may need beyond a connection, and what is said where a target does not have it. A case names it in its row of the
// catalogue; what it takes without having named it is a fault of the case, or nobody could know what a target must have.

import type { Admin } from '../admin.ts'
import type { CatalogueRow, Need } from './catalogue-row.ts'

const NEED_MISSING: Readonly<Record<Need, string>> = {
  'ca-key': 'the issuing CA\'s key is not at hand: only in a home that the simulator made, or where --issuer-key names it',
  'second-ca': 'no second CA that the target trusts is at hand: only where the simulator made the target',
  'third-ca': 'no third CA is at hand that the target trusts for the same names',
  'loopback-sources': 'this machine or target has one source address only',
  registry: 'this target has no registry of devices',
  enrollment: 'this target enrolls nobody',
  revocation: 'nobody here can revoke a certificate of this target',
  audit: 'this target has no audit log that can be read',
  ears: 'nobody may hear all at this target: its --acl file names no ears',
  'starter-topics': 'this case speaks on the topics of Sallyport\'s starter policy, and the --acl file has others',
  'several-sessions': 'a device has one session here',
  intermediate: 'this target trusts the issuing CA itself, and needs no chain to it',
  'server-process': 'the server is no process of this machine that could be looked at',
  letter: 'it is asked of Sallyport alone',
  'own-policy': 'it needs groups that only the policy of a home has that the simulator made',
  'enrollment-door': 'this target has no door at which strangers enroll',
  websocket: 'MQTT over WebSocket is not served',
  ocsp: 'this target answers no OCSP',
  floods: 'floods are left out where the target is not this machine: --floods sends them',
}

/** The need of a whole family. */
const FAMILY_NEEDS: Readonly<Partial<Record<CatalogueRow['family'], readonly Need[]>>> = { enrollment: ['enrollment', 'registry'], https: ['enrollment-door', 'enrollment', 'registry', 'ears', 'starter-topics'] }

/** All that must be at hand for a case. */
export function needsOf(row: CatalogueRow): readonly Need[] {
  const topics: readonly Need[] = row.family === 'mqtt' && row.topics !== 'acl' ? ['starter-topics'] : []
  return [...(row.onlyOurs === undefined ? [] : ['letter' as const]), ...(FAMILY_NEEDS[row.family] ?? []), ...(row.needs ?? []), ...topics]
}

/** Why a case is not run where this is absent. */
export function whyNotRun(row: CatalogueRow, absent: Need): string {
  return absent === 'letter' && row.onlyOurs !== undefined ? `asked of Sallyport alone: ${row.onlyOurs}` : NEED_MISSING[absent]
}

/** Thrown into a case that asks for what its target does not have. */
export class NotOffered extends Error {
  override readonly name = 'NotOffered'

  constructor(need: Need) {
    super(NEED_MISSING[need])
  }
}

/** The operator's hand as one case has it: each verb is noted by the power that it takes, and rejects where the target has it not. */
export function guardedAdmin(operator: Partial<Admin>, takes: (need: Need) => void): Admin {
  const ask = <T>(need: Need, answer: () => Promise<T> | undefined): Promise<T> => {
    takes(need)
    return answer() ?? Promise.reject(new NotOffered(need))
  }
  return {
    get options() {
      takes('registry')
      if (operator.options === undefined) throw new NotOffered('registry')
      return operator.options
    },
    addDevices: (devices) => ask('registry', () => operator.addDevices?.(devices)),
    tryAddDevice: (device, source) => ask('registry', () => operator.tryAddDevice?.(device, source)),
    enroll: (id, csr) => ask('enrollment', () => operator.enroll?.(id, csr)),
    tryEnroll: (id, csr, source) => ask('enrollment', () => operator.tryEnroll?.(id, csr, source)),
    revoke: (target, reason) => ask('revocation', () => operator.revoke?.(target, reason)),
    tryRevoke: (target, reason, source) => ask('revocation', () => operator.tryRevoke?.(target, reason, source)),
    createToken: (id, wishes) => ask('enrollment', () => operator.createToken?.(id, wishes)),
    revokeToken: (token) => ask('enrollment', () => operator.revokeToken?.(token)),
    createClaim: (pattern, csr, uses) => ask('enrollment', () => operator.createClaim?.(pattern, csr, uses)),
    setGroups: (id, groups) => ask('registry', () => operator.setGroups?.(id, groups)),
    changeState: (id, action) => ask('registry', () => operator.changeState?.(id, action)),
    certificatesOf: (id) => ask('registry', () => operator.certificatesOf?.(id)),
    refusalsAfter: (after) => ask('audit', () => operator.refusalsAfter?.(after)),
    auditMentions: (text) => ask('audit', () => operator.auditMentions?.(text)),
    sessions: () => ask('registry', () => operator.sessions?.()),
    // Whoever opened it closes it.
    close: () => {},
  }
}

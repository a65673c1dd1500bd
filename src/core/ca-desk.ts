// What an operator asks about the CAs, and does with them: the rotation step by step, a request for a CA that is signed elsewhere,
// and what becomes of a root's key.

import type { CaName, DeviceId, EpochMs } from './ids.ts'
import type { CaState } from './registry.ts'
import type { CrossSigning, RotationStep } from './rotation.ts'

/** One CA of ours, and who depends on it. */
export interface CaUse {
  readonly name: CaName
  readonly role: 'root' | 'issuing'
  readonly state: CaState
  /** When it came to that state. */
  readonly since: EpochMs
  readonly notAfter: EpochMs
  /** Of an issuing CA: its root. */
  readonly root?: CaName
  /** Certificates of devices that are in force. */
  readonly certificates: number
  /** Of those the device of which has no other one of another CA: it would be out without this CA. */
  readonly only: number
  /** The devices of `only`, as many as are named. */
  readonly devices: readonly DeviceId[]
  /** Of operators, servers and others. */
  readonly others: number
  readonly sessions: number
}

export interface ExpirySeen {
  readonly certificate: string
  readonly notAfter: EpochMs
}

export interface CaRotation {
  readonly next: RotationStep
  /** What the next step does, as a sentence. */
  readonly nextDoes: string
  /** All steps in their order, and what each does; giving it up is the last of them. */
  readonly steps: readonly { readonly step: RotationStep; readonly does: string }[]
  readonly crossSigning: CrossSigning
  readonly cas: readonly CaUse[]
  /** The CA that the server's own certificate is of. */
  readonly serverIssuer: CaName
  /** Roots in force whose key is in this home. */
  readonly rootKeys: readonly CaName[]
  /** What expires within 30 days. */
  readonly expiring: readonly ExpirySeen[]
}

/** The key of a root, for one step; it is kept nowhere. */
export interface KeyLoan {
  /** A sealed key of ours, or PEM. */
  readonly text: string
  /** What opens it, where it is not this home's passphrase. */
  readonly passphrase?: string | undefined
}

export interface RotateRequest {
  readonly step: RotationStep
  /** With start: a new root, too. */
  readonly root?: boolean | undefined
  /** Judge, and say who would break; write nothing. */
  readonly dryRun?: boolean | undefined
  /** With retire: end what is still in force. */
  readonly force?: boolean | undefined
  readonly rootKey?: KeyLoan | undefined
  /** With start: the device ids that the new CA may name, as patterns; '*' for any. As the one before where nothing is said. */
  readonly ids?: readonly string[] | undefined
  /** With start: the unit of the organisation in which all its subjects stand, and outside which X.509 permits it none; '*' for no such limit. As the one before where nothing is said. */
  readonly unit?: string | undefined
}

export interface Rotated {
  readonly step: RotationStep
  /** `done`: it had been done before. `would`: it was a dry run. `part`: there is more than one request does: ask again. */
  readonly outcome: 'did' | 'done' | 'would' | 'part'
  /** What was done, or would be, line by line. */
  readonly told: readonly string[]
  /** Devices that are out by it, or would be, as many as are named. */
  readonly breaks: readonly DeviceId[]
  readonly breaksCount: number
  readonly sessionsClosed: number
  readonly revoked: number
  readonly next: RotationStep
}

export interface CaRequest {
  readonly ca: CaName
  /** PKCS#10, PEM. */
  readonly csr: string
}

export interface CaDesk {
  caRotation(): Promise<CaRotation>
  /** Failures: 'refused' with ca-step, ca-in-use, ca-key-missing. */
  rotateCa(request: RotateRequest): Promise<Rotated>
  /** A request for the next issuing CA, to be signed elsewhere; the key stays here. Asking again gives a request for the same key. */
  requestCa(): Promise<CaRequest>
  /** Takes in what was signed for it: `cert` and `chain` are PEM. It is on its way then, as after the step start. */
  importCa(source: { readonly cert: string; readonly chain?: string | undefined; readonly ids?: readonly string[] | undefined }): Promise<readonly CaName[]>
  /** Puts down what somebody does to the key file of a CA. Whoever does it does it after this. */
  noteCaKey(ca: CaName, action: 'exported' | 'removed'): Promise<void>
}


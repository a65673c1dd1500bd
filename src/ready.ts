// What a server says of itself when everything answers: where, and how a person begins.

import type { Address } from './broker/broker.ts'
import type { Demo } from './demo.ts'

export interface Ready {
  readonly mqtt: Address
  readonly websocket: (Address & { readonly path: string }) | undefined
  readonly admin: { readonly url: string }
  /** Opens the console once, on this machine. */
  readonly console: { readonly url: string }
  readonly enroll: Address
  readonly pki: Address
  readonly metrics: { readonly url: string }
  readonly rootSha256: string
  readonly demo: Demo | undefined
  /** This start made the home. */
  readonly fresh: boolean
}

// What the enrollment door's thread and the rest of the program say to each other. Plain data: it is copied.

import type { AuditEvent } from '../core/audit.ts'
import type { Decision } from '../core/decision.ts'
import type { EnrollRules } from '../core/enroll-rules.ts'
import type { Caller, CallerId, Post, Posted, Shown } from '../core/https-publish.ts'
import { SallyportError, type FailureCode } from '../core/errors.ts'
import type { Certified, Enrollments } from './est.ts'
import type { EnrollServerPorts, EnrollTls } from './server.ts'

/** What the door answers with by itself, until it is told otherwise. */
export interface Facts {
  readonly caCertificates: readonly Uint8Array[]
  readonly labels: readonly string[]
  readonly rules: EnrollRules
  /** Of a message that is posted; undefined: nothing is published at this door. */
  readonly packetBytesMax: number | undefined
}

export interface ThreadStart {
  readonly listen: EnrollServerPorts['listen']
  readonly tls: EnrollTls
  readonly facts: Facts
}

export interface Failure {
  readonly code: FailureCode | undefined
  readonly message: string
  readonly fix: string | undefined
}

export type Question =
  | { readonly method: 'withToken'; readonly request: Parameters<Enrollments['withToken']>[0] }
  | { readonly method: 'withCertificate'; readonly request: Parameters<Enrollments['withCertificate']>[0] }
  | { readonly method: 'renew'; readonly request: Parameters<Enrollments['renew']>[0] }

export type ToThread =
  | { readonly kind: 'answer'; readonly id: number; readonly decision: Decision<Certified> }
  | { readonly kind: 'failure'; readonly id: number; readonly failure: Failure }
  | { readonly kind: 'facts'; readonly id: number; readonly facts: Facts }
  | { readonly kind: 'introduced'; readonly id: number; readonly answer: Decision<Caller> }
  | { readonly kind: 'posted'; readonly id: number; readonly answer: Posted }
  /** Its connection is to be closed. */
  | { readonly kind: 'end'; readonly caller: CallerId }
  | { readonly kind: 'tls'; readonly tls: EnrollTls }
  | { readonly kind: 'close' }

export type FromThread =
  | { readonly kind: 'opened'; readonly address: { readonly host: string; readonly port: number } }
  | { readonly kind: 'failed'; readonly failure: Failure }
  | { readonly kind: 'question'; readonly id: number; readonly question: Question }
  | { readonly kind: 'introduce'; readonly id: number; readonly shown: Shown }
  | { readonly kind: 'post'; readonly id: number; readonly caller: CallerId; readonly post: Post }
  | { readonly kind: 'gone'; readonly caller: CallerId }
  | { readonly kind: 'events'; readonly events: readonly AuditEvent[] }
  | { readonly kind: 'log'; readonly level: 'warn' | 'error'; readonly facts: Readonly<Record<string, unknown>>; readonly message: string }
  | { readonly kind: 'facts-taken'; readonly id: number }

export function toFailure(error: unknown): Failure {
  if (error instanceof SallyportError) return { code: error.code, message: error.message, fix: error.fix }
  return { code: undefined, message: error instanceof Error ? error.message : 'unknown', fix: undefined }
}

export function fromFailure({ code, message, fix }: Failure): Error {
  return code === undefined ? new Error(message) : new SallyportError(code, message, fix === undefined ? {} : { fix })
}

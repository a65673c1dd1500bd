// What counts at a target that is not ours. It was promised nothing but what mutual TLS and an access control list promise: who is
// not let in stays outside, who is revoked is put out, and nothing goes where no grant leads. In which layer it says no, with
// which code, and how many connections it bears with, is its own affair.

import { unreachable } from './failure.ts'
import { SIM_LIMITS } from './limits.ts'
import type { Claim, Expected, Observed } from './oracle.ts'

const ended = (seen: Observed): boolean => seen.kind === 'refused-in-tls' || seen.kind === 'refused-by-connack' || seen.kind === 'cut'

/** Of something that is not what we expect: why it is no hole; undefined where it is one. `identity`: what names a device there; `tried`: the claims of the case that were. */
export function noHole(claim: Claim, seen: Observed, identity: 'certificate' | 'client-id', tried: ReadonlySet<string>): string | undefined {
  const { elsewhere: excuse } = claim
  const excused = excuse !== undefined && [excuse.seen ?? 'admitted'].flat().includes(seen.kind) && (excuse.where ?? identity) === identity && (excuse.judgedBy === undefined || tried.has(excuse.judgedBy))
  if (excused) return excuse.because
  return byKind(claim.outcome, seen)
}

function byKind(expected: Expected, seen: Observed): string | undefined {
  switch (expected.kind) {
    case 'tls':
    case 'connack':
    case 'tls-or-connack': return ended(seen) ? 'It was refused, in another layer or with another code.' : undefined
    case 'cut': return seen.kind === 'cut' && seen.afterMs <= SIM_LIMITS.kickMs ? 'It was cut in time, with another code or none.' : undefined
    case 'publish-dropped': return (seen.kind === 'published' && seen.receivers.length === 0) || ended(seen) ? 'Nobody heard it. How a message that is dropped is answered, MQTT leaves to the server.' : undefined
    case 'subscribe-refused': return seen.kind === 'subscribed' && seen.received === 0 ? 'The filter was granted and nothing was delivered by it: this broker judges when it delivers.' : undefined
    case 'all-closed':
    case 'some-refused': return seen.kind === 'flood' ? 'How many connections are borne with, and for how long, is no promise of mutual TLS; whether others notice is judged.' : undefined
    case 'admitted':
    case 'http':
    case 'post-refused':
    case 'http-or-dropped':
    case 'silent-device':
    case 'undisturbed': return undefined
    case 'withstood': return ended(seen) ? 'It was refused, in another layer or with another code.' : undefined
    default: return unreachable(expected)
  }
}

// A certificate request as a door hands it over, read: PKCS#10, bound to its connection where that is asked for, and free of what
// cannot be granted when the key is to be made here.

import { timingSafeEqual } from 'node:crypto'
import { judgeBinding, type BindingFound, type BindingRule } from './core/channel-binding.ts'
import type { CsrFacts } from './core/certificate.ts'
import { deny, type Decision } from './core/decision.ts'
import { parseCsr } from './x509/csr.ts'
import type { KeyKind } from './x509/keys.ts'

/** What the door says beside the request. */
export interface AskedHow {
  /** Only a door whose requests can be bound to their connection says so. */
  readonly binding?: {
    /** What a request that was made for this connection has as its challengePassword; undefined where the connection gives nothing. */
    readonly expected: string | undefined
    readonly rule: BindingRule
  }
  /** The key is to be made here, of this kind; that of the request, and its signature, are not looked at. RFC 7030 §4.4.1. */
  readonly serverKey?: KeyKind
}

/** DecryptKeyIdentifier (RFC 4108 §2.2.5) and AsymmetricDecryptKeyIdentifier (RFC 7030 §4.4.1.2): the key is wanted encrypted. */
const ENCRYPTION_WISHES: readonly string[] = ['1.2.840.113549.1.9.16.2.37', '1.2.840.113549.1.9.16.2.54']

/** Reasons: csr-malformed, channel-binding, server-key-encryption. */
export function readRequest(csr: string | Uint8Array, { binding, serverKey }: AskedHow = {}): Decision<CsrFacts> {
  const read = parseCsr(csr)
  if (!read.allow) return read
  const bound = binding === undefined ? undefined : judgeBinding(bindingIn(read.value, binding.expected), binding.rule)
  if (bound?.allow === false) return bound
  // Whoever wanted it encrypted must not get it in the clear.
  if (serverKey !== undefined && read.value.attributes.some((oid) => ENCRYPTION_WISHES.includes(oid))) return deny('server-key-encryption')
  return read
}

function bindingIn({ challengePasswords: [said, ...more] }: CsrFacts, expected: string | undefined): BindingFound {
  if (said === undefined) return 'absent'
  const [a, b] = [Buffer.from(said), Buffer.from(expected ?? '')]
  // Two would be one for each of two readers.
  return more.length === 0 && expected !== undefined && a.length === b.length && timingSafeEqual(a, b) ? 'fits' : 'differs'
}

// What a request says of who sent it: HTTP Basic or Bearer with a token. A header that is there and cannot be read is refused; it is
// no reason to look for another credential.

import { allow, deny, type Decision } from '../core/decision.ts'

export interface TokenCredential {
  readonly token: string
  /** The user name of HTTP Basic: the device id, or nothing. */
  readonly device?: string
}

/** Undefined where there is no Authorization header. Reason: credential-missing. RFC 7617, RFC 6750 §2.1. */
export function tokenOf(header: string | undefined): Decision<TokenCredential | undefined> {
  if (header === undefined) return allow(undefined)
  const [, scheme = '', value = ''] = /^([A-Za-z]+) +([A-Za-z0-9._~+/=-]+) *$/.exec(header) ?? []
  switch (scheme.toLowerCase()) {
    case 'bearer':
      return allow({ token: value })
    case 'basic': {
      const text = Buffer.from(value, 'base64').toString('utf8')
      const colon = text.indexOf(':')
      if (colon < 0) return deny('credential-missing', 'Basic without a colon')
      return allow({ device: text.slice(0, colon), token: text.slice(colon + 1) })
    }
    default:
      return deny('credential-missing', 'neither Basic nor Bearer')
  }
}

// Family T: handshakes that are not as TLS wants them, and what is not TLS at all. Written by hand, byte by byte.

import { sign } from 'node:crypto'
import { SIGNATURE_SCHEMES } from '../forge/client-hello.ts'
import { privateKey } from '../forge/keys.ts'
import { certificateVerifyBody } from '../forge/tls12.ts'
import type { Identity } from '../identities.ts'
import { TLS_VERSIONS, type Arena, type Bench, type Runner } from './arena.ts'
import { connectByHand, handWorks } from './handmade.ts'

/** T37: the message is still in the clear in TLS 1.2, so a handshake written by hand can say anything in it. */
const VERIFICATIONS: Readonly<Record<string, (transcript: Buffer, own: Identity) => Buffer>> = {
  'signed over another transcript': (transcript, own) => certificateVerifyBody(SIGNATURE_SCHEMES.ecdsaSha256, sign('sha256', transcript.subarray(1), own.keyObject)),
  'signed with another key': (transcript) => certificateVerifyBody(SIGNATURE_SCHEMES.ecdsaSha256, sign('sha256', transcript, privateKey())),
  'another hash than stated': (transcript, own) => certificateVerifyBody(SIGNATURE_SCHEMES.ecdsaSha256, sign('sha384', transcript, own.keyObject)),
  'a scheme that was not offered': (transcript, own) => certificateVerifyBody(SIGNATURE_SCHEMES.ecdsaSha1, sign('sha1', transcript, own.keyObject)),
  'a scheme of another key type': (transcript, own) => certificateVerifyBody(SIGNATURE_SCHEMES.rsaSha256, sign('sha256', transcript, own.keyObject)),
  'truncated': (transcript, own) => certificateVerifyBody(SIGNATURE_SCHEMES.ecdsaSha256, sign('sha256', transcript, own.keyObject).subarray(0, 20)),
  'extended': (transcript, own) => Buffer.concat([certificateVerifyBody(SIGNATURE_SCHEMES.ecdsaSha256, sign('sha256', transcript, own.keyObject)), Buffer.from([0])]),
  'signature of no length': () => certificateVerifyBody(SIGNATURE_SCHEMES.ecdsaSha256, Buffer.alloc(0)),
  'empty': () => Buffer.alloc(0),
}

async function malformedVerifications(arena: Arena, bench: Bench): Promise<void> {
  for (const tls of TLS_VERSIONS) {
    // A device each: the refusals of one device are counted, not written, when they are many.
    const own = await arena.identities.fresh('t37')
    await handWorks(arena, bench, own)
    for (const [label, verification] of Object.entries(VERIFICATIONS)) {
      const credentials = { chain: own.chain, proof: (content: Buffer) => verification(content, own) }
      // In TLS 1.3 a client has finished before it is answered; whether it was let in is seen behind its CONNECT.
      const { seen, audit, connection } = await connectByHand(arena, tls, credentials, own.id, 4)
      bench.attack('attack', `${label}, ${tls}`, seen, audit)
      connection?.end()
    }
  }
}

export const TLS_HANDSHAKE_CASES = {
  T37: malformedVerifications,
} as const satisfies Record<string, Runner>

// How the program and its signer speak: frames over a pipe. Four octets of length, four that number the request, one that
// says what it is, then the body. It knows nothing of certificates; whatever is not such a frame ends the conversation.

import { SIGNER_LIMITS } from '../signer-limits.ts'

export const FRAME = { sign: 1, signature: 2, refused: 3, ready: 4, failed: 5, signCrl: 6 } as const
export type FrameKind = (typeof FRAME)[keyof typeof FRAME]

export interface Frame {
  readonly id: number
  readonly kind: FrameKind
  readonly body: Uint8Array
}

const LENGTH_BYTES = 4
const HEAD_BYTES = 5
const KIND_AT = 4
/** So much of a frame tells how long it may be. */
const PREFIX_BYTES = LENGTH_BYTES + HEAD_BYTES

export function encodeFrame({ id, kind, body }: Frame): Buffer {
  const frame = Buffer.allocUnsafe(LENGTH_BYTES + HEAD_BYTES + body.length)
  frame.writeUInt32BE(HEAD_BYTES + body.length, 0)
  frame.writeUInt32BE(id, LENGTH_BYTES)
  frame.writeUInt8(kind, LENGTH_BYTES + KIND_AT)
  frame.set(body, LENGTH_BYTES + HEAD_BYTES)
  return frame
}

/** Takes bytes as they come and gives the frames that are whole. Throws RangeError for a length or a kind that no frame has. */
export function frameReader(): (chunk: Uint8Array) => readonly Frame[] {
  let chunks: Uint8Array[] = []
  let size = 0
  let wanted = PREFIX_BYTES
  return (chunk) => {
    chunks.push(chunk)
    size += chunk.length
    // A CRL comes in hundreds of pieces: they are joined once, when the last one is there.
    if (size < wanted) return []
    const held = Buffer.concat(chunks)
    const frames: Frame[] = []
    let at = 0
    wanted = PREFIX_BYTES
    while (held.length - at >= PREFIX_BYTES) {
      const length = held.readUInt32BE(at)
      // Judged before a byte more is held: a length is what a liar writes first.
      if (length < HEAD_BYTES || length > bytesMaxOf(held.readUInt8(at + LENGTH_BYTES + KIND_AT))) throw new RangeError(`a frame of ${length} bytes`)
      wanted = LENGTH_BYTES + length
      if (held.length - at < wanted) break
      wanted = PREFIX_BYTES
      const start = at + LENGTH_BYTES
      frames.push({ id: held.readUInt32BE(start), kind: kindOf(held.readUInt8(start + KIND_AT)), body: Uint8Array.from(held.subarray(start + HEAD_BYTES, start + length)) })
      at = start + length
    }
    chunks = at === held.length ? [] : [held.subarray(at)]
    size = held.length - at
    return frames
  }
}

function bytesMaxOf(octet: number): number {
  return octet === FRAME.signCrl ? SIGNER_LIMITS.crlBytesMax : SIGNER_LIMITS.frameBytesMax
}

function kindOf(octet: number): FrameKind {
  const kind = Object.values(FRAME).find((known) => known === octet)
  if (kind === undefined) throw new RangeError(`a frame of kind ${octet}`)
  return kind
}

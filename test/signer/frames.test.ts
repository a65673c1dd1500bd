// Frames between the program and its signer: whole, in pieces, and what is no frame.

import { describe, expect, test } from 'vitest'
import { SIGNER_LIMITS } from '../../src/signer-limits.ts'
import { encodeFrame, FRAME, frameReader } from '../../src/signer/frames.ts'

const frame = (id: number, text: string): Buffer => encodeFrame({ id, kind: FRAME.sign, body: Buffer.from(text) })

describe('a reader of frames', () => {
  test('gives what was written, in whatever pieces it comes', () => {
    const bytes = Buffer.concat([frame(1, 'one'), frame(2 ** 32 - 1, ''), frame(3, 'three')])
    for (let size = 1; size <= bytes.length; size++) {
      const read = frameReader()
      const frames = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => read(bytes.subarray(i * size, (i + 1) * size))).flat()
      expect(frames.map(({ id, body }) => [id, Buffer.from(body).toString()])).toEqual([[1, 'one'], [2 ** 32 - 1, ''], [3, 'three']])
    }
  })

  test('takes a frame of the greatest length, and refuses one octet more by its length alone', () => {
    const largest = encodeFrame({ id: 1, kind: FRAME.sign, body: new Uint8Array(SIGNER_LIMITS.frameBytesMax - 5) })
    expect(frameReader()(largest)[0]?.body).toHaveLength(SIGNER_LIMITS.frameBytesMax - 5)
    const head = Buffer.alloc(9, FRAME.sign)
    head.writeUInt32BE(SIGNER_LIMITS.frameBytesMax + 1)
    expect(() => frameReader()(head)).toThrow(RangeError)
  })

  test.each([['a length that holds no head', '00000004'], ['a kind that there is not', '000000050000000163'], ['HTTP', '474554202f20']])('refuses %s', (_, hex) => {
    expect(() => frameReader()(Buffer.concat([Buffer.from(hex, 'hex'), Buffer.alloc(9, FRAME.sign)]))).toThrow(RangeError)
  })
})

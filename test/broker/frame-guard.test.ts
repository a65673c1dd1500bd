import { array, assert, constantFrom, nat, property, uint8Array } from 'fast-check'
import mqttPacket from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import { openFrameGuard } from '../../src/broker/frame-guard.ts'
import { BROKER_LIMITS } from '../../src/limits.ts'

const MAX = BROKER_LIMITS.packetBytesMax
const connect = mqttPacket.generate({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clean: true, clientId: 's-1', keepalive: 30 })
const publish = (bytes: number): Buffer => mqttPacket.generate({ cmd: 'publish', topic: 't', payload: Buffer.alloc(bytes), qos: 0, dup: false, retain: false })
const ping = Buffer.from([0xc0, 0x00])

function inspect(...chunks: Uint8Array[]): string {
  const guard = openFrameGuard(MAX, () => true)
  for (const chunk of chunks) {
    const judged = guard.inspect(chunk)
    if (!judged.allow) return judged.reason
  }
  return 'passes'
}

describe('order', () => {
  test('CONNECT first, then anything a client may send', () => {
    expect(inspect(connect, ping, publish(10))).toBe('passes')
  })
  test('a packet before CONNECT is refused', () => {
    expect(inspect(ping)).toBe('protocol-error')
    expect(inspect(publish(1))).toBe('protocol-error')
  })
  test('a second CONNECT is refused, also when it comes in the same chunk', () => {
    expect(inspect(connect, connect)).toBe('protocol-error')
    expect(inspect(Buffer.concat([connect, connect]))).toBe('protocol-error')
  })
})

describe('the first byte', () => {
  test.each([0x00, 0x20, 0x90, 0xb0, 0xd0])('packet type of 0x%s is never sent by a client', (byte) => {
    expect(inspect(connect, Buffer.from([byte, 0]))).toBe('malformed-packet')
  })
  test('reserved flags must be as the table says', () => {
    expect(inspect(connect, Buffer.from([0x82, 0x00]))).toBe('passes')
    expect(inspect(connect, Buffer.from([0x80, 0x00]))).toBe('malformed-packet')
    expect(inspect(connect, Buffer.from([0xc1, 0x00]))).toBe('malformed-packet')
  })
  test('QoS 3 is refused and QoS 2 is not', () => {
    expect(inspect(connect, Buffer.from([0x36, 0x00]))).toBe('malformed-packet')
    expect(inspect(connect, Buffer.from([0x34, 0x00]))).toBe('passes')
  })
})

describe('the announced length', () => {
  test('is judged before the body comes', () => {
    expect(inspect(connect, Buffer.from([0x30, 0xff, 0xff, 0xff, 0x7f]))).toBe('packet-too-large')
  })
  test('has at most four bytes', () => {
    expect(inspect(connect, Buffer.from([0x30, 0x80, 0x80, 0x80, 0x80]))).toBe('malformed-packet')
  })
  test('a message may be as large as the limit, fixed header included, and no larger', () => {
    const overhead = publish(0).length + 2
    expect(inspect(connect, publish(MAX - overhead))).toBe('passes')
    expect(inspect(connect, publish(MAX - overhead + 1))).toBe('packet-too-large')
  })
  test('until the CONNECT is answered the smaller bound holds for messages behind it, too', () => {
    let admitted = false
    const guard = openFrameGuard(MAX, () => admitted)
    const overhead = publish(0).length + 2
    expect(guard.inspect(Buffer.concat([connect, publish(BROKER_LIMITS.connectPacketBytesMax - overhead), ping])).allow).toBe(true)
    expect(openFrameGuard(MAX, () => false).inspect(Buffer.concat([connect, ping, publish(BROKER_LIMITS.connectPacketBytesMax - overhead + 1)]))).toMatchObject({ reason: 'packet-too-large' })
    admitted = true
    expect(guard.inspect(publish(MAX - overhead)).allow).toBe(true)
  })
  test('before CONNECT, and for what is no message, the smaller bound holds', () => {
    expect(inspect(Buffer.from([0x10, 0x81, 0x80, 0x04]))).toBe('packet-too-large')
    expect(inspect(connect, Buffer.from([0x82, 0x81, 0x80, 0x04]))).toBe('packet-too-large')
    expect(inspect(connect, Buffer.from([0x30, 0x81, 0x80, 0x04]))).toBe('passes')
  })
})

describe('a DISCONNECT', () => {
  const disconnect = Buffer.from([0xe0, 0x00])
  const withBody = Buffer.from([0xe0, 0x02, 0x04, 0x00])
  /** How many bytes of this stream go on, however it is cut. */
  const passed = (stream: Buffer, cuts: readonly number[] = []): number => {
    const guard = openFrameGuard(MAX, () => true)
    const borders = [...new Set([0, ...cuts.filter((c) => c < stream.length), stream.length])].toSorted((a, b) => a - b)
    return borders.slice(1).reduce((sum, end, i) => {
      const judged = guard.inspect(stream.subarray(borders[i], end))
      return sum + (judged.allow ? judged.value : Number.NaN)
    }, 0)
  }

  test.each([['without a body', disconnect], ['with one', withBody]])('%s is the last that goes on: what stands behind it does not, be it a packet or none', (_, last) => {
    for (const behind of [publish(3), ping, connect, Buffer.from([0x00, 0xff, 0xff, 0xff, 0xff, 0xff]), Buffer.from([0x30])]) {
      const before = Buffer.concat([connect, publish(3), last])
      assert(property(array(nat(60), { maxLength: 20 }), (cuts) => {
        expect(passed(Buffer.concat([before, behind]), cuts)).toBe(before.length)
      }))
    }
  })
  test('nothing that looks like one is: in a payload, or behind another packet without a body', () => {
    const stream = Buffer.concat([connect, mqttPacket.generate({ cmd: 'publish', topic: 't', payload: disconnect, qos: 0, dup: false, retain: false }), ping, publish(3)])
    expect(passed(stream)).toBe(stream.length)
  })
  test('that is none is refused: with reserved flags, or too large', () => {
    expect(inspect(connect, Buffer.from([0xe1, 0x00]), ping)).toBe('malformed-packet')
    expect(inspect(connect, Buffer.from([0xe0, 0x81, 0x80, 0x04]), ping)).toBe('packet-too-large')
  })
})

test('the verdict does not depend on where the stream is cut', () => {
  const streams = [Buffer.concat([connect, publish(300), ping, publish(5)]), Buffer.concat([connect, ping, connect]), Buffer.concat([connect, publish(3), Buffer.from([0xf1, 0])])]
  assert(
    property(constantFrom(...streams), array(nat(400), { maxLength: 20 }), (stream, cuts) => {
      const borders = [...new Set([0, ...cuts.filter((c) => c < stream.length), stream.length])].toSorted((a, b) => a - b)
      const chunks = borders.slice(1).map((end, i) => stream.subarray(borders[i], end))
      expect(inspect(...chunks)).toBe(inspect(stream))
    }),
  )
})

test('no bytes make it throw', () => {
  assert(property(uint8Array({ maxLength: 200 }), (bytes) => {
    expect(inspect(bytes)).toMatch(/passes|malformed-packet|protocol-error|packet-too-large/)
  }))
})

describe('one packet at a time', () => {
  const subscribe = mqttPacket.generate({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'a', qos: 0 }] })
  const puback = mqttPacket.generate({ cmd: 'puback', messageId: 1 })
  const disconnect = Buffer.from([0xe0, 0x00])

  test('is taken by who takes one byte, and then as many as are wanted until none are', () => {
    const packets = [connect, publish(300), ping, ping, publish(0), publish(20_000), subscribe, puback, disconnect]
    const stream = Buffer.concat(packets)
    const guard = openFrameGuard(MAX, () => true)
    const ends: number[] = []
    for (let at = 0; at < stream.length; ) {
      do {
        const wanted = Math.max(1, guard.wanted)
        expect(guard.inspect(stream.subarray(at, at + wanted))).toEqual({ allow: true, value: wanted })
        at += wanted
      } while (guard.wanted > 0)
      ends.push(at)
    }
    expect(ends).toEqual(packets.map((_, i) => Buffer.concat(packets.slice(0, i + 1)).length))
  })

  test('is known to be in hand wherever the stream is cut', () => {
    const packets = [connect, publish(300), ping, puback]
    const ends = packets.map((_, i) => Buffer.concat(packets.slice(0, i + 1)).length)
    const stream = Buffer.concat(packets)
    for (let cut = 0; cut <= stream.length; cut++) {
      const guard = openFrameGuard(MAX, () => true)
      guard.inspect(stream.subarray(0, cut))
      expect(guard.wanted === 0, `cut at ${cut}`).toBe(cut === 0 || ends.includes(cut))
    }
  })

  test('what asks for something is counted apart, once for each, however it is cut', () => {
    assert(property(nat(40), (size) => {
      const guard = openFrameGuard(MAX, () => true)
      const stream = Buffer.concat([connect, publish(300), ping, subscribe, puback, mqttPacket.generate({ cmd: 'unsubscribe', messageId: 1, unsubscriptions: ['a'] })])
      for (let at = 0; at < stream.length; at += size + 1) guard.inspect(stream.subarray(at, at + size + 1))
      expect([guard.packets, guard.asks]).toEqual([6, 3])
    }))
  })
})

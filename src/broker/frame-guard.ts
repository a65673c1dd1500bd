// Judges the frames of one connection by their first bytes, before the engine buffers anything: packet type, reserved
// flags, announced length, order. It follows packet borders through chunks without copying, and stops at the first fault
// and behind a DISCONNECT.
// It knows no topics and no identities; what a packet says is the business of the packet gate.

import { BROKER_LIMITS } from '../limits.ts'
import { allow, deny, type Decision } from '../core/decision.ts'

const CONNECT = 1
const PUBLISH = 3
const SUBSCRIBE = 8
const UNSUBSCRIBE = 10
const DISCONNECT = 14

/** Flags that a packet type must carry in the low four bits [MQTT-2.1.3-1]; undefined: a client never sends this type. */
const REQUIRED_FLAGS: readonly (number | 'publish' | undefined)[] = [
  undefined, // 0 is reserved
  0, // CONNECT
  undefined, // CONNACK
  'publish', // PUBLISH: DUP, QoS, RETAIN
  0, // PUBACK
  0, // PUBREC
  0b0010, // PUBREL
  0, // PUBCOMP
  0b0010, // SUBSCRIBE
  undefined, // SUBACK
  0b0010, // UNSUBSCRIBE
  undefined, // UNSUBACK
  0, // PINGREQ
  undefined, // PINGRESP
  0, // DISCONNECT
  0, // AUTH
]

/** A Variable Byte Integer has at most four bytes. MQTT 5 §1.5.5. */
const LENGTH_BYTES_MAX = 4

export interface FrameGuard {
  /** Packets that have begun. */
  readonly packets: number
  /** Those among them that ask for something: PUBLISH, SUBSCRIBE, UNSUBSCRIBE. */
  readonly asks: number
  /** Bytes that were looked at. */
  readonly bytes: number
  /** Bytes up to the end of the packet in hand; 0 between two packets, and 1 for as long as its length is not known. */
  readonly wanted: number
  /**
   * Looks at the next bytes of the stream; says how many of them may go on. All of them, unless a DISCONNECT ends here: what
   * comes behind it nobody may act on [MQTT-3.14.4-1], and the parser would read it as part of a DISCONNECT without a body.
   * After a denial the connection is beyond repair.
   */
  inspect(chunk: Uint8Array): Decision<number>
}

/** `isAdmitted` is asked at every packet: has the CONNECT been answered with yes? */
export function openFrameGuard(packetBytesMax: number, isAdmitted: () => boolean): FrameGuard {
  return new Guard(packetBytesMax, isAdmitted)
}

/** One for each connection: a class, because V8 keeps an object with getters of its own as a dictionary. */
class Guard implements FrameGuard {
  readonly #packetBytesMax: number
  readonly #isAdmitted: () => boolean
  packets = 0
  asks = 0
  bytes = 0
  #bodyLeft = 0
  #header = -1
  #length = 0
  #lengthBytes = 0
  #closing = false

  constructor(packetBytesMax: number, isAdmitted: () => boolean) {
    this.#packetBytesMax = packetBytesMax
    this.#isAdmitted = isAdmitted
  }

  get wanted(): number {
    return this.#header === -1 ? this.#bodyLeft : 1
  }

  inspect(chunk: Uint8Array): Decision<number> {
    this.bytes += chunk.length
    let at = 0
    while (at < chunk.length && !(this.#closing && this.#bodyLeft === 0)) {
      if (this.#bodyLeft > 0) {
        const step = Math.min(this.#bodyLeft, chunk.length - at)
        this.#bodyLeft -= step
        at += step
        continue
      }
      const byte = chunk[at] ?? 0
      at += 1
      if (this.#header === -1) {
        const judged = this.#judgeHeader(byte)
        if (!judged.allow) return judged
        this.#header = byte
        this.packets += 1
        const type = byte >> 4
        if (type === PUBLISH || type === SUBSCRIBE || type === UNSUBSCRIBE) this.asks += 1
        continue
      }
      this.#length += (byte & 0x7f) * 128 ** this.#lengthBytes
      this.#lengthBytes += 1
      if ((byte & 0x80) !== 0) {
        if (this.#lengthBytes === LENGTH_BYTES_MAX) return deny('malformed-packet', 'remaining length of more than four bytes')
        continue
      }
      const judged = this.#judgeLength()
      if (!judged.allow) return judged
      this.#bodyLeft = this.#length
      this.#closing = this.#header >> 4 === DISCONNECT
      this.#header = -1
      this.#length = 0
      this.#lengthBytes = 0
    }
    return allow(at)
  }

  #judgeHeader(byte: number): Decision<void> {
    const type = byte >> 4
    const required = REQUIRED_FLAGS[type]
    if (required === undefined) return deny('malformed-packet', `packet type ${type}`)
    if (required === 'publish') {
      if ((byte & 0b0110) === 0b0110) return deny('malformed-packet', 'QoS 3') // [MQTT-3.3.1-4]
    } else if ((byte & 0b1111) !== required) return deny('malformed-packet', `reserved flags of packet type ${type}`)
    if (this.packets === 0 && type !== CONNECT) return deny('protocol-error', `packet type ${type} before CONNECT`) // [MQTT-3.1.0-1]
    if (this.packets > 0 && type === CONNECT) return deny('protocol-error', 'second CONNECT') // [MQTT-3.1.0-2]
    return allow(undefined)
  }

  #judgeLength(): Decision<void> {
    // Until the peer is admitted, and for everything but a message, a smaller bound holds: what comes behind a CONNECT that
    // waits is held in memory for somebody who may be nobody.
    const max = this.#header >> 4 === PUBLISH && this.#isAdmitted() ? this.#packetBytesMax : Math.min(BROKER_LIMITS.connectPacketBytesMax, this.#packetBytesMax)
    return this.#length + 1 + this.#lengthBytes > max ? deny('packet-too-large', `${this.#length} bytes announced`) : allow(undefined)
  }
}

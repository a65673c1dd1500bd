// What the metrics cost each message: the additions that the data plane makes for one of 128 bytes that comes and goes to one receiver, against
// the same loop without them. A message costs the broker some microseconds; see bench:mqtt.

import { countByQos, newTraffic } from '../../src/core/traffic.ts'
import { partFlags, three } from './part.ts'

const flags = partFlags()
const MESSAGES = flags.quick ? 100_000 : 50_000_000
const ROUNDS = flags.quick ? 3 : 9
const BYTES = 128

const traffic = newTraffic()
let sum = 0

function counted(): void {
  for (let n = 0; n < MESSAGES; n++) {
    sum += n & BYTES
    traffic.bytesReceived += BYTES
    countByQos(traffic.received, 1)
    countByQos(traffic.sent, 1)
    traffic.bytesSent += BYTES
  }
}

function uncounted(): void {
  for (let n = 0; n < MESSAGES; n++) sum += n & BYTES
}

function nsOf(work: () => void): number {
  const begun = performance.now()
  work()
  return ((performance.now() - begun) * 1e6) / MESSAGES
}

counted()
uncounted()
const [withCount, without]: [number[], number[]] = [[], []]
for (let round = 0; round < ROUNDS; round++) {
  withCount.push(nsOf(counted))
  without.push(nsOf(uncounted))
}
console.log(`counting a message: ${three(withCount, 2)} ns, the loop alone ${three(without, 2)} ns; ${traffic.received[1]} counted (${sum === 0 ? 'nothing' : 'something'} was added up)`)

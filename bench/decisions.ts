// What a policy decision costs: warm, when a session says the same topic again, and cold, when the topic is new to it and a
// thousand grants concern the device. Through the functions that the broker calls, and nothing around them.

import type { Device } from '../src/core/device.ts'
import type { CaName, DeviceId, GroupName } from '../src/core/ids.ts'
import { DEFAULT_TENANT } from '../src/core/ids.ts'
import type { CompiledPolicy } from '../src/core/policy/compile.ts'
import { grantsFor, type Grants, type Principal } from '../src/core/policy/grants.ts'
import { POLICY_LIMITS } from '../src/limits.ts'
import { readPolicy } from '../src/policy-file.ts'
import { spread, type Spread } from './process-cpu.ts'

export const GRANTS = 1_000
const BATCHES = 15
/** Some 50 ms: what the kernel says of a thread's time is no finer than a few milliseconds. */
const WARM_PER_BATCH = 1_000_000
const SESSIONS_PER_BATCH = 50
/** More than a session remembers, so that every one is new to it again. */
const COLD_TOPICS = 16 * POLICY_LIMITS.decisionCacheMax

export interface Decisions {
  /** The same topic again, taken from the bytes of a packet as the broker takes it. */
  readonly warmUs: Spread
  /** The decision alone: the topic is the same string. */
  readonly repeatedUs: Spread
  /** A topic that the last of the grants allows. */
  readonly coldUs: Spread
  /** Filling in the variables of all grants: once per session. */
  readonly sessionUs: Spread
  readonly grants: number
}

/** CPU time of this thread per call, in µs, batch by batch. */
function perCall(calls: number, batch: () => void): Spread {
  batch()
  return spread(
    Array.from({ length: BATCHES }, () => {
      const before = process.threadCpuUsage()
      batch()
      const { user, system } = process.threadCpuUsage(before)
      return (user + system) / calls
    }),
  )
}

const DEVICE: Device = { id: 'sensor-7' as DeviceId, tenant: DEFAULT_TENANT, groups: ['sensors' as GroupName], attributes: {}, state: 'active', createdAt: 0, revision: 1 }
export const PRINCIPAL: Principal = { device: DEVICE, ca: 'issuing-1' as CaName, clientId: DEVICE.id }

/** Grants to the group of the device, each of a topic to publish and one to subscribe to; `terms` stand with the topic to publish. */
export function policyOf(count: number, terms = ''): CompiledPolicy {
  const grant = (n: number): string => `  - { id: g${n}, to: { group: sensors }, publish: [ { topic: "line/${n}/\${device.id}/#", qos: 1${terms} } ], subscribe: [ "line/${n}/\${device.id}/cmd/+" ] }`
  const read = readPolicy('policy.yaml', ['version: 1', 'grants:', ...Array.from({ length: count }, (_, n) => grant(n)), ''].join('\n'), 1)
  if ('policy' in read) return read.policy
  throw new Error('the policy of this benchmark is not one')
}

/** More topics than a session remembers, all of which the last of the grants allows. */
export const coldTopics = (): readonly string[] => Array.from({ length: COLD_TOPICS }, (_, i) => `line/${GRANTS - 1}/sensor-7/channel/${i}`)

export function measureDecisions(): Decisions {
  const policy = policyOf(GRANTS)
  const grants = grantsFor(policy, PRINCIPAL)
  const topics = coldTopics()
  const [repeated = ''] = topics
  const bytes = Buffer.from(repeated)
  return {
    warmUs: perCall(WARM_PER_BATCH, () => {
      for (let i = 0; i < WARM_PER_BATCH; i++) mustAllow(grants, bytes.toString('utf8'))
    }),
    repeatedUs: perCall(WARM_PER_BATCH, () => {
      for (let i = 0; i < WARM_PER_BATCH; i++) mustAllow(grants, repeated)
    }),
    coldUs: perCall(COLD_TOPICS, () => {
      for (const topic of topics) mustAllow(grants, topic)
    }),
    sessionUs: perCall(SESSIONS_PER_BATCH, () => {
      for (let i = 0; i < SESSIONS_PER_BATCH; i++) grantsFor(policy, PRINCIPAL)
    }),
    grants: GRANTS,
  }
}

export function mustAllow(grants: Grants, topic: string): void {
  if (grants.publish(topic, 1, false, 128).effect !== 'allow') throw new Error(`${topic} was denied`)
}

// Retained messages whose publisher may not say them any longer: what is judged when they are shown, and, where the policy wants them
// purged, the walk through all of them that takes them out of the store. policy.md R7.

import { BROKER_LIMITS } from '../../limits.ts'
import { judgeRetained, type RetainedVerdict } from '../../core/retained.ts'
import type { Grants } from '../../core/policy/grants.ts'
import type { RetainedMessage, SessionStore } from '../../core/session-store.ts'
import type { BrokerPorts } from '../ports.ts'
import type { Granting } from './granting.ts'

export interface Purge {
  /** May it be shown? One that is met and may not is looked after, where the policy wants that. */
  mayShow(retained: RetainedMessage): boolean
  /** Something has changed by which messages may have to go. */
  look(): void
  /** A message is retained under this topic: to be called when that is committed. */
  retaining(topic: string): void
  /** Resolves when nothing more is asked of the store. */
  stop(): Promise<void>
}

export interface PurgePorts {
  readonly broker: Pick<BrokerPorts, 'policy' | 'view' | 'log'>
  readonly store: SessionStore
  readonly granting: Granting
  onStoreFault(cause: unknown): void
}

export function openPurge(ports: PurgePorts): Purge {
  const { broker, store, granting } = ports
  /** Topics that were retained anew since the page in hand was asked for. */
  let meanwhile = new Set<string>()
  let isDirty = false
  const stopping = new AbortController()
  let walking: Promise<void> | undefined

  function judge(retained: RetainedMessage, memory: Map<string, Grants>): RetainedVerdict {
    const { message, publisher } = retained
    return judgeRetained({
      message,
      fate: broker.policy().retained,
      device: broker.view.device(publisher.device),
      record: broker.view.certificate(publisher.issuer, publisher.serial),
      grantsOf(device) {
        const name = `${device.state} ${publisher.issuer} ${publisher.serial} ${publisher.key}`
        const grants = memory.get(name) ?? granting.earlier(device, publisher)
        memory.set(name, grants)
        return grants
      },
    })
  }

  async function walk(): Promise<void> {
    let gone = 0
    while (isDirty && !stopping.signal.aborted) {
      isDirty = false
      let after: string | undefined
      do {
        meanwhile = new Set()
        const page = await store.retained('#', after, BROKER_LIMITS.retainedPageMessages)
        if (stopping.signal.aborted || broker.policy().retained !== 'purge') break
        // What was asked for and what is committed now have nothing between them but what is noted in `meanwhile`.
        const memory = new Map<string, Grants>()
        const topics = page.items.filter((item) => judge(item, memory) === 'gone').map(({ message }) => message.topic).filter((topic) => !meanwhile.has(topic))
        gone += topics.length
        if (topics.length > 0) await store.commit(topics.map((topic) => ({ kind: 'retained-cleared', topic })))
        after = page.next
      } while (after !== undefined)
    }
    if (gone > 0) broker.log('info', { messages: gone }, 'retained messages are purged: their publishers may not say them any longer')
  }

  function look(): void {
    if (broker.policy().retained !== 'purge' || stopping.signal.aborted) return
    isDirty = true
    walking ??= walk().catch((cause: unknown) => ports.onStoreFault(cause)).finally(() => {
      walking = undefined
      if (isDirty) look()
    })
  }

  return {
    look,
    mayShow(retained) {
      const verdict = judge(retained, new Map())
      if (verdict === 'gone') look()
      return verdict === 'shown'
    },
    retaining(topic) {
      if (walking !== undefined) meanwhile.add(topic)
    },
    async stop() {
      stopping.abort()
      await walking
    },
  }
}

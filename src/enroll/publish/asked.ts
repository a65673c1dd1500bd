// What the door's thread asks about messages, answered in the rest of the program. A fault while judging is a refusal, and told in the log.

import { deny } from '../../core/decision.ts'
import type { PublishDesk } from '../../core/https-publish.ts'
import type { EnrollServerPorts } from '../server.ts'
import type { FromThread, ToThread } from '../wire.ts'

type Asked = FromThread & { readonly kind: 'introduce' | 'post' | 'gone' }

export function openAsked(desk: PublishDesk | undefined, log: EnrollServerPorts['log']): (message: Asked, send: (answer: ToThread) => void) => Promise<void> {
  async function orDenied<T>(answer: Promise<T>, denied: T): Promise<T> {
    try {
      return await answer
    } catch (error) {
      log('error', { error: error instanceof Error ? error.message : 'unknown' }, 'a message could not be published over HTTPS')
      return denied
    }
  }

  return async (message, send) => {
    if (message.kind === 'gone') return desk?.gone(message.caller)
    const { id } = message
    if (message.kind === 'introduce') return send({ kind: 'introduced', id, answer: desk === undefined ? NOBODY : await orDenied(desk.introduce(message.shown), NOBODY) })
    const { caller, post } = message
    send({ kind: 'posted', id, answer: desk === undefined ? FAILED : await orDenied(desk.publish(caller, post), FAILED) })
  }
}

const NOBODY = deny('registry-unavailable')
const FAILED = { decision: deny('store-unavailable'), ends: true }

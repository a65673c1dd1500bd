// The thread of the enrollment door: strangers' handshakes, headers and bodies are read here, and hold up nobody's messages. What it
// asks of the rest of the program is bounded in number and in rate; where there are not enough cores, it is the one that waits.

import { readlinkSync } from 'node:fs'
import os from 'node:os'
import { parentPort, workerData, type MessagePort } from 'node:worker_threads'
import { deny, type Decision } from '../core/decision.ts'
import type { Caller, CallerId, Post, Posted, Shown } from '../core/https-publish.ts'
import { DOOR_LIMITS } from '../enrollment-limits.ts'
import { PUBLISH_LIMITS } from '../publish-limits.ts'
import { openBundles } from './bundles.ts'
import { openBoundedQuestions, openQuestions, type QuestionBounds } from './questions.ts'
import { openEnrollServer, type DoorServer, type EnrollServerPorts } from './server.ts'
import { fromFailure, toFailure, type Facts, type FromThread, type ThreadStart, type ToThread } from './wire.ts'

/** Whoever shows a certificate, of whatever CA, costs a look at it. */
const OF_STRANGERS: QuestionBounds<Decision<Caller>> = {
  rate: { perSecond: PUBLISH_LIMITS.introductionsPerSecond, burst: PUBLISH_LIMITS.introductionsBurst },
  atOnceMax: PUBLISH_LIMITS.introductionsAtOnceMax, waitingMax: PUBLISH_LIMITS.introductionsWaitingMax, busy: deny('publish-busy'),
}
/** Devices that are known have the rates of their grants, as at MQTT's door. */
const OF_MESSAGES: QuestionBounds<Posted> = { rate: undefined, atOnceMax: PUBLISH_LIMITS.postsAtOnceMax, waitingMax: PUBLISH_LIMITS.postsWaitingMax, busy: { decision: deny('publish-busy'), ends: false } }

/** Where there are fewer cores than work, devices that are connected come first. What the system does not allow is not needed. */
function stepBack(): void {
  try {
    os.setPriority(Number(readlinkSync('/proc/thread-self').split('/').at(-1)), DOOR_LIMITS.niceness)
  } catch {
    // No Linux, or not permitted.
  }
}

async function serve(port: MessagePort, { listen, tls, ...start }: ThreadStart): Promise<void> {
  const say = (message: FromThread): void => port.postMessage(message, [])
  let facts: Facts = start.facts
  const questions = openQuestions((id, question) => say({ kind: 'question', id, question }), Date.now)
  const introductions = openBoundedQuestions<Shown, Decision<Caller>>((id, shown) => say({ kind: 'introduce', id, shown }), Date.now, OF_STRANGERS)
  const posts = openBoundedQuestions<{ readonly caller: CallerId; readonly post: Post }, Posted>((id, question) => say({ kind: 'post', id, ...question }), Date.now, OF_MESSAGES)
  const publish: EnrollServerPorts['publish'] = {
    introduce: (shown) => introductions.ask(shown),
    post: (question) => posts.ask(question),
    gone: (caller) => say({ kind: 'gone', caller }),
    packetBytesMax: () => facts.packetBytesMax ?? 0,
  }
  const record = openBundles((events) => say({ kind: 'events', events }))
  let server: DoorServer
  try {
    server = await openEnrollServer({
      listen, tls, clock: Date.now, audit: { record }, log: (level, about, message) => say({ kind: 'log', level, facts: about, message }),
      enrollments: {
        withToken: (request) => questions.ask({ method: 'withToken', request }),
        withCertificate: (request) => questions.ask({ method: 'withCertificate', request }),
        renew: (request) => questions.ask({ method: 'renew', request }),
        caCertificates: () => facts.caCertificates, labels: () => facts.labels, rules: () => facts.rules,
      },
      ...(facts.packetBytesMax === undefined ? {} : { publish }),
    })
  } catch (error) {
    say({ kind: 'failed', failure: toFailure(error) })
    return port.close()
  }
  port.on('message', (message: ToThread) => {
    switch (message.kind) {
      case 'answer':
        return questions.answered(message.id, message.decision)
      case 'failure':
        return questions.failed(message.id, fromFailure(message.failure))
      case 'introduced':
        return introductions.answered(message.id, message.answer)
      case 'posted':
        return posts.answered(message.id, message.answer)
      case 'end':
        return server.end(message.caller)
      case 'facts':
        facts = message.facts
        return say({ kind: 'facts-taken', id: message.id })
      case 'tls':
        return server.prepare(message.tls)()
      case 'close':
        return void close()
    }
  })
  async function close(): Promise<void> {
    await server.close()
    // The last bundle is on its way by then.
    setTimeout(() => port.close(), DOOR_LIMITS.bundleMs)
  }
  say({ kind: 'opened', address: server.address })
}

if (parentPort !== null) {
  stepBack()
  await serve(parentPort, workerData as ThreadStart)
}

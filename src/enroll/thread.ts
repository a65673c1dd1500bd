// The thread of the enrollment door: strangers' handshakes, headers and bodies are read here, and hold up nobody's messages. What it
// asks of the rest of the program is bounded in number and in rate; where there are not enough cores, it is the one that waits.

import { readlinkSync } from 'node:fs'
import os from 'node:os'
import { parentPort, workerData, type MessagePort } from 'node:worker_threads'
import { DOOR_LIMITS } from '../enrollment-limits.ts'
import { openBundles } from './bundles.ts'
import { openQuestions } from './questions.ts'
import { openEnrollServer, type EnrollServer } from './server.ts'
import { fromFailure, toFailure, type Facts, type FromThread, type ThreadStart, type ToThread } from './wire.ts'

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
  const record = openBundles((events) => say({ kind: 'events', events }))
  let server: EnrollServer
  try {
    server = await openEnrollServer({
      listen, tls, clock: Date.now, audit: { record }, log: (level, about, message) => say({ kind: 'log', level, facts: about, message }),
      enrollments: {
        withToken: (request) => questions.ask({ method: 'withToken', request }),
        withCertificate: (request) => questions.ask({ method: 'withCertificate', request }),
        renew: (request) => questions.ask({ method: 'renew', request }),
        caCertificates: () => facts.caCertificates, labels: () => facts.labels, rules: () => facts.rules,
      },
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

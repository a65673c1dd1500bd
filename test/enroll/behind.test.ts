// The enrollment door on its thread: what it is told, what it asks, what becomes of it when the thread ends, and how much it asks at once.

import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import path from 'node:path'
import { Worker } from 'node:worker_threads'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { AuditEvent } from '../../src/core/audit.ts'
import { deny, type Decision } from '../../src/core/decision.ts'
import { DEFAULT_ENROLL, type EnrollRules } from '../../src/core/enroll-rules.ts'
import { SallyportError } from '../../src/core/errors.ts'
import { openEnrollDoor, type Begin, type EnrollDoor } from '../../src/enroll/behind.ts'
import type { Certified, Enrollments } from '../../src/enroll/est.ts'
import { DOOR_LIMITS } from '../../src/enrollment-limits.ts'
import { makeCsr } from '../../src/x509/csr.ts'
import { generateKey } from '../../src/x509/keys.ts'
import { ask as asking, openHouse, type Answered, type House } from '../http/house.ts'

let house: House
let door: EnrollDoor
let answer: () => Promise<Decision<Certified>>
let [labels, rules]: [string[], EnrollRules] = [['issuing-1'], DEFAULT_ENROLL]
const events: AuditEvent[] = []
const logged: string[] = []
const enrollments: Enrollments = { withToken: () => answer(), withCertificate: () => answer(), renew: () => answer(), caCertificates: () => [house.organisation.root.der], labels: () => labels, rules: () => rules }
const material = (): { key: string; cert: string; anchors: string[] } => {
  const file = (name: string): string => readFileSync(path.join(house.folder, 'certs/local/server', name), 'utf8')
  return { key: file('key.pem'), cert: file('cert.pem'), anchors: [house.root] }
}
/** Those that were begun, the last one at the end. */
const threads: Worker[] = []
const begin: Begin = (start) => {
  const thread = new Worker(new URL('../../src/enroll/thread.ts', import.meta.url), { workerData: start })
  threads.push(thread)
  return thread
}
const open = (port = 0): Promise<EnrollDoor> =>
  openEnrollDoor({ listen: { host: '127.0.0.1', port }, tls: material(), enrollments, audit: { record: (event) => void events.push(event) }, log: (_, __, message) => void logged.push(message) }, begin)
beforeAll(async () => {
  house = await openHouse()
  door = await open()
})
afterAll(async () => {
  await door.close()
  await house[Symbol.asyncDispose]()
})

const csr = makeCsr(generateKey('P-256'), 'sensor-1')
const ask = (at: string, more: Parameters<typeof asking>[2] = {}): Promise<Answered> => asking(`https://127.0.0.1:${door.address.port}`, house.root, { path: `/.well-known/est/${at}`, ...more })
const enroll = (): Promise<Answered> => ask('simpleenroll', { method: 'POST', body: csr, headers: { authorization: 'Bearer x' } })
const certificate = async (): Promise<Decision<Certified>> => ({ allow: true, value: { certificate: house.organisation.issuing.der } })

test('a question goes through, and its answer comes back: a certificate, a key, a refusal, a failure', async () => {
  answer = certificate
  expect((await enroll()).status).toBe(200)
  answer = async () => ({ allow: true, value: { certificate: house.organisation.issuing.der, key: Uint8Array.of(1, 2, 3) } })
  expect((await enroll()).text).toContain('AQID')
  answer = async () => deny('token-expired', 'yesterday')
  expect(await enroll()).toMatchObject({ status: 403, headers: { 'sallyport-reason': 'token-expired' } })
  answer = () => Promise.reject(new SallyportError('signer-unavailable', 'It is gone.'))
  expect(await enroll()).toMatchObject({ status: 503, headers: { 'sallyport-reason': 'issuance-unavailable', 'retry-after': '10' } })
  answer = () => Promise.reject(new TypeError('a fault of ours'))
  const fault = await enroll()
  expect(fault).toMatchObject({ status: 503 })
  expect(fault.text).not.toContain('fault of ours')
  await expect.poll(() => logged).toContain('an enrollment failed')
  await expect.poll(() => events.filter((event) => event.kind === 'refusal').map(({ reason }) => reason)).toEqual(['token-expired', 'issuance-unavailable', 'issuance-unavailable'])
})

test('what has changed is known to it when it was told', async () => {
  expect((await ask('issuing-2/cacerts')).status).toBe(404)
  labels = ['issuing-2']
  rules = { serverKeys: 'allowed', channelBinding: 'required' }
  await door.refresh()
  expect((await ask('issuing-2/cacerts')).status).toBe(200)
  expect((await ask('issuing-1/cacerts')).status).toBe(404)
  expect((await ask('serverkeygen', { method: 'POST' })).headers['sallyport-reason']).toBe('credential-missing')
})

test('so many questions are asked at once and no more; the others wait for their turn, and all are answered', async () => {
  let [now, most] = [0, 0]
  const waiting: (() => void)[] = []
  answer = async () => {
    now += 1
    most = Math.max(most, now)
    await new Promise<void>((resolve) => waiting.push(resolve))
    now -= 1
    return certificate()
  }
  const count = DOOR_LIMITS.questionsAtOnceMax + 20
  const asked = Promise.all(Array.from({ length: count }, enroll))
  await expect.poll(() => waiting.length).toBe(DOOR_LIMITS.questionsAtOnceMax)
  let answered = 0
  while (answered < count) {
    await expect.poll(() => waiting.length).toBeGreaterThan(0)
    for (const go of waiting.splice(0)) {
      go()
      answered += 1
    }
  }
  expect(new Set((await asked).map(({ status }) => status))).toEqual(new Set([200]))
  expect(most).toBe(DOOR_LIMITS.questionsAtOnceMax)
})

test('a thread that ends is started again on the same port, with what is in force', async () => {
  answer = certificate
  // As Node tells of what nobody caught in there; then it ends.
  threads.at(-1)!.emit('error', new Error('out of memory'))
  await threads.at(-1)!.terminate()
  await expect.poll(async () => (await enroll().catch(() => undefined))?.status, { timeout: 20_000 }).toBe(200)
  expect(threads).toHaveLength(2)
  expect((await ask('issuing-2/cacerts')).status).toBe(200)
  expect(logged).toEqual(expect.arrayContaining(['the thread of the enrollment door failed', 'the enrollment door serves again']))
})

test('a port that somebody else has is told as such', async () => {
  const other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  await expect(open((other.address() as AddressInfo).port)).rejects.toMatchObject({ code: 'port-in-use' })
  other.close()
})

test('a server certificate that cannot be used is refused before anything is given up', async () => {
  expect(() => door.prepare({ ...material(), key: 'no key' })).toThrow()
  door.prepare(material())()
  await door.refresh()
  expect((await ask('issuing-2/cacerts')).status).toBe(200)
})

test('nobody waits for a door that is closed, nor for a thread that is started again and never speaks', async () => {
  let isMute = false
  const closing = await openEnrollDoor({ listen: { host: '127.0.0.1', port: 0 }, tls: material(), enrollments, audit: { record: () => {} }, log: () => {} }, (start) => (isMute ? new Worker('setInterval(() => {}, 1_000)', { eval: true }) : begin(start)))
  isMute = true
  await threads.at(-1)!.terminate()
  await expect(closing.close()).resolves.toBeUndefined()
  await expect(closing.refresh()).resolves.toBeUndefined()
})

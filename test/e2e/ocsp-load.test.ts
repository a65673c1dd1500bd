// E30 under load: as many OCSP requests as the machine makes, from many addresses, while a device publishes. Every answer is right, memory
// stays bounded, and what the device says is acknowledged.

import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { connectAsync, type MqttClient } from 'mqtt'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { encodeExtension, encodeOid, TAG, tlv } from '../../src/x509/der.ts'
import { issuerHashes } from '../../src/x509/ocsp.ts'
import { decodePem } from '../../src/x509/pem.ts'
import { Program } from './program.ts'

const FLOOD = path.join(import.meta.dirname, 'ocsp-flood.ts')
const FLOOD_MS = 6_000
/** Of a server that answers and does nothing else; with the crowd beside it on the same cores. */
const ACKNOWLEDGED_MS = 2_000
const GROWTH_KB_MAX = 200 * 1_024

let program: Program
let client: MqttClient
beforeAll(async () => {
  program = new Program()
  await program.serve()
  for (const id of ['speaker', 'gone']) program.device(id)
  expect(program.run('cert', 'revoke', '--device', 'gone', '--yes', '--reason', 'keyCompromise').status).toBe(0)
  const file = (name: string): Buffer => readFileSync(path.join(program.home, 'bundles/speaker', name))
  client = await connectAsync({ protocol: 'mqtts', host: 'localhost', port: program.endpoints.mqtt.port, clientId: 'speaker', ca: file('ca.pem'), cert: Buffer.concat([file('device.pem'), file('chain.pem')]), key: file('device.key'), reconnectPeriod: 0, protocolVersion: 5 })
}, 60_000)
afterAll(async () => {
  await client.endAsync(true)
  await program[Symbol.asyncDispose]()
})

function requestFor(issuer: Uint8Array, serial: Uint8Array, nonce: boolean): string {
  const { name, key } = issuerHashes(issuer).sha256
  const id = tlv(TAG.sequence, tlv(TAG.sequence, encodeOid('2.16.840.1.101.3.4.2.1')), tlv(TAG.octetString, Buffer.from(name, 'hex')), tlv(TAG.octetString, Buffer.from(key, 'hex')), tlv(TAG.integer, serial))
  const extensions = nonce ? [tlv(0xa2, tlv(TAG.sequence, encodeExtension('1.3.6.1.5.5.7.48.1.2', false, tlv(TAG.octetString, randomBytes(32)))))] : []
  return Buffer.from(tlv(TAG.sequence, tlv(TAG.sequence, tlv(TAG.sequence, tlv(TAG.sequence, id)), ...extensions))).toString('base64')
}

const residentKb = (pid: number): number => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])

test.skipIf(process.platform !== 'linux')('a crowd that asks without a pause is answered rightly, and what a device publishes is acknowledged meanwhile (needs Linux: many loopback addresses, /proc)', async () => {
  const der = (file: string): Uint8Array => {
    const pem = decodePem(readFileSync(path.join(program.home, file), 'utf8'), 'CERTIFICATE')
    return pem.allow ? pem.value[0]! : new Uint8Array()
  }
  const [issuing, root] = [der('certs/local/issuing.pem'), der('certs/local/root.pem')]
  const serialOf = (id: string): Uint8Array => Buffer.from((program.json('cert', 'list', '--device', id) as { readonly items: readonly { readonly serial: string }[] }).items[0]!.serial, 'hex')
  const [good, gone, nobody] = [serialOf('speaker'), serialOf('gone'), Buffer.from('4dffffffffffffffffffffffffffffff', 'hex')]
  const asked = [false, true].flatMap((nonce) => [`${requestFor(issuing, good, nonce)},good`, `${requestFor(issuing, gone, nonce)},revoked`, `${requestFor(issuing, nobody, nonce)},unknown`, `${requestFor(root, good, nonce)},unauthorized`])
  const before = residentKb(program.endpoints.pid)

  const flood = spawn(process.execPath, [FLOOD, String(program.endpoints.pki.port), String(FLOOD_MS), ...asked], { stdio: ['ignore', 'pipe', 'inherit'] })
  let said = ''
  flood.stdout.on('data', (chunk: Buffer) => {
    said += chunk.toString()
  })
  const ended = new Promise<number | null>((resolve) => void flood.once('exit', resolve))
  const waits: number[] = []
  while (flood.exitCode === null && flood.signalCode === null) {
    const since = performance.now()
    await client.publishAsync('t/speaker/state', 'still here', { qos: 1 })
    waits.push(performance.now() - since)
  }
  expect(await ended).toBe(0)
  const { answers, seen } = JSON.parse(said) as { readonly answers: number; readonly perSecond: number; readonly seen: Readonly<Record<string, number>> }
  expect(Object.keys(seen).toSorted()).toEqual(['right: good', 'right: revoked', 'right: unauthorized', 'right: unknown'])
  expect(answers).toBeGreaterThan(1_000)
  expect(waits.length).toBeGreaterThan(10)
  expect(Math.max(...waits)).toBeLessThan(ACKNOWLEDGED_MS)
  expect(residentKb(program.endpoints.pid) - before).toBeLessThan(GROWTH_KB_MAX)
}, 60_000)

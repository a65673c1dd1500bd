// The demo over several starts: a start that was cut short is gone on with, and what an operator decided about a demo device
// neither fails a start nor is undone by one.

import { createHash } from 'node:crypto'
import { readFileSync, rmSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import { Program } from './e2e/program.ts'

test('the demo is kept, readdressed, made whole after a start that was cut short, and left out when refused', async () => {
  await using program = new Program()
  const file = (name: string): string => path.join(program.home, 'demo/demo-sensor', name)
  const digest = (name: string): string => createHash('sha256').update(readFileSync(file(name))).digest('hex')
  const held = (): string => `${digest('device.key')} ${digest('device.pem')}`
  const serials = (): number => (program.json('device', 'show', 'demo-sensor') as { certificates: unknown[] }).certificates.length
  const port = (): unknown => (JSON.parse(readFileSync(file('connection.json'), 'utf8')) as { port: unknown }).port
  await program.serve()
  const first = held()
  expect(port()).toBe(program.endpoints.mqtt.port)
  await program.stop()

  // Another port: the same key and certificate.
  await program.serve()
  expect(port()).toBe(program.endpoints.mqtt.port)
  expect(held()).toBe(first)
  await program.stop()

  // Cut short before the certificate was written: the same certificate, not a second one.
  for (const name of ['device.pem', 'connection.json']) rmSync(file(name))
  await program.serve()
  expect(held()).toBe(first)
  expect(serials()).toBe(1)

  // A whole bundle of a revoked device is nobody's to replace.
  expect(program.run('cert', 'revoke', '--device', 'demo-sensor', '--reason', 'keyCompromise', '--yes').status).toBe(0)
  await program.stop()
  await program.serve()
  expect(held()).toBe(first)
  expect(serials()).toBe(1)

  // What is missing of a retired one cannot be had: the server starts, and says so.
  expect(program.run('device', 'retire', 'demo-sensor', '--yes').status).toBe(0)
  await program.stop()
  rmSync(file('device.pem'))
  await program.serve()
  expect(program.output).toContain('no demo')
  expect(program.output).not.toContain('Try it')
})

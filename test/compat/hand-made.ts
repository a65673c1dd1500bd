// MQTT by hand over a tool that does no more than TLS: packets go in at one end, and what comes out is told apart again.

import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import mqttPacket, { type Packet } from 'mqtt-packet'
import type { Shown, Task } from './stage.ts'

const ANSWER_MS = 10_000

/** In the words of the standard. */
function wordsOf(packet: Packet): string {
  switch (packet.cmd) {
    case 'connack': return packet.returnCode === 0 ? 'connected' : `CONNACK return code ${packet.returnCode}`
    case 'suback': return packet.granted[0] === 0x80 ? 'SUBACK return code 0x80' : 'subscribed'
    case 'puback': return 'published'
    case 'publish': return `received ${packet.topic} ${packet.payload.toString()}`
    default: return packet.cmd
  }
}

/** Speaks over the standard input and output of the tool, a packet for each answer. What the tool itself says, there or in its log, comes first. */
export async function speakOver(tool: string, args: readonly string[], task: Task, log?: string): Promise<Shown> {
  const packets: Packet[] = [
    { cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clientId: task.clientId, clean: true, keepalive: 30 },
    ...(task.action === 'publish' ? [] : [{ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: task.topic, qos: 1 }] } as Packet]),
    ...(task.action === 'subscribe' ? [] : [{ cmd: 'publish', messageId: 2, topic: task.topic, payload: 'hello', qos: 1, dup: false, retain: false } as Packet]),
  ]
  const wanted = packets.length + (task.action === 'exchange' ? 1 : 0)
  const child = spawn(tool, args, { stdio: 'pipe' })
  const deadline = setTimeout(() => child.kill(), ANSWER_MS)
  const answers: string[] = []
  let said = ''
  const next = (): void => {
    const packet = packets.shift()
    if (packet !== undefined) child.stdin.write(mqttPacket.generate(packet))
    else if (answers.length >= wanted) child.kill()
  }
  const parser = mqttPacket.parser({ protocolVersion: 4 })
  parser.on('packet', (packet) => {
    answers.push(wordsOf(packet))
    next()
  })
  // Something else than MQTT came: its words are all there is.
  parser.on('error', () => child.kill())
  child.stdin.on('error', () => {})
  child.stdout.on('data', (chunk: Buffer) => void parser.parse(chunk))
  child.stderr.on('data', (chunk: Buffer) => void (said += chunk.toString()))
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  next()
  await ended
  clearTimeout(deadline)
  if (log !== undefined && existsSync(log)) said += readFileSync(log, 'utf8')
  const isWhole = answers.length === wanted && answers.every((answer) => !answer.includes('return code'))
  return { status: isWhole ? 0 : 1, output: `${said}${answers.join('\n')}` }
}

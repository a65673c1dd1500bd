// What a run prints at its end, as golden files: `npx vitest run test/device-sim -u` writes them anew, and a person reads the
// difference. And where it may have colours.

import { PassThrough } from 'node:stream'
import tty from 'node:tty'
import { afterEach, describe, expect, test, vi } from 'vitest'
import type { CaseResult } from '../../../device-sim/attacks/run.ts'
import type { FleetResult } from '../../../device-sim/fleet.ts'
import { casesText, fleetText, paperOf, type Paper } from '../../../device-sim/report/text.ts'

const paper: Paper = { columns: 140, colour: (_, text) => text }

const result = (changes: Partial<CaseResult>): CaseResult => ({
  case: 'T01', title: 'no client certificate', expected: 'closed without an MQTT byte', seen: 'closed without an answer (ECONNRESET)', reasons: ['tls-no-certificate'], verdict: 'ok', notes: [], durationMs: 12, ...changes,
})
const CASES: readonly CaseResult[] = [
  result({}),
  result({ case: 'T06', title: 'expired one second ago', verdict: 'not run', seen: '', reasons: [], notes: ['the issuing CA\'s key is not at hand'] }),
  result({ case: 'Q09', title: 'publish to another device\'s topic (QoS 0, 1, 2)', verdict: 'FAILED', seen: 'acknowledged 0x00, delivered to the backend', reasons: [], notes: ['QoS 1, MQTT 5: acknowledged 0x00, delivered to the backend', 'QoS 1, MQTT 5: the audit log has no record'] }),
  result({ case: 'D01', title: 'false server of another CA', expected: 'no CONNECT byte leaves the device', seen: '0 bytes left the device\u001B[2J', reasons: [], notes: ['mosquitto_sub not run: it is not installed'] }),
]

const FLEET: FleetResult = {
  devices: 50, enrolled: { ownRequest: 25, bundle: 24 }, connected: { 'MQTT 3.1.1': 25, 'MQTT 5': 24 },
  messages: { expected: 441, received: 440, lost: 1, duplicates: 0, misordered: 0, leaks: 0 }, strays: { sent: 49, refused: 24 },
  durationsMs: { enroll: 8_467, connect: 417, messages: 182 },
  faults: ['device 7 of 25 that enroll by device bundle: expected a certificate, seen: sallyport device bundle ended with 1', ...Array.from({ length: 25 }, (_, i) => `sim-1 was to hear 3 messages of sim-${i}, and heard 2`)],
  interrupted: false, ok: false,
}

test('the cases', async () => await expect(casesText(CASES, 4, paper)).toMatchFileSnapshot('../golden/cases.txt'))
test('the fleet', async () => await expect(fleetText(FLEET, paper)).toMatchFileSnapshot('../golden/fleet.txt'))

test('an interrupted run says how many of how many cases were finished, and calls nothing failed', () => {
  expect(casesText(CASES.slice(0, 1), 43, paper)).toMatch(/\n1 of 43 cases: 1 ok, 0 failed, 0 not run\n$/)
  expect(fleetText({ ...FLEET, faults: [], interrupted: true }, paper)).toMatch(/^fleet of 50 devices {2}interrupted\n/)
})

describe('colours', () => {
  afterEach(() => vi.unstubAllEnvs())
  const stream = (isTTY: boolean): NodeJS.WriteStream =>
    Object.assign(new PassThrough(), { isTTY, columns: 80, getColorDepth: () => tty.WriteStream.prototype.getColorDepth() }) as unknown as NodeJS.WriteStream
  const environment = (changes: Readonly<Record<string, string | undefined>>): void => {
    for (const [name, value] of Object.entries({ CI: undefined, FORCE_COLOR: undefined, NO_COLOR: undefined, NODE_DISABLE_COLORS: undefined, TERM: 'xterm-256color', ...changes })) vi.stubEnv(name, value)
  }

  test('are on a terminal, whose width is that of a line', () => {
    environment({})
    expect(paperOf(stream(true)).colour('red', 'x')).toBe('\u001B[31mx\u001B[39m')
    expect(paperOf(stream(true)).columns).toBe(80)
  })

  test('are not in a file or a pipe', () => {
    environment({})
    expect(paperOf(stream(false)).colour('red', 'x')).toBe('x')
  })

  test('are not where NO_COLOR is set', () => {
    environment({ NO_COLOR: '1' })
    expect(paperOf(stream(true)).colour('red', 'x')).toBe('x')
  })
})

// docs/troubleshooting.md has a chapter for every reason, in the order of the table: what happened, what the client sees and the fix are
// generated from it (`npx vitest run test/docs/troubleshooting.test.ts -u`), the likely causes and how to confirm them are written there
// by people, and kept. A new reason without causes is a red test; so are causes of a reason that is gone.

import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import { REASONS, STEPS, type Step, type WireAnswer } from '../../src/vocabulary.ts'
import { ROOT } from './pages.ts'

const FILE = 'docs/troubleshooting.md'
const hex = (code: number): string => `0x${code.toString(16).padStart(2, '0').toUpperCase()}`

/** Reasons that are said in HTTP alone, though they stand at a step of MQTT. */
const HTTP_ONLY = new Set(['websocket-upgrade', 'websocket-origin', 'publish-request', 'publish-origin', 'publish-busy', 'publish-throttled'])
/** Of the protocol, and said when a message is posted, too. */
const OVER_HTTPS = new Set(['packet-too-large', 'quota-exceeded'])
/** What ends a session that there is. */
const ENDINGS = new Set(['ended-by-operator', 'server-shutting-down'])

const connack = ({ connack3, reason5, http }: WireAnswer): string => `CONNACK ${connack3} (MQTT 3.1.1) or ${hex(reason5)} (MQTT 5); over HTTPS ${http}`
const inHttp = ({ http }: WireAnswer, code: string): string => `HTTP ${http}, with the code \`${code}\``

/** What the client sees, by the step that says no. */
const SEEN = {
  source: () => 'the connection is closed before TLS',
  tls: ({ http }) => `a TLS alert, or the connection is closed during or right after the handshake; over HTTPS, where the handshake goes on, ${http}`,
  certificate: ({ http }) => `the connection is closed right after the handshake, without a CONNACK; over HTTPS ${http}`,
  registry: (answer) => `${connack(answer)}; a session that there is ends with DISCONNECT ${hex(answer.reason5)}, or 0x98 where an operator did it (MQTT 5), or the connection is closed (MQTT 3.1.1)`,
  connect: (answer, code) => {
    if (HTTP_ONLY.has(code)) return inHttp(answer, code)
    if (code === 'connect-timeout') return 'the connection is closed'
    return ENDINGS.has(code) ? `DISCONNECT ${hex(answer.reason5)} (MQTT 5), or the connection is closed (MQTT 3.1.1)` : connack(answer)
  },
  protocol: (answer, code) => {
    if (code === 'protocol-version' || code === 'authentication-method') return `CONNACK ${code === 'protocol-version' ? `${answer.connack3} or ` : ''}${hex(answer.reason5)}, or the connection is closed`
    return `DISCONNECT ${hex(answer.reason5)} (MQTT 5), or the connection is closed (MQTT 3.1.1, and before the CONNECT is answered)${OVER_HTTPS.has(code) ? `; over HTTPS ${answer.http}` : ''}`
  },
  policy: (answer, code) => {
    if (code.startsWith('receive')) return 'nothing: the message is not delivered'
    if (/^(subscribe|share|filter)/.test(code)) return `SUBACK ${hex(answer.reason5)} (MQTT 5) or 0x80 (MQTT 3.1.1)`
    return `PUBACK or PUBREC ${hex(answer.reason5)} with this sentence (MQTT 5); MQTT 3.1.1 has no word for it: acknowledged, and not delivered; QoS 0: nothing; over HTTPS ${answer.http}`
  },
  enrollment: inHttp,
  api: inHttp,
} as const satisfies Record<Step, (answer: WireAnswer, code: string) => string>

const CHAPTERS = {
  source: 'Before TLS: too many at once',
  tls: 'In the handshake',
  certificate: 'The certificate by itself',
  registry: 'What the registry says of it',
  connect: 'CONNECT, and what ends a connection',
  protocol: 'The protocol',
  policy: 'Topics',
  enrollment: 'Enrollment, and changes of devices',
  api: 'The admin API and the console',
} as const satisfies Record<Step, string>

const entries: readonly (readonly [string, WireAnswer])[] = Object.entries(REASONS)
const written = readFileSync(path.join(ROOT, FILE), 'utf8')
const intro = written.slice(0, written.indexOf(`## ${CHAPTERS.source}\n`))

/** What people have written about a reason: between what it says and the fix. */
function causesOf(code: string): string | undefined {
  const [, section] = written.split(`\n### ${code}\n`, 2)
  return /\n\*\*Seen:\*\* [^\n]*\n([\s\S]*?)\n\*\*Fix:\*\* /.exec(section?.split('\n### ', 1)[0] ?? '')?.[1]?.trim()
}

function page(): string {
  const chapter = (step: Step): string => {
    const sections = entries.filter(([, answer]) => answer.step === step).map(([code, answer]) => `### ${code}\n\n${answer.sentence}\n**Seen:** ${SEEN[step](answer, code)}.\n\n${causesOf(code) ?? ''}\n\n**Fix:** ${answer.fix}\n`)
    return `## ${CHAPTERS[step]}\n\n${sections.join('\n')}`
  }
  return `${intro}${STEPS.map(chapter).join('\n')}`
}

test('docs/troubleshooting.md has every reason of the table, as the table has it', async () => {
  await expect(page()).toMatchFileSnapshot(path.join(ROOT, FILE))
})

test('every reason has its causes, the likeliest first, and how to confirm them', () => {
  const bare = entries.filter(([code]) => !/^1\. .+\.$/m.test(causesOf(code) ?? '') || !/^\*\*Confirm:\*\* .+\.$/m.test(causesOf(code) ?? '')).map(([code]) => code)
  expect(bare).toEqual([])
})

test('no reason is explained that is none', () => {
  expect([...written.matchAll(/^### (.*)$/gm)].map((found) => found[1]).filter((code) => !Object.hasOwn(REASONS, code ?? ''))).toEqual([])
})

test('what is said to be printed when something fails is printed somewhere in the program', () => {
  const source = readdirSync(path.join(ROOT, 'src'), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts')).map((name) => readFileSync(path.join(ROOT, 'src', name), 'utf8')).join('')
  const [, table = ''] = /## When the server does not start[\s\S]*?\n\|---\|---\|---\|\n([\s\S]*?)\n\n/.exec(written) ?? []
  const said = table.split('\n').flatMap((row) => [...(row.split(' | ')[0] ?? '').matchAll(/`([^`]+)`/g)].flatMap((found) => (found[1] ?? '').replace(/^sallyport\.yaml:\d+:\d+: /, '').split('…')).map((part) => part.trim()).filter((part) => part.length > 3))
  expect(said.length).toBeGreaterThan(12)
  expect(said.filter((part) => !source.includes(part))).toEqual([])
})

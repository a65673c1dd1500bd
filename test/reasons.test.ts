// docs/reasons.md is generated from the reason table: `npx vitest run test/reasons.test.ts -u` writes it anew, and CI fails
// when it is stale. The table's own promises are tested here too.

import { expect, test } from 'vitest'
import { REASONS, STEPS, type WireAnswer } from '../src/vocabulary.ts'

const hex = (code: number): string => `0x${code.toString(16).padStart(2, '0').toUpperCase()}`

function page(): string {
  const entries: readonly (readonly [string, WireAnswer])[] = Object.entries(REASONS)
  const sections = STEPS.map((step) => {
    const rows = entries.filter(([, a]) => a.step === step).map(([code, a]) => {
      const silent = step === 'source' || step === 'tls' || step === 'certificate'
      return `| [\`${code}\`](troubleshooting.md#${code}) | ${silent ? '—' : a.connack3} | ${silent ? '—' : hex(a.reason5)} | ${a.http} | ${a.sentence} | ${a.fix} |`
    })
    return `## ${step}\n\n| code | 3.1.1 | MQTT 5 | HTTP | what happened | what to do |\n|---|---|---|---|---|---|\n${rows.join('\n')}\n`
  })
  return `# Reason codes

Generated from \`src/vocabulary.ts\`; do not edit. Every refusal has one of these codes, in the audit log, in \`why\`, and where the wire
has room for it. Steps are in the order in which a request meets them. At \`source\`, \`tls\` and \`certificate\` the connection is closed
without one MQTT byte; a WebSocket upgrade is refused in HTTP. "3.1.1" is the CONNACK return code, "MQTT 5" the reason code in CONNACK,
SUBACK, PUBACK, PUBREC or DISCONNECT. Each code leads to its causes, and how to confirm them.

${sections.join('\n')}`
}

test('docs/reasons.md is what the table says', async () => {
  await expect(page()).toMatchFileSnapshot('../docs/reasons.md')
})

test('every reason has a sentence and a fix that a person can act on', () => {
  for (const [code, answer] of Object.entries(REASONS)) {
    expect(code).toMatch(/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/)
    expect(answer.sentence, code).toMatch(/^[A-Z].*\.$/)
    expect(answer.fix, code).toMatch(/^[A-Z].*\.$/)
  }
})

test('every MQTT 5 reason code is a refusal', () => {
  for (const [code, answer] of Object.entries(REASONS)) expect(answer.reason5, code).toBeGreaterThanOrEqual(0x80)
})

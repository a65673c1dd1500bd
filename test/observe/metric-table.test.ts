// docs/metrics.md is generated from the table of metrics: `npx vitest run test/observe/metric-table.test.ts -u` writes it anew.

import { expect, test } from 'vitest'
import { METRICS, SECONDS, type MetricRow } from '../../src/observe/metric-table.ts'

function page(): string {
  const entries: readonly (readonly [string, MetricRow])[] = Object.entries(METRICS)
  const rows = entries.map(([name, { type, labels, help }]) => `| \`${name}\` | ${type} | ${labels.map((label) => `\`${label}\``).join(', ')} | ${help} |`)
  return `# Metrics

Generated from \`src/observe/metric-table.ts\`; do not edit. Served in the text format of Prometheus at \`/metrics\` ([observability.md](observability.md)). No label has a value that a
device chooses, so their number does not grow with the fleet. Histograms have buckets up to ${SECONDS.join(', ')} seconds. Beside these there are the usual \`process_*\` and
\`nodejs_*\` of the Node.js client: memory, descriptors, event loop lag and utilization, garbage collection.

| name | type | labels | what it says |
|---|---|---|---|
${rows.join('\n')}
`
}

test('docs/metrics.md is what the table says', async () => {
  await expect(page()).toMatchFileSnapshot('../../docs/metrics.md')
})

// What a run of cases did to everybody else, in a few lines below their table.

import type { Aftermath } from '../attacks/aftermath.ts'
import type { Paper } from './text.ts'

const ms = (value: number): string => `${value.toFixed(1)} ms`
const mebibytes = (bytes: number): string => `${Math.round(bytes / 1_048_576)} MiB`

export function aftermathText({ canary, server, faults }: Aftermath, paper: Paper): string {
  const { calm, during, slowed } = canary
  const [most] = slowed.toSorted((a, b) => b.p99Ms - a.p99Ms)
  const slower = most === undefined ? '' : `; above twice the calm during ${slowed.length} ${slowed.length === 1 ? 'case' : 'cases'}, most of all during ${most.case} (${ms(most.p99Ms)})`
  const lines = [
    `canary  p99 ${ms(calm.p99Ms)} before, ${ms(during.p99Ms)} meanwhile, the slowest ${ms(during.maxMs)}${slower}`,
    ...(server === undefined ? [] : [`server  descriptors ${server.before.descriptors} → ${server.after.descriptors}, ${server.before.sessions === undefined || server.after.sessions === undefined ? '' : `sessions ${server.before.sessions} → ${server.after.sessions}, `}memory ${mebibytes(server.before.residentBytes)} → ${mebibytes(server.after.residentBytes)}`]),
    ...faults.map((fault) => paper.colour('red', fault)),
  ]
  return lines.map((line) => `${line}\n`).join('')
}

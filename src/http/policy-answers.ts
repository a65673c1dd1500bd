// The answers of the admin API about the policy, as schemas.

import { z } from 'zod'
import { BECAUSE } from '../core/policy-desk.ts'
import { CONDITION_NAMES } from '../core/policy/conditions.ts'
import { ON_DENY } from '../core/policy/document.ts'
import { PERMISSION_KINDS } from '../core/policy/permissions.ts'
import { aCount, aDevice, aGroup, anActor, anInstant, aPosition, aReason } from './shapes.ts'

const qos = z.union([z.literal(0), z.literal(1), z.literal(2)])
const generation = z.number().int()
const sha256 = z.string()
const condition = z.strictObject({ condition: z.enum(CONDITION_NAMES), wanted: z.string(), holds: z.enum(['yes', 'no', 'unknown']), seen: z.string().exactOptional() }).meta({ id: 'Condition' })
const obstacle = z.strictObject({
  kind: z.enum(['target', 'state', 'condition', 'unresolved', 'topic', 'wildcard', 'qos', 'retain', 'size', 'share', 'client-id', 'deny']),
  message: z.string(),
  holdsFrom: anInstant.exactOptional(),
  rule: z.string().exactOptional(),
  at: aPosition.exactOptional(),
})

export const explanation = z.strictObject({
  effect: z.enum(['allow', 'deny']),
  reason: z.union([aReason, z.literal('granted')]),
  rule: z.string().exactOptional(),
  at: aPosition.exactOptional(),
  bindings: z.record(z.string(), z.string()),
  generation,
  grantedQos: qos.exactOptional(),
  onDeny: z.enum(ON_DENY).exactOptional(),
  conditions: z.array(condition).exactOptional(),
  until: anInstant.exactOptional(),
  depends: z.array(z.strictObject({ rule: z.string(), at: aPosition, conditions: z.array(condition) })).exactOptional(),
  nearest: z.array(z.strictObject({ rule: z.string().exactOptional(), at: aPosition.exactOptional(), line: z.string(), obstacles: z.array(obstacle) })).exactOptional(),
}).meta({ id: 'Explanation' })

/** Of an answer about a part of the fleet. */
const scanned = { generation, devices: aCount, next: z.string().exactOptional() }

export const whoCan = z.strictObject({
  ...scanned,
  allowed: aCount,
  rules: z.record(z.string(), z.strictObject({ at: aPosition, devices: aCount })),
  items: z.array(z.strictObject({ device: aDevice, rule: z.string(), at: aPosition, grantedQos: qos.exactOptional(), depends: z.literal(true).exactOptional() })),
}).meta({ id: 'WhoCan' })

export const lintPart = z.strictObject({
  ...scanned,
  findings: z.array(z.strictObject({ code: z.string(), severity: z.enum(['error', 'warning']), rule: z.string(), at: aPosition, message: z.string(), devices: aCount.exactOptional(), examples: z.array(aDevice).exactOptional() })).exactOptional(),
  idle: z.array(z.string()),
  unknown: z.array(z.strictObject({ rule: z.string(), variable: z.string(), effect: z.enum(['grant-absent', 'deny-widened']), devices: aCount, examples: z.array(aDevice) })),
}).meta({ id: 'LintPart' })

const ruleChange = z.strictObject({
  kind: z.enum(['grant', 'deny', 'identity', 'group', 'setting']),
  id: z.string(),
  change: z.enum(['added', 'removed', 'changed']),
  at: aPosition.exactOptional(),
  removed: z.array(z.string()),
  added: z.array(z.string()),
}).meta({ id: 'RuleChange' })

const permission = z.strictObject({ kind: z.enum(PERMISSION_KINDS), topic: z.string(), terms: z.string().exactOptional(), instead: z.string().exactOptional(), rule: z.string(), at: aPosition, deny: z.literal(true).exactOptional() }).meta({ id: 'Permission' })
const heldFilter = z.strictObject({ filter: z.string(), qos })
const sessionDiff = z.strictObject({
  clientId: z.string(),
  isConnected: z.boolean(),
  ends: aReason.exactOptional(),
  lost: z.array(z.strictObject({ filter: z.string(), reason: aReason, rule: z.string().exactOptional(), at: aPosition.exactOptional() })),
  lowered: z.array(heldFilter),
  narrowed: z.array(z.string()),
})
const deviceDiff = z.strictObject({
  device: aDevice,
  groups: z.array(aGroup),
  lost: z.array(permission),
  gained: z.array(permission),
  connect: z.enum(['lost', 'gained']).exactOptional(),
  sessions: z.array(sessionDiff),
  more: aCount.exactOptional(),
}).meta({ id: 'DeviceDiff' })
const tally = z.record(z.string(), z.strictObject({ lost: aCount, gained: aCount }))
const fleetCounts = z.strictObject({
  devices: aCount, concerned: aCount, losing: aCount, gaining: aCount, shutOut: aCount, letIn: aCount, sessionsEnding: aCount, subscriptionsLost: aCount, subscriptionsNarrowed: aCount,
  rules: tally,
  groups: tally,
}).meta({ id: 'FleetCounts' })
export const policyDiff = z.strictObject({
  generation, sha256,
  changes: z.array(ruleChange),
  fleet: z.strictObject({ ...scanned, counts: fleetCounts, items: z.array(deviceDiff) }).exactOptional(),
}).meta({ id: 'PolicyDiff' })

export const policyShown = z.strictObject({ generation, sha256, files: z.array(z.strictObject({ name: z.string(), text: z.string() })), edited: z.boolean() }).meta({ id: 'PolicyShown' })
export const policyHistory = z.strictObject({
  items: z.array(z.strictObject({
    generation, at: anInstant, actor: anActor, because: z.enum(BECAUSE), of: generation.exactOptional(), sha256,
    files: z.array(z.strictObject({ name: z.string(), sha256, bytes: aCount })),
    kept: z.boolean(),
  })),
  generation,
}).meta({ id: 'PolicyHistory' })
export const applied = z.strictObject({ generation, sha256, changed: z.boolean(), changes: z.array(ruleChange) }).meta({ id: 'Applied' })

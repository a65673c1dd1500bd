// The rows of the route table about the policy. What only asks is a POST where files are asked about: they do not fit into a URL.

import { ADMIN_PATHS } from '../vocabulary.ts'
import { HTTP_LIMITS } from '../http-limits.ts'
import * as answers from './policy-answers.ts'
import * as requests from './policy-requests.ts'
import { route } from './route.ts'

const bodyBytesMax = HTTP_LIMITS.policyBodyBytesMax

export const POLICY_ROUTES = {
  policy: route({
    method: 'GET', path: ADMIN_PATHS.policy, role: 'viewer', tag: 'policy',
    summary: 'Shows the policy in force: its files, and whether those on the disk are others.',
    answer: answers.policyShown,
    revisionOf: ({ generation }) => generation,
    act: ({ desk }) => desk.policy(),
  }),
  applyPolicy: route({
    method: 'POST', path: ADMIN_PATHS.policy, role: 'admin', tag: 'policy', bodyBytesMax,
    summary: 'Puts a policy in force: these files, those on the disk, or those of an earlier generation. A dry run checks and compares.',
    body: requests.apply, answer: answers.applied, conditional: true, reasons: ['revision-conflict', 'policy-edited', 'policy-cuts-all', 'generation-unknown'],
    example: { body: { rollback: 1, dryRun: true } },
    revisionOf: ({ generation }) => generation,
    act: ({ desk, body, revision }) => desk.applyPolicy({ ...body, base: revision ?? body.base }),
  }),
  policyHistory: route({
    method: 'GET', path: ADMIN_PATHS.policyHistory, role: 'viewer', tag: 'policy',
    summary: 'Lists the policies that were in force, newest first.',
    answer: answers.policyHistory,
    act: ({ desk }) => desk.policyHistory(),
  }),
  explain: route({
    method: 'POST', path: ADMIN_PATHS.policyExplain, role: 'viewer', tenants: 'own', tag: 'policy', bodyBytesMax,
    summary: 'Says whether a device may do something, by which rule, and what came nearest where it may not.',
    body: requests.question, answer: answers.explanation, reasons: ['device-not-found'],
    example: { body: { device: 'pump-17', publish: 'devices/pump-17/up' } },
    act: ({ desk, body }) => desk.explain(body),
  }),
  whoCan: route({
    method: 'POST', path: ADMIN_PATHS.policyWhoCan, role: 'viewer', tag: 'policy', bodyBytesMax,
    summary: 'Lists the devices that may do something, a part of the fleet at a time.',
    body: requests.whoCan, answer: answers.whoCan,
    example: { body: { publish: 'devices/pump-17/up' } },
    act: ({ desk, body }) => desk.whoCan(body),
  }),
  diffPolicy: route({
    method: 'POST', path: ADMIN_PATHS.policyDiff, role: 'viewer', tag: 'policy', bodyBytesMax,
    summary: 'Compares two policies, and says what the difference means to the fleet, a part of it at a time.',
    body: requests.diff, answer: answers.policyDiff, reasons: ['generation-unknown'],
    example: { body: { fleet: true } },
    act: ({ desk, body }) => desk.diffPolicy(body),
  }),
  lintFleet: route({
    method: 'POST', path: ADMIN_PATHS.policyLint, role: 'viewer', tag: 'policy', bodyBytesMax,
    summary: 'Finds what a policy says and hardly ever means, rules that concern no device, and variables that devices do not have, a part of the fleet at a time.',
    body: requests.lint, answer: answers.lintPart,
    act: ({ desk, body }) => desk.lintFleet(body),
  }),
} as const

// The rows of the route table about webhooks, with what they take and answer.

import { z } from 'zod'
import { ADMIN_PATHS } from '../vocabulary.ts'
import { WEBHOOK_LIMITS } from '../feed-limits.ts'
import { FEED_KINDS } from '../core/feed.ts'
import { route } from './route.ts'
import { aCount, aDuration, anInstant, listOf } from './shapes.ts'

const NAME_CHARS_MAX = 64
const kinds = z.array(z.enum(FEED_KINDS)).max(FEED_KINDS.length)
const params = z.strictObject({ webhook: z.string().max(NAME_CHARS_MAX) })
const newWebhook = z.strictObject({ name: z.string().max(NAME_CHARS_MAX).optional(), url: z.string().max(WEBHOOK_LIMITS.urlCharsMax), kinds: kinds.default([]) })
const retry = z.strictObject({ letter: z.number().int().min(1).optional() })

const webhook = z.strictObject({
  name: z.string(), url: z.string(), kinds: kinds.meta({ description: 'All, where none are named.' }), createdAt: anInstant,
  told: z.number().int().meta({ description: 'The last record of the audit log that it was told, or that was not for it.' }),
  behind: aCount, dead: aCount,
  failing: z.strictObject({ since: anInstant, attempts: aCount, because: z.string(), nextAt: anInstant.exactOptional() }).exactOptional(),
}).meta({ id: 'Webhook' })
const attempt = z.strictObject({
  at: anInstant, number: z.number().int().exactOptional(), attempt: z.number().int(), outcome: z.enum(['delivered', 'refused', 'unavailable']), status: z.number().int().exactOptional(), because: z.string().exactOptional(), ms: aDuration,
}).meta({ id: 'WebhookAttempt' })
const deliveries = z.strictObject({
  recent: z.array(attempt).meta({ description: 'Since this server runs, newest first.' }),
  dead: z.array(z.strictObject({ id: z.number().int(), number: z.number().int(), at: anInstant, attempts: z.number().int(), because: z.string() })).meta({ description: 'What was given up, oldest first.' }),
}).meta({ id: 'WebhookDeliveries' })

export const WEBHOOK_ROUTES = {
  webhooks: route({
    method: 'GET', path: ADMIN_PATHS.webhooks, role: 'viewer', tag: 'webhooks',
    summary: 'Lists the webhooks: who is told what, how far it is, and what does not arrive.',
    answer: listOf(webhook).meta({ id: 'Webhooks' }),
    act: async ({ desk }) => ({ items: await desk.webhooks() }),
  }),
  addWebhook: route({
    method: 'POST', path: ADMIN_PATHS.webhooks, role: 'admin', tag: 'webhooks', status: 201,
    summary: 'Tells a URL what happens from now on. The secret of its signatures is shown now and never again.',
    body: newWebhook, answer: z.strictObject({ webhook, secret: z.string() }).meta({ id: 'WebhookMade' }),
    reasons: ['webhook-url-invalid', 'webhook-address-internal', 'webhook-exists', 'webhooks-limit'],
    example: { body: { name: 'pager', url: 'https://hooks.example.org/fleet', kinds: ['refusal', 'detection'] } },
    act: ({ desk, body }) => desk.addWebhook(body),
  }),
  removeWebhook: route({
    method: 'DELETE', path: ADMIN_PATHS.webhook, role: 'admin', tag: 'webhooks',
    summary: 'Tells it nothing more, and forgets what it was not told.',
    params, answer: z.strictObject({ removed: z.string() }), reasons: ['webhook-not-found'],
    act: async ({ desk, params: { webhook: name } }) => {
      await desk.removeWebhook(name)
      return { removed: name }
    },
  }),
  testWebhook: route({
    method: 'POST', path: ADMIN_PATHS.webhookTest, role: 'operator', tag: 'webhooks',
    summary: 'Sends it a message that says it is a test, and answers what became of it.',
    params, answer: attempt, reasons: ['webhook-not-found'],
    act: ({ desk, params: { webhook: name } }) => desk.testWebhook(name),
  }),
  webhookDeliveries: route({
    method: 'GET', path: ADMIN_PATHS.webhookDeliveries, role: 'viewer', tag: 'webhooks',
    summary: 'Shows the last attempts, and the messages that were given up.',
    params, answer: deliveries, reasons: ['webhook-not-found'],
    act: ({ desk, params: { webhook: name } }) => desk.webhookDeliveries(name),
  }),
  retryWebhook: route({
    method: 'POST', path: ADMIN_PATHS.webhookRetry, role: 'operator', tag: 'webhooks',
    summary: 'Sends what was given up once more, oldest first, until one does not arrive.',
    params, body: retry, answer: z.strictObject({ delivered: aCount, left: aCount, because: z.string().exactOptional() }).meta({ id: 'WebhookRetried' }), reasons: ['webhook-not-found'],
    act: ({ desk, params: { webhook: name }, body: { letter } }) => desk.retryWebhook(name, letter),
  }),
} as const

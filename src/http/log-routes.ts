// The rows of the route table about the log of the running server: how much each part of it says, for a while.

import { z } from 'zod'
import { ADMIN_PATHS } from '../vocabulary.ts'
import { LOG_LIMITS } from '../observe-limits.ts'
import { LOG_LEVELS, LOG_ROOMS } from '../core/log-levels.ts'
import { route } from './route.ts'
import { anInstant, listOf } from './shapes.ts'

const room = z.enum(LOG_ROOMS)
const level = z.enum(LOG_LEVELS)
const logLevels = listOf(z.strictObject({
  room, level, configured: level,
  until: anInstant.exactOptional().meta({ description: 'When the level of the configuration is back. Absent where it is that one.' }),
})).meta({ id: 'LogLevels' })
const order = z.strictObject({
  level,
  room: room.optional().meta({ description: 'All, where none is named.' }),
  forMs: z.number().int().min(1).max(LOG_LIMITS.changedMsMax).default(LOG_LIMITS.changedMs).meta({ description: 'Then the level of the configuration is back.' }),
})

export const LOG_ROUTES = {
  logLevels: route({
    method: 'GET', path: ADMIN_PATHS.logLevels, role: 'viewer', tag: 'server',
    summary: 'Shows how much each part of the server says in its log, and until when.',
    answer: logLevels,
    act: async ({ desk }) => ({ items: await desk.logLevels() }),
  }),
  changeLogLevel: route({
    method: 'POST', path: ADMIN_PATHS.logLevels, role: 'admin', tag: 'server',
    summary: 'Has the server, or a part of it, say more or less for a while.',
    body: order, answer: logLevels, example: { body: { level: 'debug', room: 'broker', forMs: 900_000 } },
    act: async ({ desk, body }) => ({ items: await desk.changeLogLevel(body) }),
  }),
  resetLogLevels: route({
    method: 'DELETE', path: ADMIN_PATHS.logLevels, role: 'admin', tag: 'server',
    summary: 'Has the server say what its configuration says, at once.',
    answer: logLevels,
    act: async ({ desk }) => ({ items: await desk.resetLogLevels() }),
  }),
} as const

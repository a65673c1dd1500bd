// The rows about the console itself: links that open it, and the sessions that were opened so.

import { z } from 'zod'
import { ADMIN_PATHS } from '../vocabulary.ts'
import * as requests from './requests.ts'
import { route, type RouteTable } from './route.ts'
import { anInstant, listOf } from './shapes.ts'

const link = z.strictObject({ url: z.string(), expiresAt: anInstant }).meta({ id: 'ConsoleLink' })
const session = z.strictObject({ id: z.string(), openedAt: anInstant, seenAt: anInstant, endsAt: anInstant, source: z.string(), agent: z.string() }).meta({ id: 'ConsoleSession' })

export const CONSOLE_ROUTES = {
  makeConsoleLink: route({
    method: 'POST', path: ADMIN_PATHS.consoleLinks, role: 'admin', tag: 'console',
    summary: 'Makes a link that opens the console once, in a browser on the machine of the server.',
    answer: link,
    act: ({ desk }) => desk.makeConsoleLink(),
  }),
  consoleSessions: route({
    method: 'GET', path: ADMIN_PATHS.consoleSessions, role: 'admin', tag: 'console',
    summary: 'Lists the sessions of the console that were opened by a link.',
    answer: listOf(session),
    act: async ({ desk }) => ({ items: await desk.consoleSessions() }),
  }),
  endConsoleSession: route({
    method: 'POST', path: ADMIN_PATHS.consoleSessionEnd, role: 'admin', tag: 'console',
    summary: 'Ends a session of the console: whoever uses it is signed out at the next request.',
    params: z.strictObject({ session: requests.sessionId }), answer: z.strictObject({ ended: z.string() }), reasons: ['console-session-unknown'],
    act: async ({ desk, params: { session: id } }) => {
      await desk.endConsoleSession(id)
      return { ended: id }
    },
  }),
} as const satisfies RouteTable

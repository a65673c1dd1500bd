// The rows about the console itself: links that open it, the sessions that were opened so, and the reports that it shows.

import { z } from 'zod'
import { ADMIN_PATHS } from '../vocabulary.ts'
import * as requests from './requests.ts'
import { route, type RouteTable } from './route.ts'
import { aCount, anInstant, listOf } from './shapes.ts'

const link = z.strictObject({ url: z.string(), expiresAt: anInstant }).meta({ id: 'ConsoleLink' })
const session = z.strictObject({ id: z.string(), openedAt: anInstant, seenAt: anInstant, endsAt: anInstant, source: z.string(), agent: z.string() }).meta({ id: 'ConsoleSession' })
const report = z.strictObject({ name: z.string(), bytes: aCount, at: anInstant }).meta({ id: 'ReportListed' })

export const CONSOLE_ROUTES = {
  reports: route({
    method: 'GET', path: ADMIN_PATHS.reports, role: 'viewer', tag: 'console',
    summary: 'Lists the reports of the simulator in the folder reports of the home, newest first.',
    answer: listOf(report),
    act: async ({ desk }) => ({ items: await desk.reports() }),
  }),
  report: route({
    method: 'GET', path: ADMIN_PATHS.report, role: 'viewer', tag: 'console',
    summary: 'Shows a report of the simulator, as the run wrote it.',
    params: z.strictObject({ report: requests.reportName }), answer: z.record(z.string(), z.unknown()).meta({ id: 'Report' }), reasons: ['report-not-found'],
    act: ({ desk, params: { report: name } }) => desk.report(name),
  }),
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

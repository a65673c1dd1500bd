// The rows of the route table about what is and what was: connections, refusals, the overview, and the page of a device.

import { z } from 'zod'
import { ADMIN_PATHS } from '../vocabulary.ts'
import * as answers from './feed-answers.ts'
import * as feedRequests from './feed-requests.ts'
import * as requests from './requests.ts'
import { route, streamRoute } from './route.ts'

const params = z.strictObject({ id: requests.deviceId })

export const FEED_ROUTES = {
  overview: route({
    method: 'GET', path: ADMIN_PATHS.overview, role: 'viewer', tag: 'live',
    summary: 'Says how things stand: devices, connections, the refusals of the last day, and what waits for a person.',
    answer: answers.overview, reasons: ['registry-unavailable'],
    act: ({ desk }) => desk.overview(),
  }),
  connections: route({
    method: 'GET', path: ADMIN_PATHS.connections, role: 'viewer', tenants: 'own', tag: 'live',
    summary: 'Lists who is connected, in the order of device and client id, in pages.',
    query: feedRequests.connections, answer: answers.connectionPage, example: { query: 'group=sensors&limit=100' },
    act: ({ desk, query }) => desk.connections(query),
  }),
  endConnection: route({
    method: 'POST', path: ADMIN_PATHS.connectionEnd, role: 'operator', tenants: 'own', tag: 'live',
    summary: 'Ends a connection. The device may come back; suspend it to keep it out.',
    params: z.strictObject({ connection: feedRequests.connection }), answer: answers.connectionEnded, reasons: ['connection-not-found'],
    act: ({ desk, params: { connection } }) => desk.endConnection(connection),
  }),
  refusals: route({
    method: 'GET', path: ADMIN_PATHS.refusals, role: 'viewer', tenants: 'own', tag: 'live',
    summary: 'Lists refusals, newest first, in pages, as far back as the server remembers them.',
    query: feedRequests.refusals, answer: answers.refusalPage, example: { query: 'step=tls&limit=100' },
    act: ({ desk, query }) => desk.refusals(query),
  }),
  refusalGroups: route({
    method: 'GET', path: ADMIN_PATHS.refusalGroups, role: 'viewer', tenants: 'own', tag: 'live',
    summary: 'Counts refusals of one reason and one peer together, the most frequent first.',
    query: feedRequests.refusalGroups, answer: answers.refusalGroups, example: { query: 'reason=certificate-expired' },
    act: ({ desk, query }) => desk.refusalGroups(query),
  }),
  refusal: route({
    method: 'GET', path: ADMIN_PATHS.refusal, role: 'viewer', tenants: 'own', tag: 'live',
    summary: 'Shows a refusal: all that is known of it, the way that the connection took, and what is similar.',
    params: z.strictObject({ refusal: feedRequests.refusal }), answer: answers.refusalDetail, reasons: ['refusal-not-found'],
    act: ({ desk, params: { refusal } }) => desk.refusal(refusal),
  }),
  events: streamRoute({
    method: 'GET', path: ADMIN_PATHS.events, role: 'viewer', tenants: 'own', tag: 'live', media: 'text/event-stream',
    summary: 'Tells what happens, as it happens: Server-Sent Events, each a record of the audit log under its number there. Goes on behind Last-Event-ID; a `gap` says where it cannot.',
    query: feedRequests.events, reasons: ['listeners-limit'], example: { query: 'kinds=connection,refusal' },
    open: async ({ listen, header, query: { kinds, device, after } }) => listen({ kinds, device, after: feedRequests.lastEventOf(header('last-event-id')) ?? after }),
  }),
  deviceSessions: route({
    method: 'GET', path: ADMIN_PATHS.deviceSessions, role: 'viewer', tenants: 'own', tag: 'devices',
    summary: 'Shows the sessions of a device: those that are connected, and those that wait for it.',
    params, answer: answers.deviceSessions, reasons: ['device-not-found'],
    act: ({ desk, params: { id } }) => desk.deviceSessions(id),
  }),
  deviceTopics: route({
    method: 'GET', path: ADMIN_PATHS.deviceTopics, role: 'viewer', tenants: 'own', tag: 'devices',
    summary: 'Shows what the policy lets a device publish and hear, line by line, and which rule says so where.',
    params, answer: answers.deviceTopics, reasons: ['device-not-found'],
    act: ({ desk, params: { id } }) => desk.deviceTopics(id),
  }),
  deviceTimeline: route({
    method: 'GET', path: ADMIN_PATHS.deviceTimeline, role: 'viewer', tenants: 'own', tag: 'devices',
    summary: 'Shows the life of the certificates of a device, newest first: issued, first used, superseded, revoked.',
    params, answer: answers.deviceTimeline, reasons: ['device-not-found'],
    act: async ({ desk, params: { id } }) => ({ items: await desk.deviceTimeline(id) }),
  }),
} as const

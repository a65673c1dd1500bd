// The rows of the route table about devices: registering, looking at, describing, enrolling them, and changing what they may.

import { z } from 'zod'
import { ADMIN_PATHS } from '../vocabulary.ts'
import { HTTP_LIMITS } from '../http-limits.ts'
import { AUDIT_LIMITS } from '../limits.ts'
import type { Desk } from '../core/desk.ts'
import { printable } from '../core/ids.ts'
import * as answers from './answers.ts'
import { parse, problemOfFailure } from './parse-request.ts'
import * as requests from './requests.ts'
import { route, type Frozen } from './route.ts'
import { listOf } from './shapes.ts'

const params = z.strictObject({ id: requests.deviceId })
const EXAMPLE_CSR = '-----BEGIN CERTIFICATE REQUEST-----\n…\n-----END CERTIFICATE REQUEST-----\n'

export const DEVICE_ROUTES = {
  devices: route({
    method: 'GET', path: ADMIN_PATHS.devices, role: 'viewer', tenants: 'own', tag: 'devices',
    summary: 'Lists devices in the order of their ids, in pages.',
    query: requests.deviceQuery, answer: answers.devicePage, reasons: ['registry-unavailable'], example: { query: 'group=sensors&limit=100' },
    act: ({ desk, query }) => desk.devices(query),
  }),
  addDevice: route({
    method: 'POST', path: ADMIN_PATHS.devices, role: 'operator', tenants: 'own', tag: 'devices', status: 201, bodyBytesMax: HTTP_LIMITS.bulkBodyBytesMax,
    summary: 'Registers a device, or many at once: then each has a result of its own, and a refused one stops no other.',
    body: z.union([requests.newDevice, requests.newDevices]), answer: z.union([answers.device, answers.devicesAdded]),
    reasons: ['device-exists', 'device-id-invalid', 'group-invalid', 'attribute-invalid', 'key-in-use', 'password-weak', 'revision-conflict'],
    example: { body: { id: 'pump-17', groups: ['sensors'], attributes: { site: 'north' } } },
    statusOf: (body) => ('devices' in body ? 200 : 201),
    act: async ({ desk, body }) => ('devices' in body ? { results: await addAll(desk, body.devices) } : desk.addDevice(body)),
  }),
  device: route({
    method: 'GET', path: ADMIN_PATHS.device, role: 'viewer', tenants: 'own', tag: 'devices',
    summary: 'Shows a device, with its certificates, newest first.',
    params, answer: answers.deviceShown, reasons: ['device-not-found'],
    revisionOf: ({ revision }) => revision,
    act: ({ desk, params: { id } }) => desk.device(id),
  }),
  describeDevice: route({
    method: 'PATCH', path: ADMIN_PATHS.device, role: 'operator', tenants: 'own', tag: 'devices',
    summary: 'Changes groups and attributes of a device; its sessions are judged by them when this is answered.',
    params, body: requests.description, answer: answers.device, conditional: true, reasons: ['device-not-found', 'group-invalid', 'attribute-invalid', 'revision-conflict'],
    example: { body: { groups: ['sensors', 'north'], attributes: { site: 'north', rack: null }, revision: 1 } },
    revisionOf: (answer) => answer.revision,
    act: ({ desk, params: { id }, body, revision }) => desk.describeDevice(id, { ...body, revision: revision ?? body.revision }),
  }),
  enroll: route({
    method: 'POST', path: ADMIN_PATHS.deviceEnroll, role: 'operator', tenants: 'own', tag: 'devices',
    summary: 'Issues a certificate for the key of a request; asked again for the same key, it answers the same.',
    params, body: requests.enrollment, answer: answers.enrolled,
    reasons: ['device-not-found', 'device-suspended', 'device-quarantined', 'device-retired', 'csr-malformed', 'csr-signature-invalid', 'csr-name-mismatch', 'key-weak', 'key-in-use', 'key-not-reported', 'certificates-limit', 'ca-name-outside', 'issuance-unavailable'],
    example: { body: { csr: EXAMPLE_CSR } },
    act: ({ desk, params: { id }, body: { csr } }) => desk.enroll(id, csr),
  }),
  changeDevice: route({
    method: 'POST', path: ADMIN_PATHS.deviceState, role: 'operator', tenants: 'own', tag: 'devices',
    summary: 'Suspends, resumes, quarantines or retires a device. Who is out is disconnected before this is answered.',
    params, body: requests.stateChange, answer: answers.deviceChanged, conditional: true, reasons: ['device-not-found', 'state-transition'],
    example: { body: { action: 'suspend' } },
    revisionOf: (answer) => answer.revision,
    act: ({ desk, params: { id }, body: { action }, revision }) => desk.changeDevice(id, action, revision),
  }),
  why: route({
    method: 'GET', path: ADMIN_PATHS.deviceRefusals, role: 'viewer', tenants: 'own', tag: 'devices',
    summary: 'Says why a device was refused: its last refusals, each with the step that failed and what to do.',
    params, answer: answers.why, reasons: ['device-not-found'],
    act: ({ desk, params: { id } }) => desk.why(id),
  }),
  detections: route({
    method: 'GET', path: ADMIN_PATHS.detection, role: 'viewer', tenants: 'own', tag: 'devices',
    summary: 'Lists who is on a rung of the detection ladder, highest first.',
    answer: listOf(answers.onRung).meta({ id: 'Detections' }),
    act: async ({ desk }) => ({ items: await desk.detections() }),
  }),
  clearDetection: route({
    method: 'POST', path: ADMIN_PATHS.deviceDetectionClear, role: 'operator', tenants: 'own', tag: 'devices',
    summary: 'Takes a device off the detection ladder, and takes back what the ladder did to it.',
    params, answer: answers.detectionCleared, reasons: ['device-not-found', 'state-transition'],
    act: ({ desk, params: { id } }) => desk.clearDetection(id),
  }),
} as const

type Added = Frozen<z.output<typeof answers.devicesAdded>>['results'][number]

/** Results in the order of the rows; a refused row does not stop the others. */
async function addAll(desk: Desk, rows: readonly unknown[]): Promise<readonly Added[]> {
  return Promise.all(
    rows.map(async (row): Promise<Added> => {
      try {
        const device = await desk.addDevice(parse(requests.newDevice, row))
        return { id: device.id, ok: true }
      } catch (error) {
        const { code, title, hint, detail } = problemOfFailure(error)
        const named = typeof row === 'object' && row !== null && 'id' in row && typeof row.id === 'string' ? printable(row.id) : undefined
        return { ...(named === undefined ? {} : { id: named }), ok: false, code, message: printable(detail ?? title, AUDIT_LIMITS.fieldCharsMax), ...(hint === undefined ? {} : { hint }) }
      }
    }),
  )
}

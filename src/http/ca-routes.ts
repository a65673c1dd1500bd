// The rows of the route table about the certificate authorities.

import { ADMIN_PATHS } from '../vocabulary.ts'
import * as requests from './ca-requests.ts'
import * as answers from './enrollment-answers.ts'
import { route } from './route.ts'

export const CA_ROUTES = {
  cas: route({
    method: 'GET', path: ADMIN_PATHS.ca, role: 'viewer', tag: 'ca',
    summary: 'Lists the certificate authorities of this organisation.',
    answer: answers.caList,
    act: async ({ desk }) => ({ items: await desk.cas() }),
  }),
  caRotation: route({
    method: 'GET', path: ADMIN_PATHS.caRotation, role: 'viewer', tag: 'ca',
    summary: 'Says how far the rotation of the CA has come, what is next, and who depends on which CA.',
    answer: answers.caRotation,
    act: ({ desk }) => desk.caRotation(),
  }),
  rotateCa: route({
    method: 'POST', path: ADMIN_PATHS.caRotation, role: 'admin', tag: 'ca',
    summary: 'Takes one step of the rotation of the CA. A dry run says who would be out.',
    body: requests.rotate, answer: answers.rotated, reasons: ['ca-step', 'ca-in-use', 'ca-key-missing'],
    example: { body: { step: 'start', dryRun: true } },
    act: ({ desk, body }) => desk.rotateCa(body),
  }),
  requestCa: route({
    method: 'POST', path: ADMIN_PATHS.caRequest, role: 'admin', tag: 'ca',
    summary: 'Makes a request for the next issuing CA, to be signed elsewhere. Its key stays here.',
    answer: answers.caRequest, reasons: ['ca-step'],
    act: ({ desk }) => desk.requestCa(),
  }),
  importCa: route({
    method: 'POST', path: ADMIN_PATHS.caImport, role: 'admin', tag: 'ca',
    summary: 'Takes in the CA certificate that was signed elsewhere for such a request.',
    body: requests.source, answer: answers.casImported, reasons: ['ca-step', 'certificate-malformed'],
    act: async ({ desk, body }) => ({ items: await desk.importCa(body) }),
  }),
  noteCaKey: route({
    method: 'POST', path: ADMIN_PATHS.caKey, role: 'admin', tag: 'ca',
    summary: 'Puts down in the audit log what somebody is about to do to the key file of a CA.',
    body: requests.key, answer: answers.caKeyNoted, reasons: ['ca-step'],
    example: { body: { ca: 'root', action: 'exported' } },
    act: async ({ desk, body: { ca, action } }) => {
      await desk.noteCaKey(ca, action)
      return { ca, action }
    },
  }),
} as const

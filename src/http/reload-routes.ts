// The row of the route table about the configuration of the running server.

import { z } from 'zod'
import { ADMIN_PATHS } from '../vocabulary.ts'
import { route } from './route.ts'
import { aCount } from './shapes.ts'

const changed = z.array(z.strictObject({ key: z.string(), from: z.string(), to: z.string() }))
const reloaded = z.strictObject({
  policyGeneration: z.number().int(),
  trustedCas: aCount,
  changed: changed.meta({ description: 'Keys of the configuration that changed, and are in force.' }),
  atNextStart: changed.meta({ description: 'Keys that take effect at the next start.' }),
}).meta({ id: 'Reloaded' })

export const RELOAD_ROUTES = {
  reload: route({
    method: 'POST', path: ADMIN_PATHS.reload, role: 'admin', tag: 'server',
    summary: 'Reads configuration, policy, trust and server certificate anew: all of them or, with one mistake, none.',
    answer: reloaded,
    act: ({ desk }) => desk.reload(),
  }),
} as const

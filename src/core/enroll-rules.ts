// What the enrollment door asks of requests, and offers: `enroll:` of the configuration.

import type { BindingRule } from './channel-binding.ts'

export interface EnrollRules {
  /** Whether a device may have its key made here (serverkeygen). */
  readonly serverKeys: 'refused' | 'allowed'
  readonly channelBinding: BindingRule
}

export const DEFAULT_ENROLL: EnrollRules = { serverKeys: 'refused', channelBinding: 'optional' }

// `enroll:` of the configuration → what the enrollment door asks of requests, and offers. What is not said is as in the defaults.

import { BINDING_RULES, type BindingRule } from './channel-binding.ts'
import type { SourceNode, TreeReader } from './source-tree.ts'

const KEYS_RULES = ['refused', 'allowed'] as const

export interface EnrollRules {
  /** Whether a device may have its key made here (serverkeygen). */
  readonly serverKeys: (typeof KEYS_RULES)[number]
  readonly channelBinding: BindingRule
}

export const DEFAULT_ENROLL: EnrollRules = { serverKeys: 'refused', channelBinding: 'optional' }

/** Without a node, the defaults. */
export function readEnroll(reader: TreeReader, node: SourceNode | undefined): EnrollRules {
  const map = node && reader.map(node, 'enroll', ['serverKeys', 'channelBinding'])
  const [serverKeys, channelBinding] = [map?.get('serverKeys'), map?.get('channelBinding')]
  return {
    serverKeys: (serverKeys && reader.oneOf(serverKeys.value, 'enroll.serverKeys', KEYS_RULES)) ?? DEFAULT_ENROLL.serverKeys,
    channelBinding: (channelBinding && reader.oneOf(channelBinding.value, 'enroll.channelBinding', BINDING_RULES)) ?? DEFAULT_ENROLL.channelBinding,
  }
}

// Was this request made for the connection that it came through? RFC 7030 §3.5: a request may carry a number that only the two ends of its
// connection know, under its signature; so nobody in between can pass on somebody else's request as his own. Pure: how the
// number was compared, and with what, is found out elsewhere.

import { allow, deny, type Decision } from './decision.ts'

export const BINDING_RULES = ['optional', 'required'] as const
export type BindingRule = (typeof BINDING_RULES)[number]

/** What a request says of its connection: nothing, the number of this one, or anything else. */
export type BindingFound = 'absent' | 'fits' | 'differs'

/** One that is there must fit, also where none is required [RFC 7030 §3.5]. Reason: channel-binding. */
export function judgeBinding(found: BindingFound, rule: BindingRule): Decision<void> {
  if (found === 'differs') return deny('channel-binding', 'its challengePassword is that of another connection, or of none')
  return found === 'absent' && rule === 'required' ? deny('channel-binding', 'it has no challengePassword') : allow(undefined)
}

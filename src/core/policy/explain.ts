// A decision in the shape that people and programs read: the same verdict that the broker acts on, with nothing added.

import type { ExplainQuestion, Explanation } from '../desk.ts'
import type { Grants, Verdict } from './grants.ts'

/** Publish is asked with QoS 0, no retain and no payload unless the question says otherwise. */
export function explain(grants: Grants, question: Omit<ExplainQuestion, 'device'>): Explanation {
  const qos = question.qos ?? 0
  return question.subscribe === undefined
    ? explanation(grants.publish(question.publish ?? '', qos, question.retain ?? false, question.bytes ?? 0))
    : explanation(grants.subscribe(question.subscribe, qos))
}

function explanation(verdict: Verdict): Explanation {
  const { effect, reason, bindings, generation, rule, at, grantedQos } = verdict
  return {
    effect, reason, bindings, generation,
    ...(rule === undefined ? {} : { rule }),
    ...(at === undefined ? {} : { at }),
    ...(effect === 'allow' && grantedQos !== undefined ? { grantedQos } : {}),
  }
}

// A question to a policy: may this principal do this? One verdict for each, the one that the broker acts on.

import { unreachable } from '../decision.ts'
import { isClientId } from '../admission.ts'
import type { Grants, Verdict } from './grants.ts'

type Qos = 0 | 1 | 2

export type Question =
  | { readonly kind: 'publish' | 'will'; readonly topic: string; readonly qos: Qos; readonly retain: boolean; readonly bytes: number }
  | { readonly kind: 'subscribe'; readonly topic: string; readonly qos: Qos }
  | { readonly kind: 'receive'; readonly topic: string }
  | { readonly kind: 'connect'; readonly clientId: string }

/** The keys of a question in a request, on a command line and in a file of tests: exactly one of them is given. */
export const QUESTION_KINDS = ['publish', 'subscribe', 'receive', 'will', 'connect'] as const
export type QuestionKind = (typeof QUESTION_KINDS)[number]

/** A question as it is asked: without QoS, retain and size it is the smallest one. */
export interface Asked extends Partial<Readonly<Record<QuestionKind, string | undefined>>> {
  readonly qos?: Qos | undefined
  readonly retain?: boolean | undefined
  readonly bytes?: number | undefined
}

/** Undefined unless exactly one thing is asked. */
export function questionOf({ qos = 0, retain = false, bytes = 0, ...asked }: Asked): Question | undefined {
  const [kind, ...more] = QUESTION_KINDS.filter((name) => asked[name] !== undefined)
  const topic = kind && asked[kind]
  if (kind === undefined || topic === undefined || more.length > 0) return undefined
  switch (kind) {
    case 'publish':
    case 'will':
      return { kind, topic, qos, retain, bytes }
    case 'subscribe':
      return { kind, topic, qos }
    case 'receive':
      return { kind, topic }
    case 'connect':
      return { kind, clientId: topic }
    default:
      return unreachable(kind)
  }
}

export function ask(grants: Grants, question: Question): Verdict {
  switch (question.kind) {
    case 'publish':
      return grants.publish(question.topic, question.qos, question.retain, question.bytes)
    case 'will':
      return grants.will(question.topic, question.qos, question.retain, question.bytes)
    case 'subscribe':
      return grants.subscribe(question.topic, question.qos)
    case 'receive':
      return grants.receive(question.topic)
    case 'connect':
      return askConnect(grants, question.clientId)
    default:
      return unreachable(question)
  }
}

/** As a CONNECT is judged: what no client may be called, then whether there is any grant, then the client id. */
function askConnect(grants: Grants, clientId: string): Verdict {
  const no = { effect: 'deny', bindings: {}, generation: grants.generation } as const
  if (!isClientId(clientId)) return { ...no, reason: 'client-id-invalid' }
  return grants.empty ? { ...no, reason: 'no-grant' } : grants.connect(clientId)
}

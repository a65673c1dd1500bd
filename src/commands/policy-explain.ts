// sallyport policy explain | who-can.

import { SallyportError } from '../core/errors.ts'
import { parseDeviceId } from '../core/ids.ts'
import type { WhoCan, WhoCanItem } from '../core/policy-desk.ts'
import { QUESTION_KINDS, type QuestionKind } from '../core/policy/question.ts'
import { POLICY_LIMITS } from '../limits.ts'
import { print, required, table, withDesk, type CommonOptions } from './context.ts'
import { explanationWords } from './explanation.ts'
import { circumstancesOf, numberOf, placeWords, textsOf, type CircumstanceOptions } from './policy-source.ts'

interface ExplainOptions extends CommonOptions, CircumstanceOptions, Partial<Readonly<Record<QuestionKind, string>>> {
  readonly device: string
  readonly clientId?: string
  readonly policy?: string
}

export async function explain(options: ExplainOptions): Promise<void> {
  const asked = QUESTION_KINDS.filter((kind) => options[kind] !== undefined)
  const [kind] = asked
  if (kind === undefined || asked.length > 1) throw new SallyportError('usage', `Ask exactly one thing: ${QUESTION_KINDS.map((name) => `--${name}`).join(', ')}.`)
  const device = required(parseDeviceId(options.device))
  const question = { device, [kind]: options[kind], clientId: options.clientId, ...circumstancesOf(options), ...(options.policy === undefined ? {} : { files: await textsOf(options.policy) }) }
  await withDesk(options, async (desk) => {
    const answer = await desk.explain(question)
    print(options, answer, () => explanationWords(answer))
  })
}

interface WhoCanOptions extends CommonOptions, CircumstanceOptions {
  readonly policy?: string
  readonly limit?: string
}

const WORDS = { publish: 'publish to', subscribe: 'subscribe to', receive: 'be sent', will: 'have a Will on' } as const
const LISTED = 20

export async function whoCan(kind: keyof typeof WORDS, topic: string, options: WhoCanOptions): Promise<void> {
  const limit = numberOf(options.limit, '--limit') ?? LISTED
  const question = { [kind]: topic, ...circumstancesOf(options), ...(options.policy === undefined ? {} : { files: await textsOf(options.policy) }) }
  await withDesk(options, async (desk) => {
    const answer = await wholeFleet(limit, (after, left) => desk.whoCan({ ...question, after, limit: left }))
    print(options, { kind, topic, ...answer }, () => whoCanWords(kind, topic, answer))
  })
}

type Answer = Pick<WhoCan, 'devices' | 'allowed' | 'rules' | 'items'>

/** Range by range: each takes the server a moment, and whoever waits longest is this command. */
async function wholeFleet(limit: number, ask: (after: string | undefined, limit: number) => Promise<WhoCan>): Promise<Answer> {
  const rules = new Map<string, WhoCan['rules'][string]>()
  const items: WhoCanItem[] = []
  const counts = { devices: 0, allowed: 0 }
  let after: string | undefined
  do {
    const part = await ask(after, Math.min(limit - items.length, POLICY_LIMITS.fleetDevicesPerRequestMax))
    counts.devices += part.devices
    counts.allowed += part.allowed
    for (const [rule, { at, devices }] of Object.entries(part.rules)) rules.set(rule, { at, devices: (rules.get(rule)?.devices ?? 0) + devices })
    items.push(...part.items)
    after = part.next
  } while (after !== undefined)
  return { ...counts, rules: Object.fromEntries(rules), items }
}

function whoCanWords(kind: keyof typeof WORDS, topic: string, { devices, allowed, rules, items }: Answer): string {
  const more = allowed - items.length
  const depends = items.some((item) => item.depends === true)
  return [
    `${allowed} of ${devices} ${devices === 1 ? 'device' : 'devices'} may ${WORDS[kind]} ${topic}`,
    ...(allowed === 0 ? [] : ['', table([['RULE', 'WHERE', 'DEVICES'], ...Object.entries(rules).map(([rule, { at, devices: count }]) => [rule, placeWords(at), String(count)])])]),
    ...(items.length === 0 ? [] : ['', table([['DEVICE', 'RULE'], ...items.map((item) => [item.device + (item.depends === true ? ' *' : ''), `${item.rule}${item.grantedQos === undefined ? '' : `, QoS ${item.grantedQos}`}`])])]),
    ...(more === 0 ? [] : [`and ${more} more: --limit ${allowed}`]),
    ...(depends ? ['* depends on where it connects from (--source, --tls)'] : []),
  ].join('\n')
}

// sallyport refusal list | show: who was refused, why, and where on its way.

import { SallyportError } from '../core/errors.ts'
import type { RefusalShown } from '../core/feed-desk.ts'
import type { PathState } from '../core/handshake-path.ts'
import { REASONS, STEPS, type DenyReason } from '../vocabulary.ts'
import { FEED_LIMITS } from '../feed-limits.ts'
import { print, table, time, withDesk, type CommonOptions } from './context.ts'
import { limitOf } from './page.ts'

export interface ListOptions extends CommonOptions {
  readonly step?: string
  readonly reason?: string
  readonly device?: string
  readonly address?: string
  readonly find?: string
  readonly groups?: boolean
  readonly after?: string
  readonly limit?: string
}

export async function list(options: ListOptions): Promise<void> {
  if (options.reason !== undefined && !Object.hasOwn(REASONS, options.reason)) throw new SallyportError('usage', `${options.reason} is not a reason.`, { fix: 'They are listed in docs/reasons.md.' })
  const filter = { step: STEPS.find((step) => step === options.step), reason: options.reason as DenyReason | undefined, device: options.device, address: options.address, q: options.find }
  const limit = limitOf(options.limit, FEED_LIMITS.pageMax)
  await withDesk(options, async (desk) => {
    if (options.groups === true) {
      const groups = await desk.refusalGroups(filter)
      return print(options, groups, () => (groups.items.length === 0 ? NOBODY : table([['TIMES', 'WHO', 'STEP', 'REASON', 'LAST', 'ID'], ...groups.items.map((group) => [String(group.count), whoOf(group), group.step, group.reason, time(group.last), String(group.id)])])))
    }
    const page = await desk.refusals({ ...filter, after: options.after, limit })
    return print(options, page, () => {
      if (page.items.length === 0) return NOBODY
      const rows = table([['ID', 'TIME', 'WHO', 'STEP', 'REASON', 'TIMES'], ...page.items.map((refusal) => [String(refusal.id), time(refusal.at), whoOf(refusal), refusal.step, refusal.reason, String(refusal.count)])])
      return page.next === undefined ? rows : `${rows}\nmore: --after ${page.next}`
    })
  })
}

const NOBODY = 'Nobody was refused, as far as the audit log is remembered.'

const whoOf = ({ device, claimed, address }: Pick<RefusalShown, 'device' | 'claimed' | 'address'>): string => device ?? (claimed === undefined ? address ?? '?' : `${claimed}?`)

const MARK: Readonly<Record<PathState, string>> = { passed: '✓', stopped: '✗', perhaps: '?', 'not-reached': ' ', unknown: '·' }

export async function show(id: string, options: CommonOptions): Promise<void> {
  const number = Number(id)
  if (!Number.isSafeInteger(number) || number < 1) throw new SallyportError('usage', `${id} is not the number of a refusal.`)
  await withDesk(options, async (desk) => {
    const refusal = await desk.refusal(number)
    print(options, refusal, () => [
      `${refusal.sentence}${refusal.count === 1 ? '' : ` (${refusal.count} times)`}`,
      `  ${time(refusal.at)}, step ${refusal.step}, reason ${refusal.reason}${refusal.detail === undefined ? '' : `, ${refusal.detail}`}`,
      ...factsOf(refusal).map(([name, value]) => `  ${name}: ${value}`),
      `  fix: ${refusal.fix}`,
      '',
      ...refusal.path.map(({ title, state }) => `  ${MARK[state]} ${title}`),
      ...(refusal.similar.count === refusal.count ? [] : ['', `${refusal.similar.count} like this since ${time(refusal.similar.first)}`]),
    ].join('\n'))
  })
}

function factsOf({ device, claimed, address, port, clientId, topic, rule, ruleAt, presented }: RefusalShown): readonly (readonly [string, string])[] {
  const facts: readonly (readonly [string, string | undefined])[] = [
    ['device', device], ['claimed name', claimed], ['from', address === undefined ? undefined : `${address} port ${port ?? '?'}`], ['client id', clientId], ['topic', topic],
    ['rule', rule === undefined ? undefined : `${rule}${ruleAt === undefined ? '' : ` at ${ruleAt}`}`],
    ['subject', presented?.subject], ['issuer', presented?.issuer], ['serial', presented?.serial], ['SHA-256', presented?.sha256],
    ['valid until', presented?.notAfter === undefined ? undefined : time(presented.notAfter)],
  ]
  return facts.flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const]))
}

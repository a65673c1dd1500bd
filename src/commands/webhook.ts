// sallyport webhook add | list | remove | test | deliveries | retry: who is told what happens, and what did not arrive.

import { SallyportError } from '../core/errors.ts'
import { FEED_KINDS } from '../core/feed.ts'
import type { Attempt, WebhookShown } from '../core/webhook-desk.ts'
import { EXIT } from '../vocabulary.ts'
import { confirm, print, table, time, withDesk, type CommonOptions } from './context.ts'

export async function add(url: string, options: CommonOptions & { readonly events?: readonly string[]; readonly name?: string }): Promise<void> {
  const kinds = FEED_KINDS.filter((kind) => options.events?.includes(kind))
  await withDesk(options, async (desk) => {
    const made = await desk.addWebhook({ name: options.name, url, kinds })
    print(options, made, () => `${made.webhook.name} is told ${kindsOf(made.webhook)} from now on\nits messages are signed with ${made.secret}\nThis is shown now and never again: give it to the receiver.`)
  })
}

const kindsOf = ({ kinds }: Pick<WebhookShown, 'kinds'>): string => (kinds.length === 0 ? 'everything' : kinds.join(', '))

export async function list(options: CommonOptions): Promise<void> {
  await withDesk(options, async (desk) => {
    const items = await desk.webhooks()
    print(options, { items }, () => (items.length === 0 ? 'There are no webhooks.' : table([['NAME', 'EVENTS', 'BEHIND', 'GIVEN UP', 'STATE', 'URL'], ...items.map(row)])))
  })
}

function row(webhook: WebhookShown): readonly string[] {
  const { name, behind, dead, failing, url } = webhook
  return [name, kindsOf(webhook), String(behind), String(dead), failing === undefined ? 'well' : `${failing.because}; again ${failing.nextAt === undefined ? 'after a restart' : time(failing.nextAt)}`, url]
}

export async function remove(name: string, options: CommonOptions): Promise<void> {
  await confirm(options, `Tell ${name} nothing more, and forget what it was not told?`)
  await withDesk(options, async (desk) => {
    await desk.removeWebhook(name)
    print(options, { removed: name }, () => `removed: ${name}`)
  })
}

export async function test(name: string, options: CommonOptions): Promise<void> {
  await withDesk(options, async (desk) => {
    const attempt = await desk.testWebhook(name)
    print(options, attempt, () => said(attempt))
    if (attempt.outcome !== 'delivered') process.exitCode = EXIT.failed
  })
}

const said = ({ outcome, status, because, ms }: Attempt): string => `${outcome}${status === undefined ? '' : ` (${status})`} after ${ms} ms${because === undefined ? '' : `: ${because}`}`

export async function deliveries(name: string, options: CommonOptions): Promise<void> {
  await withDesk(options, async (desk) => {
    const { recent, dead } = await desk.webhookDeliveries(name)
    print(options, { recent, dead }, () => [
      recent.length === 0 ? 'No attempts since the server was started.' : table([['TIME', 'RECORD', 'ATTEMPT', 'WHAT CAME OF IT'], ...recent.map((each) => [time(each.at), each.number === undefined ? 'test' : String(each.number), String(each.attempt), said(each)])]),
      '',
      dead.length === 0 ? 'Nothing was given up.' : table([['LETTER', 'GIVEN UP', 'RECORD', 'ATTEMPTS', 'WHY'], ...dead.map((letter) => [String(letter.id), time(letter.at), String(letter.number), String(letter.attempts), letter.because])]),
    ].join('\n'))
  })
}

export async function retry(name: string, options: CommonOptions & { readonly letter?: string }): Promise<void> {
  const letter = options.letter === undefined ? undefined : Number(options.letter)
  if (letter !== undefined && (!Number.isSafeInteger(letter) || letter < 1)) throw new SallyportError('usage', `${options.letter ?? ''} is not the number of a letter.`)
  await withDesk(options, async (desk) => {
    const retried = await desk.retryWebhook(name, letter)
    print(options, retried, () => `${retried.delivered} delivered, ${retried.left} left${retried.because === undefined ? '' : `: ${retried.because}`}`)
    if (retried.because !== undefined) process.exitCode = EXIT.failed
  })
}

// Which programs elsewhere are told what happens, whether they take it, and what was given up.

import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { ask, problemFrom, useData, type Problem } from '../api.ts'
import { command } from '../shell.ts'
import type { Webhook, WebhookAttempt, WebhookDeliveries, WebhookRetried } from '../shapes.ts'
import { count } from '../words.ts'
import { For } from '../who.tsx'
import { Confirm, Dialog } from './dialog.tsx'
import { NewWebhook } from './new-webhook.tsx'
import { Cli, Empty, State, Time, Trouble, Waiting } from './shown.tsx'

const pathOf = (name: string, what = ''): string => `/v1/webhooks/${encodeURIComponent(name)}${what}`

export function Webhooks(): JSX.Element {
  const { data, problem, reload } = useData<{ readonly items: readonly Webhook[] }>('/v1/webhooks')
  const [tried, setTried] = useState<Readonly<Record<string, WebhookAttempt>>>({})
  const [refused, setRefused] = useState<Problem>()
  const [open, setOpen] = useState<{ readonly name: string; readonly what: 'deliveries' | 'remove' }>()
  const [adding, setAdding] = useState(false)
  const test = async (name: string): Promise<void> => {
    try {
      const attempt = await ask<WebhookAttempt>('POST', pathOf(name, '/test'), {})
      setTried((before) => ({ ...before, [name]: attempt }))
      setRefused(undefined)
    } catch (error) {
      setRefused(problemFrom(error))
    }
  }
  return (
    <section aria-labelledby="webhooks">
      <div class="head"><h2 id="webhooks">Webhooks</h2><div class="actions"><For role="admin"><button type="button" class="primary" onClick={() => setAdding(true)}>Add a webhook…</button></For></div></div>
      {problem !== undefined && <Trouble problem={problem} retry={reload} />}
      {refused !== undefined && <Trouble problem={refused} />}
      {data === undefined && problem === undefined && <Waiting />}
      {data?.items.length === 0 && <Empty>Nobody elsewhere is told what happens.</Empty>}
      <ul class="lines">
        {data?.items.map((hook) => (
          <li key={hook.name}>
            <p><strong>{hook.name}</strong> {hook.failing === undefined ? <State tone={hook.dead > 0 ? 'soon' : 'good'}>{hook.dead > 0 ? `${count(hook.dead, 'message')} given up` : 'takes what it is told'}</State> : <State tone="bad">does not take what it is told</State>} <span class="mono wrap">{hook.url}</span></p>
            <p class="quiet">{hook.kinds.length === 0 ? 'Told everything' : `Told of ${hook.kinds.join(', ')}`}, {hook.behind === 0 ? 'up to date' : `${count(hook.behind, 'record')} behind`}{hook.failing !== undefined && <>; failing since <Time at={hook.failing.since} />, {count(hook.failing.attempts, 'attempt')}: {hook.failing.because}{hook.failing.nextAt !== undefined && <>; next <Time at={hook.failing.nextAt} /></>}</>}</p>
            <p role="status"><Attempted attempt={tried[hook.name]} /></p>
            <p><For role="operator"><button type="button" class="small" aria-label={`Test webhook ${hook.name}`} onClick={() => void test(hook.name)}>Test</button> </For><button type="button" class="small" aria-label={`Deliveries of webhook ${hook.name}`} onClick={() => setOpen({ name: hook.name, what: 'deliveries' })}>Deliveries</button><For role="admin"> <button type="button" class="small danger" aria-label={`Remove webhook ${hook.name}`} onClick={() => setOpen({ name: hook.name, what: 'remove' })}>Remove…</button></For></p>
          </li>
        ))}
      </ul>
      <Cli command="sallyport webhook list" />
      {adding && <NewWebhook onDone={reload} onClose={() => setAdding(false)} />}
      {open?.what === 'deliveries' && (
        <Deliveries name={open.name}
          onClose={() => {
            setOpen(undefined)
            reload()
          }} />
      )}
      {open?.what === 'remove' && (
        <Confirm title={`Remove webhook ${open.name}`} verb="Remove" danger cli={command('webhook', 'remove', open.name)} onClose={() => setOpen(undefined)}
          act={async () => {
            await ask('DELETE', pathOf(open.name))
            reload()
          }}>
          <p>It is told nothing any more, and what was given up is forgotten.</p>
        </Confirm>
      )}
    </section>
  )
}

function Attempted({ attempt }: { readonly attempt: WebhookAttempt | undefined }): JSX.Element | null {
  if (attempt === undefined) return null
  const { at, outcome, status, because, ms } = attempt
  const taken = outcome === 'delivered'
  return <><State tone={taken ? 'good' : 'bad'}>{taken ? 'taken' : outcome}</State> <Time at={at} />, in {Math.round(ms).toLocaleString('en-US')} ms{status === undefined ? '' : `, status ${status}`}{because === undefined ? '' : `: ${because}`}</>
}

/** The newest attempts, the oldest letters: who looks after more does so with the command. */
const SHOWN_MAX = 20

function Deliveries({ name, onClose }: { readonly name: string; readonly onClose: () => void }): JSX.Element {
  const { data, problem, reload } = useData<WebhookDeliveries>(pathOf(name, '/deliveries'))
  const [refused, setRefused] = useState<Problem>()
  const [retried, setRetried] = useState<WebhookRetried>()
  const retry = async (letter?: number): Promise<void> => {
    try {
      setRetried(await ask<WebhookRetried>('POST', pathOf(name, '/retry'), letter === undefined ? {} : { letter }))
      setRefused(undefined)
    } catch (error) {
      setRefused(problemFrom(error))
    }
    reload()
  }
  return (
    <Dialog title={`Deliveries of ${name}`} onClose={onClose}>
      {problem !== undefined && <Trouble problem={problem} retry={reload} />}
      {refused !== undefined && <Trouble problem={refused} />}
      {data === undefined && problem === undefined && <Waiting />}
      {retried !== undefined && <p role="status">{count(retried.delivered, 'message')} taken, {retried.left.toLocaleString('en-US')} left{retried.because === undefined ? '' : `: ${retried.because}`}.</p>}
      {data !== undefined && data.dead.length > 0 && (
        <section aria-labelledby="dead">
          <h3 id="dead">{count(data.dead.length, 'message')} given up</h3>
          <For role="operator"><p><button type="button" onClick={() => void retry()}>Send all again</button></p></For>
          <ul class="lines">{data.dead.slice(0, SHOWN_MAX).map((letter) => <li key={letter.id}>Record {letter.number.toLocaleString('en-US')}, <Time at={letter.at} />, {count(letter.attempts, 'attempt')}: {letter.because} <For role="operator"><button type="button" class="small" aria-label={`Send record ${letter.number} again`} onClick={() => void retry(letter.id)}>Send again</button></For></li>)}</ul>
          {data.dead.length > SHOWN_MAX && <p class="quiet">And {count(data.dead.length - SHOWN_MAX, 'more', 'more')}.</p>}
          <Cli command={command('webhook', 'retry', name)} />
        </section>
      )}
      <h3>Last attempts</h3>
      {data?.recent.length === 0 && <p class="quiet">Nothing was sent since this server runs.</p>}
      <ul class="lines">{data?.recent.slice(0, SHOWN_MAX).map((attempt) => <li key={`${attempt.at} ${attempt.number ?? 'test'} ${attempt.attempt}`}><Attempted attempt={attempt} /></li>)}</ul>
      <div class="actions"><button type="button" onClick={onClose}>Close</button></div>
    </Dialog>
  )
}

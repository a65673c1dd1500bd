// Which programs elsewhere are told what happens, whether they take it, and what was given up.

import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { ask, problemFrom, useData, type Problem } from '../api.ts'
import { command } from '../shell.ts'
import type { Webhook, WebhookAttempt, WebhookDeliveries } from '../shapes.ts'
import { count } from '../words.ts'
import { Confirm, Dialog } from './dialog.tsx'
import { Cli, Empty, State, Time, Trouble, Waiting } from './shown.tsx'

const pathOf = (name: string, what = ''): string => `/v1/webhooks/${encodeURIComponent(name)}${what}`

export function Webhooks(): JSX.Element {
  const { data, problem, reload } = useData<{ readonly items: readonly Webhook[] }>('/v1/webhooks')
  const [tried, setTried] = useState<Readonly<Record<string, WebhookAttempt>>>({})
  const [refused, setRefused] = useState<Problem>()
  const [open, setOpen] = useState<{ readonly name: string; readonly what: 'deliveries' | 'remove' }>()
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
      <h2 id="webhooks">Webhooks</h2>
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
            <p><button type="button" class="small" aria-label={`Test webhook ${hook.name}`} onClick={() => void test(hook.name)}>Test</button> <button type="button" class="small" aria-label={`Deliveries of webhook ${hook.name}`} onClick={() => setOpen({ name: hook.name, what: 'deliveries' })}>Deliveries</button> <button type="button" class="small danger" aria-label={`Remove webhook ${hook.name}`} onClick={() => setOpen({ name: hook.name, what: 'remove' })}>Remove…</button></p>
          </li>
        ))}
      </ul>
      <Cli command="sallyport webhook add https://hooks.example.org/fleet --events refusal --events detection" />
      {open?.what === 'deliveries' && <Deliveries name={open.name} onClose={() => setOpen(undefined)} />}
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

function Deliveries({ name, onClose }: { readonly name: string; readonly onClose: () => void }): JSX.Element {
  const { data, problem, reload } = useData<WebhookDeliveries>(pathOf(name, '/deliveries'))
  const [refused, setRefused] = useState<Problem>()
  const retry = async (): Promise<void> => {
    try {
      await ask('POST', pathOf(name, '/retry'), {})
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
      {data !== undefined && data.dead.length > 0 && <p>{count(data.dead.length, 'message')} given up. <button type="button" class="small" onClick={() => void retry()}>Send again</button></p>}
      {data?.recent.length === 0 && <p class="quiet">Nothing was sent since this server runs.</p>}
      <ul class="lines">{data?.recent.slice(0, 20).map((attempt) => <li key={`${attempt.at} ${attempt.number ?? 'test'} ${attempt.attempt}`}><Attempted attempt={attempt} /></li>)}</ul>
      <div class="actions"><button type="button" onClick={onClose}>Close</button></div>
    </Dialog>
  )
}

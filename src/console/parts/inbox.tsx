// Who waits for a person, by the token through which they came: what is asked, with what evidence, and the decision, about one of them
// or about all of a token.

import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { ask, problemFrom, useData, type Problem } from '../api.ts'
import { devicePath, Link } from '../router.tsx'
import { command } from '../shell.ts'
import type { Enrollment, Page, Token } from '../shapes.ts'
import { For } from '../who.tsx'
import { count, grouped } from '../words.ts'
import { Confirm } from './dialog.tsx'
import { Cli, Facts, Time, Trouble, Waiting } from './shown.tsx'

type Verdict = 'approved' | 'rejected'
const VERBS = { approved: 'Approve', rejected: 'Reject' } as const
const COMMANDS = { approved: 'approve', rejected: 'reject' } as const
/** Requests that are looked at in one go. */
const SEEN_MAX = 1_000

const decide = (id: string, state: Verdict): Promise<unknown> => ask('POST', `/v1/enrollments/${encodeURIComponent(id)}/decision`, { state })

function byToken(requests: readonly Enrollment[]): readonly (readonly [token: string, requests: readonly Enrollment[]])[] {
  const groups = new Map<string, Enrollment[]>()
  for (const request of requests) groups.set(request.token, [...(groups.get(request.token) ?? []), request])
  return [...groups]
}

export function Inbox(): JSX.Element {
  const { data, problem, reload } = useData<Page<Enrollment>>(`/v1/enrollments?limit=${SEEN_MAX}`, ['registry'])
  const [refused, setRefused] = useState<Problem>()
  const [asking, setAsking] = useState<{ readonly requests: readonly Enrollment[]; readonly token: string; readonly state: Verdict }>()
  const one = async (request: Enrollment, state: Verdict): Promise<void> => {
    try {
      await decide(request.id, state)
      setRefused(undefined)
    } catch (error) {
      setRefused(problemFrom(error))
    }
    reload()
  }
  return (
    <section aria-labelledby="inbox">
      <h2 id="inbox">Waiting for approval</h2>
      {problem !== undefined && <Trouble problem={problem} retry={reload} />}
      {refused !== undefined && <Trouble problem={refused} />}
      {data === undefined && problem === undefined && <Waiting />}
      {data?.items.length === 0 && <p class="quiet">Nobody waits. Requests come here when their token says that an operator approves.</p>}
      {data !== undefined && byToken(data.items).map(([token, requests]) => (
        <section key={token} aria-label={`Through token ${token}`}>
          <Through token={token} waiting={requests.length} />
          {requests.length > 1 && (
            <For role="operator"><div class="actions">
              <button type="button" onClick={() => setAsking({ requests, token, state: 'approved' })}>Approve all {requests.length.toLocaleString('en-US')}…</button>
              <button type="button" class="danger" onClick={() => setAsking({ requests, token, state: 'rejected' })}>Reject all {requests.length.toLocaleString('en-US')}…</button>
            </div></For>
          )}
          <ul class="findings">{requests.slice(0, SHOWN_MAX).map((request) => <li key={request.id}><Asked request={request} onDecide={(state) => void one(request, state)} /></li>)}</ul>
          {requests.length > SHOWN_MAX && <p class="quiet">And {count(requests.length - SHOWN_MAX, 'more', 'more')} through this token.</p>}
        </section>
      ))}
      {data?.next !== undefined && <p class="quiet">There are more: decide about these first.</p>}
      {asking !== undefined && <Bulk {...asking} onDone={reload} onClose={() => setAsking(undefined)} />}
    </section>
  )
}

/** Of one token, those that are in the page at one time. */
const SHOWN_MAX = 50

/** What the token is good for: half of the evidence. */
function Through({ token, waiting }: { readonly token: string; readonly waiting: number }): JSX.Element {
  const { data } = useData<Token>(`/v1/tokens/${encodeURIComponent(token)}`, ['registry'])
  return (
    <p>
      {count(waiting, 'request')} through token <span class="mono">{token}</span>
      {data !== undefined && <>, for <span class="mono">{data.target.device ?? data.target.pattern}</span>: {data.uses.toLocaleString('en-US')} of {count(data.usesMax, 'use')}, made <Time at={data.createdAt} />; it {data.register ? 'registers who is new' : 'registers nobody'}{data.groups.length > 0 && ` (groups ${data.groups.join(', ')})`}{data.networks.length > 0 && `; from ${data.networks.join(', ')} alone`}.</>}
    </p>
  )
}

function Asked({ request, onDecide }: { readonly request: Enrollment; readonly onDecide: (state: Verdict) => void }): JSX.Element {
  const { id, device, createdAt, source, spkiSha256 } = request
  return (
    <>
      <p><Link to={devicePath(device)} class="mono" row>{device}</Link> asks for a certificate, <Time at={createdAt} />.</p>
      <Facts rows={[
        ['Request', <span class="mono">{id}</span>],
        ['From', <span class="mono">{source}</span>],
        ['Key (SHA-256)', <span class="mono wrap">{grouped(spkiSha256)}</span>],
      ]} />
      <p class="quiet">Compare the key with what the device shows before you approve: whoever holds it becomes {device}.</p>
      <For role="operator"><div class="actions">
        <button type="button" class="primary" aria-label={`Approve ${device}`} onClick={() => onDecide('approved')}>Approve</button>
        <button type="button" class="danger" aria-label={`Reject ${device}`} onClick={() => onDecide('rejected')}>Reject</button>
      </div></For>
      <Cli command={command('enrollment', 'approve', id)} />
    </>
  )
}

interface BulkProps {
  readonly requests: readonly Enrollment[]
  readonly token: string
  readonly state: Verdict
  readonly onDone: () => void
  readonly onClose: () => void
}

/** One after the other, so that one that was decided by somebody else meanwhile stops no other, and is told. */
function Bulk({ requests, token, state, onDone, onClose }: BulkProps): JSX.Element {
  const [done, setDone] = useState(0)
  const act = async (): Promise<void> => {
    const failed: string[] = []
    for (const [index, { id, device }] of requests.entries()) {
      try {
        await decide(id, state)
      } catch (error) {
        failed.push(`${device}: ${problemFrom(error).title}`)
      }
      setDone(index + 1)
    }
    onDone()
    if (failed.length > 0) throw new Error(`${count(requests.length - failed.length, 'request')} decided; ${failed.length.toLocaleString('en-US')} not. ${failed.slice(0, 5).join(' ')}`)
  }
  return (
    <Confirm title={`${VERBS[state]} ${count(requests.length, 'request')}`} verb={done === 0 ? VERBS[state] : `${done.toLocaleString('en-US')} of ${requests.length.toLocaleString('en-US')}`} danger typed={token} act={act} onClose={onClose} cli={`sallyport enrollment list --json | jq -r '.items[] | select(.token == "${token}") | .id' | while read -r id; do sallyport enrollment ${COMMANDS[state]} "$id"; done`}>
      <p>{state === 'approved' ? 'Each gets its certificate when it asks again. Whoever holds these keys becomes these devices: approve together only what you know to come from one place.' : 'None of these keys gets a certificate with this token.'}</p>
    </Confirm>
  )
}

// The enrollment inbox: who waits for a person, and the tokens by which devices come.

import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { ask, problemFrom, useData, type Problem } from '../api.ts'
import { Confirm } from '../parts/dialog.tsx'
import { NewToken } from '../parts/new-token.tsx'
import { usePages } from '../parts/pages-of.ts'
import { Rows, type Column } from '../parts/rows.tsx'
import { Cli, Empty, Facts, Head, State, Time, Trouble, useNow, Waiting } from '../parts/shown.tsx'
import { devicePath, Link } from '../router.tsx'
import { standingOf } from '../sentences.ts'
import { command } from '../shell.ts'
import type { Enrollment as Request, Page, Token } from '../shapes.ts'
import { count, grouped } from '../words.ts'

export function Enrollment(): JSX.Element {
  return (
    <>
      <Head title="Enrollment">Who waits for a person, and the tokens by which devices come.</Head>
      <Inbox />
      <Tokens />
    </>
  )
}

function Inbox(): JSX.Element {
  const { data, problem, reload } = useData<Page<Request>>('/v1/enrollments?limit=100', ['registry'])
  const [refused, setRefused] = useState<Problem>()
  const decide = async ({ id }: Request, state: 'approved' | 'rejected'): Promise<void> => {
    try {
      await ask('POST', `/v1/enrollments/${encodeURIComponent(id)}/decision`, { state })
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
      <ul class="findings">
        {data?.items.map((request) => (
          <li key={request.id}>
            <p><Link to={devicePath(request.device)} class="mono" row>{request.device}</Link> asks for a certificate, <Time at={request.createdAt} />.</p>
            <Facts rows={[
              ['From', <span class="mono">{request.source}</span>],
              ['Token', <span class="mono">{request.token}</span>],
              ['Key (SHA-256)', <span class="mono wrap">{grouped(request.spkiSha256)}</span>],
            ]} />
            <p class="quiet">Compare the key with what the device shows before you approve: whoever holds it becomes {request.device}.</p>
            <div class="actions">
              <button type="button" class="primary" onClick={() => void decide(request, 'approved')}>Approve</button>
              <button type="button" class="danger" onClick={() => void decide(request, 'rejected')}>Reject</button>
            </div>
            <Cli command={command('enrollment', 'approve', request.id)} />
          </li>
        ))}
      </ul>
      {data?.next !== undefined && <p class="quiet">There are more: decide about these first.</p>}
    </section>
  )
}

function Tokens(): JSX.Element {
  const now = useNow()
  const { rows, problem, loading, more, reload } = usePages<Token, Page<Token>>('/v1/tokens?limit=200', ['registry'])
  const [asking, setAsking] = useState<{ readonly token: Token; readonly what: 'suspend' | 'resume' | 'revoke' }>()
  const columns: readonly Column<Token>[] = [
    { head: 'Token', width: '92px', cell: ({ name }) => <span class="mono">{name}</span> },
    { head: 'For', width: 'minmax(100px, 2fr)', narrow: 'minmax(0, 1fr)', cell: ({ target }) => <span class="mono">{target.device ?? target.pattern}</span> },
    { head: 'Proof', width: 'minmax(90px, 1fr)', wide: true, cell: ({ proof }) => proof.kind },
    { head: 'State', width: 'minmax(100px, 1fr)', narrow: '84px', cell: (token) => { const [tone, word] = standingOf(token, now); return <State tone={tone}>{word}</State> } },
    { head: 'Used', width: 'minmax(90px, 1fr)', wide: true, cell: ({ uses, usesMax }) => `${uses.toLocaleString('en-US')} of ${usesMax.toLocaleString('en-US')}` },
    { head: 'Until', width: 'minmax(90px, 1fr)', wide: true, cell: ({ expiresAt }) => <Time at={expiresAt} /> },
    {
      head: 'Action', width: '184px', narrow: '84px',
      cell: (token) => (token.revokedAt !== undefined ? '' : (
        <>
          <button type="button" class="small wide-only" aria-label={`${token.suspendedAt === undefined ? 'Suspend' : 'Resume'} token ${token.name}`} onClick={() => setAsking({ token, what: token.suspendedAt === undefined ? 'suspend' : 'resume' })}>{token.suspendedAt === undefined ? 'Suspend…' : 'Resume…'}</button>{' '}
          <button type="button" class="small danger" aria-label={`Revoke token ${token.name}`} onClick={() => setAsking({ token, what: 'revoke' })}>Revoke…</button>
        </>
      )),
    },
  ]
  return (
    <section aria-labelledby="tokens">
      <div class="head"><h2 id="tokens">Tokens</h2><div class="actions"><NewToken onDone={reload} /></div></div>
      {problem !== undefined && <Trouble problem={problem} retry={reload} />}
      {loading && <Waiting />}
      {!loading && rows.length === 0 && problem === undefined && <Empty cli="sallyport token create --id sensor-9 --expires 24h">There is no token yet. A token lets a device fetch its first certificate by itself.</Empty>}
      {rows.length > 0 && <Rows label="Enrollment tokens" columns={columns} rows={rows} keyOf={({ name }) => name} more={more} />}
      {asking !== undefined && <TokenAction {...asking} onDone={reload} onClose={() => setAsking(undefined)} />}
    </section>
  )
}

const THEN = {
  suspend: 'It is refused until it is resumed. Who has a certificate through it keeps it.',
  resume: 'It opens the door again, for as long as it is good.',
  revoke: 'It can never be used again. Who has a certificate through it keeps it; the certificate of a claim is revoked with it.',
} as const
const VERBS = { suspend: 'Suspend', resume: 'Resume', revoke: 'Revoke' } as const

function TokenAction({ token: { name, uses }, what, onDone, onClose }: { readonly token: Token; readonly what: keyof typeof THEN; readonly onDone: () => void; readonly onClose: () => void }): JSX.Element {
  const act = async (): Promise<void> => {
    if (what === 'revoke') await ask('POST', `/v1/tokens/${encodeURIComponent(name)}/revoke`, {})
    else await ask('POST', `/v1/tokens/${encodeURIComponent(name)}/suspension`, { suspended: what === 'suspend' })
    onDone()
  }
  return <Confirm title={`${VERBS[what]} token ${name}`} verb={VERBS[what]} danger={what === 'revoke'} cli={command('token', what, name)} act={act} onClose={onClose}><p>{THEN[what]} {uses > 0 && `${count(uses, 'device')} came by it so far.`}</p></Confirm>
}

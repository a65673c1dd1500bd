// The enrollment inbox: who waits for a person, and the tokens by which devices come.

import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { ask } from '../api.ts'
import { Confirm } from '../parts/dialog.tsx'
import { Inbox } from '../parts/inbox.tsx'
import { NewToken } from '../parts/new-token.tsx'
import { usePages } from '../parts/pages-of.ts'
import { Rows, type Column } from '../parts/rows.tsx'
import { Cli, Empty, Head, State, Time, Trouble, useNow, Waiting } from '../parts/shown.tsx'
import { Link } from '../router.tsx'
import { standingOf } from '../sentences.ts'
import { command } from '../shell.ts'
import type { Page, Token } from '../shapes.ts'
import { useMay } from '../who.tsx'
import { count } from '../words.ts'

export function Enrollment(): JSX.Element {
  return (
    <>
      <Head title="Enrollment">Who waits for a person, and the tokens by which devices come.</Head>
      <Inbox />
      <Tokens />
    </>
  )
}

function Tokens(): JSX.Element {
  const now = useNow()
  const may = useMay('operator')
  const { rows, problem, loading, more, reload } = usePages<Token, Page<Token>>('/v1/tokens?limit=200', ['registry'])
  const [asking, setAsking] = useState<{ readonly token: Token; readonly what: 'suspend' | 'resume' | 'revoke' }>()
  const columns: readonly Column<Token>[] = [
    { head: 'Token', width: '92px', cell: ({ name }) => <span class="mono">{name}</span> },
    { head: 'For', width: 'minmax(100px, 2fr)', narrow: 'minmax(0, 1fr)', cell: ({ target }) => <span class="mono">{target.device ?? target.pattern}</span> },
    { head: 'Proof', width: 'minmax(90px, 1fr)', wide: true, cell: ({ proof }) => proof.kind },
    { head: 'State', width: 'minmax(100px, 1fr)', narrow: '84px', cell: (token) => { const [tone, word] = standingOf(token, now); return <State tone={tone}>{word}</State> } },
    { head: 'Used', width: 'minmax(90px, 1fr)', wide: true, cell: ({ name, uses, usesMax }) => <Link to={`/certificates?through=${encodeURIComponent(name)}`}>{uses.toLocaleString('en-US')} of {usesMax.toLocaleString('en-US')}</Link> },
    { head: 'Until', width: 'minmax(90px, 1fr)', wide: true, cell: ({ expiresAt }) => <Time at={expiresAt} short /> },
    { head: 'Approval', width: 'minmax(80px, 1fr)', wide: true, cell: ({ approve }) => (approve === 'operator' ? 'by a person' : 'at once') },
    ...(may ? [{
      head: 'Action', width: '184px', narrow: '84px',
      cell: (token: Token) => (token.revokedAt !== undefined ? '' : (
        <>
          <button type="button" class="small wide-only" aria-label={`${token.suspendedAt === undefined ? 'Suspend' : 'Resume'} token ${token.name}`} onClick={() => setAsking({ token, what: token.suspendedAt === undefined ? 'suspend' : 'resume' })}>{token.suspendedAt === undefined ? 'Suspend…' : 'Resume…'}</button>{' '}
          <button type="button" class="small danger" aria-label={`Revoke token ${token.name}`} onClick={() => setAsking({ token, what: 'revoke' })}>Revoke…</button>
        </>
      )),
    }] : []),
  ]
  return (
    <section aria-labelledby="tokens">
      <div class="head"><h2 id="tokens">Tokens</h2><div class="actions"><NewToken onDone={reload} /></div></div>
      {problem !== undefined && <Trouble problem={problem} retry={reload} />}
      {loading && <Waiting />}
      {!loading && rows.length === 0 && problem === undefined && <Empty cli="sallyport token create --id sensor-9 --expires 24h">There is no token yet. A token lets a device fetch its first certificate by itself.</Empty>}
      {rows.length > 0 && <Rows label="Enrollment tokens" columns={columns} rows={rows} keyOf={({ name }) => name} more={more} />}
      <Cli command="sallyport token list" />
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

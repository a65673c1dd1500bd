// The console's own sessions, who operates, and which hooks are told.

import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { ask, useData } from '../api.ts'
import { Confirm } from '../parts/dialog.tsx'
import { Operators } from '../parts/operators.tsx'
import { Webhooks } from '../parts/webhooks.tsx'
import { Cli, Empty, Head, Time, Trouble, Waiting } from '../parts/shown.tsx'
import { For } from '../who.tsx'
import type { ConsoleSession } from '../shapes.ts'

export function Settings(): JSX.Element {
  return (
    <>
      <Head title="Settings" />
      <Operators />
      <For role="admin"><Sessions /></For>
      <Webhooks />
    </>
  )
}

function Sessions(): JSX.Element {
  const { data, problem, reload } = useData<{ readonly items: readonly ConsoleSession[] }>('/v1/console/sessions')
  const [ending, setEnding] = useState<ConsoleSession>()
  return (
    <section aria-labelledby="sessions">
      <h2 id="sessions">Sessions of the console</h2>
      <p class="quiet">Opened by a link on the machine of the server. Each ends after half an hour in which nobody did anything, after twelve hours, and with the server.</p>
      {problem !== undefined && <Trouble problem={problem} retry={reload} />}
      {data === undefined && problem === undefined && <Waiting />}
      {data?.items.length === 0 && <Empty>There is none: you came with a certificate.</Empty>}
      <ul class="lines">
        {data?.items.map((session) => (
          <li key={session.id}><span class="mono">{session.id}</span> opened <Time at={session.openedAt} />, last used <Time at={session.seenAt} />, ends <Time at={session.endsAt} />; <span class="quiet wrap">{session.agent}</span> <button type="button" class="small danger" onClick={() => setEnding(session)}>End…</button></li>
        ))}
      </ul>
      <Cli command="sallyport console" />
      {ending !== undefined && (
        <Confirm title={`End session ${ending.id}`} verb="End it" danger onClose={() => setEnding(undefined)}
          act={async () => {
            await ask('POST', `/v1/console/sessions/${ending.id}/end`, {})
            reload()
          }}>
          <p>Whoever uses it is signed out at the next thing they do. If it is yours, that is you.</p>
        </Confirm>
      )}
    </section>
  )
}

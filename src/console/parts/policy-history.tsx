// What was in force, who put it there, and the way back.

import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { ask, useData } from '../api.ts'
import { command } from '../shell.ts'
import type { Applied, PolicyHistory, PolicyVersion } from '../shapes.ts'
import { Confirm } from './dialog.tsx'
import { Time, Trouble, Waiting } from './shown.tsx'

const BECAUSE: Readonly<Record<string, string>> = { start: 'found at a start', reload: 'reloaded after an edit', apply: 'applied', rollback: 'taken back' }

export function History({ generation, onDone }: { readonly generation: number; readonly onDone: () => void }): JSX.Element {
  const { data, problem, reload } = useData<PolicyHistory>('/v1/policy/history', ['policy'])
  const [back, setBack] = useState<PolicyVersion>()
  return (
    <section aria-labelledby="history">
      <h2 id="history">History</h2>
      {problem !== undefined && <Trouble problem={problem} retry={reload} />}
      {data === undefined && problem === undefined && <Waiting />}
      <ol class="lines">
        {data?.items.map((version) => (
          <li key={version.generation}>
            Generation {version.generation}{version.generation === generation ? ', in force' : ''}: {BECAUSE[version.because] ?? version.because}{version.of === undefined ? '' : ` to generation ${version.of}`} by {version.actor.name ?? version.actor.kind}, <Time at={version.at} />
            {version.kept && version.generation !== generation && <> <button type="button" class="small" onClick={() => setBack(version)}>Take back to it…</button></>}
          </li>
        ))}
      </ol>
      {back !== undefined && (
        <Confirm title={`Take the policy back to generation ${back.generation}`} verb="Take it back" danger cli={command('policy', 'rollback', String(back.generation))} onClose={() => setBack(undefined)}
          act={async () => {
            await ask<Applied>('POST', '/v1/policy', { rollback: back.generation, base: generation })
            reload()
            onDone()
          }}>
          <p>Its text comes into force again at once, for live sessions, too, as a new generation.</p>
        </Confirm>
      )}
    </section>
  )
}

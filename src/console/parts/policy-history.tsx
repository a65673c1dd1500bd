// What was in force, who put it there, what each changed, and the way back.

import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { ask, problemFrom, useData, type Problem } from '../api.ts'
import { command } from '../shell.ts'
import type { Applied, PolicyDiff, PolicyHistory, PolicyVersion } from '../shapes.ts'
import { For } from '../who.tsx'
import { Confirm, Dialog } from './dialog.tsx'
import { Changes } from './policy-changes.tsx'
import { Time, Trouble, Waiting } from './shown.tsx'

const BECAUSE: Readonly<Record<string, string>> = { start: 'found at a start', reload: 'reloaded after an edit', apply: 'applied', rollback: 'taken back' }

export function History({ generation, onDone }: { readonly generation: number; readonly onDone: () => void }): JSX.Element {
  const { data, problem, reload } = useData<PolicyHistory>('/v1/policy/history', ['policy'])
  const [back, setBack] = useState<PolicyVersion>()
  const [comparing, setComparing] = useState<PolicyVersion>()
  const kept = data?.items.filter((version) => version.kept) ?? []
  return (
    <section aria-labelledby="history">
      <h2 id="history">History</h2>
      {problem !== undefined && <Trouble problem={problem} retry={reload} />}
      {data === undefined && problem === undefined && <Waiting />}
      <ol class="lines">
        {data?.items.map((version) => (
          <li key={version.generation}>
            Generation {version.generation}{version.generation === generation ? ', in force' : ''}: {BECAUSE[version.because] ?? version.because}{version.of === undefined ? '' : ` to generation ${version.of}`} by {version.actor.name ?? version.actor.kind}, <Time at={version.at} />
            {version.kept && kept.length > 1 && <> <button type="button" class="small" aria-label={`Compare generation ${version.generation}`} onClick={() => setComparing(version)}>Compare…</button></>}
            {version.kept && version.generation !== generation && <For role="admin"> <button type="button" class="small" onClick={() => setBack(version)}>Take back to it…</button></For>}
          </li>
        ))}
      </ol>
      {comparing !== undefined && <Compare of={comparing} kept={kept} onClose={() => setComparing(undefined)} />}
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

/** Two of them, rule by rule: at first with the one before it. */
function Compare({ of, kept, onClose }: { readonly of: PolicyVersion; readonly kept: readonly PolicyVersion[]; readonly onClose: () => void }): JSX.Element {
  const others = kept.filter(({ generation }) => generation !== of.generation)
  const [other, setOther] = useState((others.find(({ generation }) => generation < of.generation) ?? others[0])?.generation ?? 0)
  const [answer, setAnswer] = useState<{ readonly diff: PolicyDiff; readonly from: number; readonly to: number }>()
  const [problem, setProblem] = useState<Problem>()
  const [from, to] = [Math.min(other, of.generation), Math.max(other, of.generation)]
  const compare = async (): Promise<void> => {
    setProblem(undefined)
    try {
      setAnswer({ diff: await ask<PolicyDiff>('POST', '/v1/policy/diff', { from, to }), from, to })
    } catch (error) {
      setProblem(problemFrom(error))
    }
  }
  return (
    <Dialog title={`Compare generation ${of.generation}`} onClose={onClose}>
      <label class="field">With generation<select value={String(other)} onChange={(event) => setOther(Number(event.currentTarget.value))}>{others.map(({ generation }) => <option key={generation} value={String(generation)}>{generation}</option>)}</select></label>
      <div class="actions"><button type="button" class="primary" onClick={() => void compare()}>Compare</button><button type="button" onClick={onClose}>Close</button></div>
      {problem !== undefined && <Trouble problem={problem} />}
      {answer !== undefined && (
        <div role="status" class="compared">
          <p>{answer.diff.changes.length === 0 ? `Generations ${answer.from} and ${answer.to} say the same.` : `From generation ${answer.from} to ${answer.to}:`}</p>
          <Changes changes={answer.diff.changes} />
        </div>
      )}
    </Dialog>
  )
}

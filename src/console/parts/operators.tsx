// Who works at the desk: their roles, their certificates, and how somebody comes and goes.

import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { ask } from '../api.ts'
import { command } from '../shell.ts'
import type { Operator, Page } from '../shapes.ts'
import { count, grouped } from '../words.ts'
import { For } from '../who.tsx'
import { Confirm } from './dialog.tsx'
import { NewOperator, ROLES } from './new-operator.tsx'
import { usePages } from './pages-of.ts'
import { Cli, State, Time, Trouble, Waiting } from './shown.tsx'

export function Operators(): JSX.Element {
  const { rows, problem, loading, more, reload } = usePages<Operator, Page<Operator>>('/v1/operators?limit=100', ['registry'])
  const [asking, setAsking] = useState<{ readonly operator: Operator; readonly what: 'role' | 'certificate' | 'revoke' }>()
  const [adding, setAdding] = useState(false)
  const close = (): void => setAsking(undefined)
  return (
    <section aria-labelledby="operators">
      <div class="head"><h2 id="operators">Operators</h2><div class="actions"><For role="admin"><button type="button" class="primary" onClick={() => setAdding(true)}>Make an operator…</button></For></div></div>
      {problem !== undefined && <Trouble problem={problem} retry={reload} />}
      {loading && <Waiting />}
      <ul class="lines">
        {rows.map((operator) => (
          <li key={operator.name}>
            <strong>{operator.name}</strong> {operator.revokedAt === undefined ? <State tone="good">{operator.role}</State> : <State tone="bad">revoked</State>} <span class="quiet">{operator.tenant === undefined ? '' : `of tenant ${operator.tenant}, `}{operator.createdAt > 0 && <>since <Time at={operator.createdAt} />, </>}{count(operator.certificates.length, 'certificate')} in force{operator.certificates.map(({ serial, notAfter }) => <span key={serial}>; <span class="mono">{grouped(serial)}</span> ends <Time at={notAfter} /></span>)}</span>
            {operator.revokedAt === undefined && <For role="admin"> <button type="button" class="small" aria-label={`A further certificate for ${operator.name}`} onClick={() => setAsking({ operator, what: 'certificate' })}>Certificate…</button> <button type="button" class="small" aria-label={`Change the role of ${operator.name}`} onClick={() => setAsking({ operator, what: 'role' })}>Role…</button> <button type="button" class="small danger" aria-label={`Revoke operator ${operator.name}`} onClick={() => setAsking({ operator, what: 'revoke' })}>Revoke…</button></For>}
          </li>
        ))}
      </ul>
      {more !== undefined && <p><button type="button" onClick={more}>More</button></p>}
      <Cli command="sallyport operator list" />
      {adding && <NewOperator onDone={reload} onClose={() => setAdding(false)} />}
      {asking?.what === 'certificate' && <NewOperator name={asking.operator.name} onDone={reload} onClose={close} />}
      {asking?.what === 'role' && <Role operator={asking.operator} onDone={reload} onClose={close} />}
      {asking?.what === 'revoke' && (
        <Confirm title={`Revoke operator ${asking.operator.name}`} verb="Revoke" danger typed={asking.operator.name} cli={command('operator', 'revoke', asking.operator.name)} onClose={close}
          act={async () => {
            await ask('POST', `/v1/operators/${encodeURIComponent(asking.operator.name)}/revoke`, {})
            reload()
          }}>
          <p>Out from the next request on, with {count(asking.operator.certificates.length, 'certificate')}. Nobody comes back under the same name.</p>
        </Confirm>
      )}
    </section>
  )
}

function Role({ operator: { name, role }, onDone, onClose }: { readonly operator: Operator; readonly onDone: () => void; readonly onClose: () => void }): JSX.Element {
  const [next, setNext] = useState(role)
  return (
    <Confirm title={`The role of ${name}`} verb="Change it" cli={command('operator', 'role', name, next)} onClose={onClose}
      act={async () => {
        await ask('POST', `/v1/operators/${encodeURIComponent(name)}/role`, { role: next })
        onDone()
      }}>
      <label class="field">Role<select value={next} onChange={(event) => setNext(event.currentTarget.value)}>{Object.entries(ROLES).map(([value, what]) => <option key={value} value={value}>{value}: {what}</option>)}</select></label>
      <p>It is in force at the next request.</p>
    </Confirm>
  )
}

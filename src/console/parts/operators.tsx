// Who works at the desk: their roles, their certificates, and how somebody comes and goes. A key never passes through a browser, so who
// comes is made by a command.

import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { ask } from '../api.ts'
import { command } from '../shell.ts'
import type { Operator, Page } from '../shapes.ts'
import { count, grouped } from '../words.ts'
import { Confirm } from './dialog.tsx'
import { usePages } from './pages-of.ts'
import { Cli, State, Time, Trouble, Waiting } from './shown.tsx'

const ROLES = { viewer: 'looks', operator: 'acts on devices, their certificates and tokens', admin: 'changes what holds for everybody' } as const

export function Operators(): JSX.Element {
  const { rows, problem, loading, more, reload } = usePages<Operator, Page<Operator>>('/v1/operators?limit=100', ['registry'])
  const [asking, setAsking] = useState<{ readonly operator: Operator; readonly what: 'role' | 'revoke' }>()
  const close = (): void => setAsking(undefined)
  return (
    <section aria-labelledby="operators">
      <h2 id="operators">Operators</h2>
      {problem !== undefined && <Trouble problem={problem} retry={reload} />}
      {loading && <Waiting />}
      <ul class="lines">
        {rows.map((operator) => (
          <li key={operator.name}>
            <strong>{operator.name}</strong> {operator.revokedAt === undefined ? <State tone="good">{operator.role}</State> : <State tone="bad">revoked</State>} <span class="quiet">{operator.tenant === undefined ? '' : `of tenant ${operator.tenant}, `}{operator.createdAt > 0 && <>since <Time at={operator.createdAt} />, </>}{count(operator.certificates.length, 'certificate')} in force{operator.certificates.map(({ serial, notAfter }) => <span key={serial}>; <span class="mono">{grouped(serial)}</span> ends <Time at={notAfter} /></span>)}</span>
            {operator.revokedAt === undefined && <> <button type="button" class="small" aria-label={`Change the role of ${operator.name}`} onClick={() => setAsking({ operator, what: 'role' })}>Role…</button> <button type="button" class="small danger" aria-label={`Revoke operator ${operator.name}`} onClick={() => setAsking({ operator, what: 'revoke' })}>Revoke…</button></>}
          </li>
        ))}
      </ul>
      {more !== undefined && <p><button type="button" onClick={more}>More</button></p>}
      <Cli command="sallyport operator add NAME --role viewer" />
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

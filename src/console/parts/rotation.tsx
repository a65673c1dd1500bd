// Replacing a CA while devices are connected: which step is next, what it would do and who would break, and the step.

import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { ask, problemFrom, useData, type Problem } from '../api.ts'
import { devicePath, Link } from '../router.tsx'
import { command } from '../shell.ts'
import type { CaRotation, Rotated } from '../shapes.ts'
import { count } from '../words.ts'
import { Confirm } from './dialog.tsx'
import { Cli, Time, Trouble, Waiting } from './shown.tsx'

export function Rotation(): JSX.Element {
  const { data, problem, reload } = useData<CaRotation>('/v1/ca/rotation', ['ca'])
  const [would, setWould] = useState<Rotated>()
  const [refused, setRefused] = useState<Problem>()
  const [asking, setAsking] = useState<string>()
  const tryStep = async (step: string): Promise<void> => {
    try {
      setWould(await ask<Rotated>('POST', '/v1/ca/rotation', { step, dryRun: true }))
      setRefused(undefined)
    } catch (error) {
      setWould(undefined)
      setRefused(problemFrom(error))
    }
  }
  const act = async (): Promise<void> => {
    let done: Rotated
    do done = await ask<Rotated>('POST', '/v1/ca/rotation', { step: asking })
    while (done.outcome === 'part')
    setWould(done)
    reload()
  }
  return (
    <section aria-labelledby="rotation">
      <h2 id="rotation">Rotation</h2>
      {problem !== undefined && <Trouble problem={problem} retry={reload} />}
      {data === undefined ? problem === undefined && <Waiting /> : (
        <>
          <p>Next step: <strong>{data.next}</strong>. {data.nextDoes}</p>
          <ul class="lines">{data.cas.filter(({ role }) => role === 'issuing').map((ca) => <li key={ca.name}><strong>{ca.name}</strong> is {ca.state} since <Time at={ca.since} />: {count(ca.certificates, 'certificate')} in force, {count(ca.sessions, 'session')}; {ca.only === 0 ? 'no device' : count(ca.only, 'device')} would be out without it.</li>)}</ul>
          <div class="actions">
            <button type="button" onClick={() => void tryStep(data.next)}>What would it do?</button>
            <button type="button" class="danger" onClick={() => setAsking(data.next)}>Do the next step…</button>
          </div>
          {refused !== undefined && <Trouble problem={refused} />}
          {would !== undefined && <Outcome {...would} />}
          <Cli command={command('ca', 'rotate', data.next, '--dry-run')} />
          {asking !== undefined && <Confirm title={`Rotate the CA: ${asking}`} verb="Do it" danger typed={asking} cli={command('ca', 'rotate', asking)} act={act} onClose={() => setAsking(undefined)}><p>{data.nextDoes}</p></Confirm>}
        </>
      )}
    </section>
  )
}

function Outcome({ step, outcome, told, breaks, breaksCount, sessionsClosed }: Rotated): JSX.Element {
  return (
    <div role="status">
      <p>{outcome === 'would' ? `The step ${step} would do this:` : `The step ${step} is done.`}</p>
      <ul class="lines">{told.map((line) => <li key={line}>{line}</li>)}</ul>
      {breaksCount > 0 && <p class="state bad"><span aria-hidden="true">■</span> {count(breaksCount, 'device')} {outcome === 'would' ? 'would be out' : 'are out'}: {breaks.map((device, index) => <span key={device}>{index > 0 && ', '}<Link to={devicePath(device)}>{device}</Link></span>)}</p>}
      {sessionsClosed > 0 && <p>{count(sessionsClosed, 'session')} ended.</p>}
    </div>
  )
}

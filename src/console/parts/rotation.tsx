// Replacing a CA while devices are connected, as a way of steps: which are behind, which is next, what each does; who would be out by
// the next one, counted before it is taken; and how much of the fleet depends on which CA.

import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { ask, problemFrom, useData, type Problem } from '../api.ts'
import { devicePath, Link } from '../router.tsx'
import { command } from '../shell.ts'
import type { CaRotation, CaUse, Rotated } from '../shapes.ts'
import { count } from '../words.ts'
import { useMay } from '../who.tsx'
import { Confirm } from './dialog.tsx'
import { Cli, Time, Trouble, Waiting } from './shown.tsx'

export function Rotation(): JSX.Element {
  const { data, problem, reload } = useData<CaRotation>('/v1/ca/rotation', ['ca'])
  return (
    <section aria-labelledby="rotation">
      <h2 id="rotation">Rotation</h2>
      {problem !== undefined && <Trouble problem={problem} retry={reload} />}
      {data === undefined ? problem === undefined && <Waiting /> : (
        <>
          <Shares cas={data.cas.filter(({ role, state }) => role === 'issuing' && state !== 'retired')} />
          <Steps {...data} />
          <Next {...data} onDone={reload} />
        </>
      )}
    </section>
  )
}

/** Issuers, and the part of the fleet that each has certified. */
function Shares({ cas }: { readonly cas: readonly CaUse[] }): JSX.Element {
  const total = cas.reduce((sum, { certificates }) => sum + certificates, 0)
  return (
    <ul class="lines">
      {cas.map((ca) => (
        <li key={ca.name}>
          <strong>{ca.name}</strong> is {ca.state} since <Time at={ca.since} />: {count(ca.certificates, 'certificate')} in force{total > 0 && `, ${Math.round((ca.certificates / total) * 100)} % of the fleet's`}; {count(ca.sessions, 'session')}; {ca.only === 0 ? 'no device' : count(ca.only, 'device')} would be out without it.
          {total > 0 && <meter class="share" min={0} max={total} value={ca.certificates} aria-label={`Share of ${ca.name}`} />}
        </li>
      ))}
    </ul>
  )
}

function Steps({ steps, next, crossSigning }: Pick<CaRotation, 'steps' | 'next' | 'crossSigning'>): JSX.Element {
  const way = steps.filter(({ step }) => step !== 'abort')
  const at = way.findIndex(({ step }) => step === next)
  return (
    <ol class="path" aria-label="Steps of the rotation">
      {way.map(({ step, does }, index) => {
        const [state, tick, words] = index < at ? ['passed', '✓', 'done'] : index === at ? ['next', '→', 'next'] : ['not-reached', '·', 'later']
        return <li key={step} class={state} {...(index === at ? { 'aria-current': 'step' } : {})}><span class="tick" aria-hidden="true">{tick}</span><span><strong>{step}</strong> <span class="unseen">({words}) </span>{does}{step === 'cross-sign' && crossSigning === 'not-needed' && ' Not needed: the root stays.'}</span></li>
      })}
    </ol>
  )
}

function Next({ next, nextDoes, steps, cas, onDone }: CaRotation & { readonly onDone: () => void }): JSX.Element | null {
  const may = useMay('admin')
  const [would, setWould] = useState<Rotated>()
  const [refused, setRefused] = useState<Problem>()
  const [asking, setAsking] = useState<string>()
  const underWay = cas.some(({ state }) => state === 'created' || state === 'trusted')
  const tryStep = async (): Promise<void> => {
    try {
      setWould(await ask<Rotated>('POST', '/v1/ca/rotation', { step: next, dryRun: true }))
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
    onDone()
  }
  if (!may) return <p class="quiet">The steps are taken by an admin.</p>
  return (
    <>
      <div class="actions">
        <button type="button" onClick={() => void tryStep()}>What would the step {next} do?</button>
        <button type="button" class="danger" onClick={() => setAsking(next)}>Take the step {next}…</button>
        {underWay && <button type="button" class="danger" onClick={() => setAsking('abort')}>Give the new CA up…</button>}
      </div>
      {refused !== undefined && <Trouble problem={refused} />}
      {would !== undefined && <Outcome {...would} />}
      <Cli command={command('ca', 'rotate', next, '--dry-run')} />
      {asking !== undefined && <Confirm title={`Rotate the CA: ${asking}`} verb="Do it" danger typed={asking} cli={command('ca', 'rotate', asking)} act={act} onClose={() => setAsking(undefined)}><p>{asking === next ? nextDoes : steps.find(({ step }) => step === asking)?.does}</p></Confirm>}
    </>
  )
}

function Outcome({ step, outcome, told, breaks, breaksCount, sessionsClosed }: Rotated): JSX.Element {
  return (
    <div role="status">
      <p>{outcome === 'would' ? `The step ${step} would do this:` : `The step ${step} is done.`}</p>
      <ul class="lines">{told.map((line) => <li key={line}>{line}</li>)}</ul>
      {breaksCount > 0 ? <p class="state bad"><span aria-hidden="true">■</span> {count(breaksCount, 'device')} {outcome === 'would' ? 'would be out' : 'are out'}: {breaks.map((device, index) => <span key={device}>{index > 0 && ', '}<Link to={devicePath(device)}>{device}</Link></span>)}{breaks.length < breaksCount && ', and more'}</p> : outcome === 'would' && <p class="state good"><span aria-hidden="true">●</span> No device would be out.</p>}
      {sessionsClosed > 0 && <p>{count(sessionsClosed, 'session')} ended.</p>}
    </div>
  )
}

// The reports of the simulator: runs that lie in the folder reports of the home, and one of them: what was expected and came, the
// timings, what was refused, second by second.

import type { JSX } from 'preact'
import { useData } from '../api.ts'
import { Course } from '../parts/course.tsx'
import { readRun, type Run } from '../run-report.ts'
import { Cli, Empty, Facts, Head, State, Time, Trouble, Waiting } from '../parts/shown.tsx'
import { Link, usePlace } from '../router.tsx'
import { bytes, count, duration } from '../words.ts'

interface Listed { readonly name: string; readonly bytes: number; readonly at: number }

export function Reports(): JSX.Element {
  const { query } = usePlace()
  const name = query.get('report')
  return name === null ? <All /> : <One key={name} name={name} />
}

function All(): JSX.Element {
  const { data, problem, reload } = useData<{ readonly items: readonly Listed[] }>('/v1/reports')
  return (
    <>
      <Head title="Reports">Runs of the simulator, from the folder reports of this home.</Head>
      {problem !== undefined && <Trouble problem={problem} retry={reload} />}
      {data === undefined && problem === undefined && <Waiting />}
      {data?.items.length === 0 && <Empty cli="npm run sim -- --json reports/run.json">There is no report yet. Run the simulator, and let it write one into this home:</Empty>}
      <ul class="lines">{data?.items.map((report) => <li key={report.name}><Link to={`/reports?report=${encodeURIComponent(report.name)}`} row>{report.name}</Link> <Time at={report.at} /> <span class="count">{bytes(report.bytes)}</span></li>)}</ul>
    </>
  )
}

function One({ name }: { readonly name: string }): JSX.Element {
  const { data, problem, reload } = useData<unknown>(`/v1/reports/${encodeURIComponent(name)}`)
  const run = data === undefined ? undefined : readRun(data)
  return (
    <>
      <Head title={name}><Link to="/reports">All reports</Link></Head>
      {problem !== undefined && <Trouble problem={problem} retry={reload} />}
      {data === undefined && problem === undefined && <Waiting />}
      {run !== undefined && <Whole {...run} />}
      <Cli command={`npm run sim -- report reports/${name} --html report.html`} />
    </>
  )
}

function Whole({ startedAt, durationMs, ok, interrupted, target, cases, scenario }: Run): JSX.Element {
  const failed = cases.filter(({ verdict }) => verdict !== 'ok')
  return (
    <>
      <p class="truth"><State tone={ok ? 'good' : 'bad'}>{ok ? 'As expected' : 'Not as expected'}</State>{interrupted && ', interrupted'}: {cases.length > 0 ? `${(cases.length - failed.length).toLocaleString('en-US')} of ${count(cases.length, 'case')} as expected` : scenario?.name ?? 'a fleet'}, in {duration(durationMs)}.</p>
      <Facts rows={[['Started', Number.isNaN(startedAt) ? undefined : <Time at={startedAt} />], ['Target', target], ['About', scenario?.about], ['Devices', scenario?.devices.toLocaleString('en-US')]]} />
      {scenario !== undefined && scenario.timeline.length > 1 && <Course timeline={scenario.timeline} />}
      {scenario !== undefined && scenario.timings.length > 0 && (
        <section aria-labelledby="timings">
          <h2 id="timings">Timings in milliseconds</h2>
          <table class="plain"><thead><tr><th scope="col">What</th><th scope="col">Count</th><th scope="col">p50</th><th scope="col">p90</th><th scope="col">p99</th><th scope="col">max</th></tr></thead>
            <tbody>{scenario.timings.map(([what, spread]) => <tr key={what}><td>{what}</td>{[spread.count, spread.p50Ms, spread.p90Ms, spread.p99Ms, spread.maxMs].map((number, index) => <td key={String(index)}>{number.toLocaleString('en-US', { maximumFractionDigits: 1 })}</td>)}</tr>)}</tbody>
          </table>
        </section>
      )}
      {scenario !== undefined && scenario.refused.length > 0 && <section aria-labelledby="refused-by"><h2 id="refused-by">Refused, by reason</h2><ul class="lines">{scenario.refused.map(([reason, number]) => <li key={reason}><span class="mono">{reason}</span> <span class="count">{number.toLocaleString('en-US')}</span></li>)}</ul></section>}
      {cases.length > 0 && (
        <section aria-labelledby="cases">
          <h2 id="cases">Cases</h2>
          <table class="plain"><thead><tr><th scope="col">Case</th><th scope="col">What</th><th scope="col">Verdict</th><th scope="col">What was seen</th></tr></thead>
            <tbody>{[...failed, ...cases.filter(({ verdict }) => verdict === 'ok')].map((each) => <tr key={each.id}><td class="mono">{each.id}</td><td>{each.title}</td><td><State tone={each.verdict === 'ok' ? 'good' : each.verdict === 'not run' ? 'idle' : 'bad'}>{each.verdict}</State></td><td class="wrap">{each.seen}</td></tr>)}</tbody>
          </table>
        </section>
      )}
    </>
  )
}

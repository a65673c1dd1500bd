// The overview: one line of truth, the last day as a strip, what needs a person, and who was refused last.

import type { JSX } from 'preact'
import { useData } from '../api.ts'
import { RefusalRows } from '../parts/refusal-rows.tsx'
import { Cli, Empty, Head, Trouble, Waiting } from '../parts/shown.tsx'
import { Strip } from '../parts/strip.tsx'
import { Link } from '../router.tsx'
import { truthOf } from '../sentences.ts'
import type { Overview as Shown } from '../shapes.ts'
import { count } from '../words.ts'

/** Where on the console that is seen to. */
const WHERE: Readonly<Record<string, readonly [to: string, word: string]>> = {
  expiring: ['/certificates', 'Certificates'],
  'devices-overdue': ['/certificates', 'Certificates'],
  rotation: ['/certificates', 'Certificates'],
  approvals: ['/enrollment', 'Enrollment'],
  detection: ['/devices?view=detection', 'Detection'],
  'session-store': ['/settings', 'Settings'],
  'audit-log': ['/audit', 'Audit'],
  webhooks: ['/settings', 'Settings'],
}

export function Overview(): JSX.Element {
  const { data, problem, reload } = useData<Shown>('/v1/overview', ['connection', 'refusal', 'registry', 'detection', 'ca'])
  return (
    <>
      <Head title="Overview" />
      {problem !== undefined && <Trouble problem={problem} retry={reload} />}
      {data === undefined ? problem === undefined && <Waiting /> : <Whole {...data} />}
    </>
  )
}

function Whole(data: Shown): JSX.Element {
  const { attention, newest, strip, refused, devices } = data
  return (
    <>
      <p class="truth">{truthOf(data)}</p>
      <Strip {...strip} />
      <section aria-labelledby="needs">
        <h2 id="needs">Needs a person</h2>
        {attention.length === 0 ? <p class="quiet">Nothing does.</p> : <ul class="lines">{attention.map(({ kind, sentence, command }) => <Needed key={kind} kind={kind} sentence={sentence} command={command} />)}</ul>}
      </section>
      {refused.byReason.length > 0 && (
        <section aria-labelledby="reasons">
          <h2 id="reasons">Refused in the last 24 hours</h2>
          <ul class="lines">{refused.byReason.map(({ reason, sentence, day }) => <li key={reason}><Link to={`/refusals?reason=${reason}`} row>{sentence}</Link> <span class="count">{count(day, 'time')}</span></li>)}</ul>
        </section>
      )}
      <section aria-labelledby="newest">
        <h2 id="newest">Newest refusals</h2>
        {newest.length === 0 ? <Empty cli={devices.total === 0 ? 'sallyport device add sensor-7 --group sensors' : 'sallyport doctor connect --cert device.pem --key device.key'}>{devices.total === 0 ? 'Register the first device.' : 'Nobody was refused. To see what a refusal looks like, connect with a certificate that is not in force.'}</Empty> : <RefusalRows rows={newest} />}
      </section>
    </>
  )
}

function Needed({ kind, sentence, command }: { readonly kind: string; readonly sentence: string; readonly command: string }): JSX.Element {
  const place = WHERE[kind]
  return <li><span class="state soon"><span aria-hidden="true">▲</span> {sentence}</span>{place !== undefined && <> <Link to={place[0]} row>{place[1]}</Link></>}<Cli command={command} /></li>
}


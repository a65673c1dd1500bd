// The overview: one line of truth, the last day as a strip, what needs a person, and who was refused last.

import type { JSX } from 'preact'
import { useData } from '../api.ts'
import { RefusalRows } from '../parts/refusal-rows.tsx'
import { Cli, Empty, Head, State, Time, Trouble, useNow, Waiting } from '../parts/shown.tsx'
import { Strip } from '../parts/strip.tsx'
import { Link } from '../router.tsx'
import { truthOf } from '../sentences.ts'
import type { ExpiringPage, OnRung, Overview as Shown } from '../shapes.ts'
import { count, DEVICE_TONES, expiry } from '../words.ts'

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
      <Truth {...data} />
      <Strip {...strip} />
      <section aria-labelledby="needs">
        <h2 id="needs">Needs a person</h2>
        {attention.length === 0 ? <p class="quiet">Nothing does.</p> : <ul class="lines">{attention.map(({ kind, sentence, command }) => <Needed key={kind} kind={kind} sentence={sentence} command={command} />)}</ul>}
      </section>
      <Soon />
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

/** The line of truth, and each of its numbers a way to what it counts. */
function Truth(data: Shown): JSX.Element {
  const { devices, connected } = data
  const states = Object.entries(devices.byState).filter(([state, number]) => number > 0 && state !== 'active')
  const noted = states.length > 0 || connected.sessions > connected.devices
  return (
    <>
      <p class={noted ? 'truth noted' : 'truth'}>{truthOf(data).map(([words, to]) => (to === undefined ? words : <Link key={to} to={to}>{words}</Link>))}</p>
      {noted && <p class="tally">{connected.sessions > connected.devices && <span><Link to="/connections">{count(connected.sessions, 'session')}</Link></span>}{states.map(([state, number]) => <span key={state}><Link to={`/devices?state=${state}`}><State tone={DEVICE_TONES[state] ?? 'idle'}>{number.toLocaleString('en-US')} {state}</State></Link></span>)}</p>}
    </>
  )
}

/** Who is on the ladder now, and what ends within a week: both with the way to all of it. */
function Soon(): JSX.Element {
  const now = useNow()
  const ladder = useData<{ readonly items: readonly OnRung[] }>('/v1/detection', ['detection'])
  const expiring = useData<ExpiringPage>(`/v1/expiring?withinMs=${WEEK_MS}&limit=5`, ['ca', 'registry'])
  const rungs = RUNGS.flatMap((rung) => {
    const number = ladder.data?.items.filter((item) => item.rung === rung).length ?? 0
    return number === 0 ? [] : [`${number.toLocaleString('en-US')} on ${rung}`]
  })
  const devices = expiring.data?.counted?.devices ?? 0
  const own = expiring.data?.items.filter(({ kind }) => kind !== 'device' && kind !== 'crl' && kind !== 'ocsp-responder') ?? []
  return (
    <div class="columns">
      <section aria-labelledby="ladder">
        <h2 id="ladder">Detection</h2>
        {ladder.problem !== undefined && <Trouble problem={ladder.problem} retry={ladder.reload} />}
        {ladder.data !== undefined && <p>{rungs.length === 0 ? <span class="quiet">Nothing behaves as if somebody else had it. </span> : <State tone="soon">{rungs.join(', ')} </State>}<Link to="/devices?view=detection">The ladder</Link></p>}
      </section>
      <section aria-labelledby="ends">
        <h2 id="ends">Ends within a week</h2>
        {expiring.problem !== undefined && <Trouble problem={expiring.problem} retry={expiring.reload} />}
        {expiring.data !== undefined && (
          <>
            <p><Link to={`/devices?expiringWithinMs=${WEEK_MS}`}>{devices === 0 ? 'No certificate of a device' : count(devices, 'certificate of a device', 'certificates of devices')}</Link></p>
            <ul class="lines">{own.map((item) => <li key={`${item.kind} ${item.name}`}><Link to="/certificates" row>{item.name}</Link> <Time at={item.notAfter}>{expiry(item.notAfter, now)}</Time></li>)}</ul>
          </>
        )}
      </section>
    </div>
  )
}

const WEEK_MS = 7 * 86_400_000
/** The worst first. */
const RUNGS = ['suspend', 'quarantine', 'throttle', 'observe'] as const

function Needed({ kind, sentence, command }: { readonly kind: string; readonly sentence: string; readonly command: string }): JSX.Element {
  const place = WHERE[kind]
  return <li><span class="state soon"><span aria-hidden="true">▲</span> {sentence}</span>{place !== undefined && <> <Link to={place[0]} row>{place[1]}</Link></>}<Cli command={command} /></li>
}


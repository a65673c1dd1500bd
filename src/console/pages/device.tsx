// One device: what it is and how it stands, the life of its certificates, what it may do and by which rule, its sessions, its last
// refusals, and what can be done about it.

import type { JSX } from 'preact'
import { useData } from '../api.ts'
import { DeviceActions } from '../parts/device-actions.tsx'
import { Sessions, Topics } from '../parts/device-life.tsx'
import { RefusalRows } from '../parts/refusal-rows.tsx'
import { Cli, Empty, Facts, Head, State, Time, Trouble, Waiting } from '../parts/shown.tsx'
import { Timeline } from '../parts/timeline.tsx'
import { devicePath, Link } from '../router.tsx'
import { command } from '../shell.ts'
import type { CertificateLife, DeviceSessions, DeviceTopics, DeviceWithCertificates, RefusalPage } from '../shapes.ts'
import { DEVICE_TONES } from '../words.ts'

export function DevicePage({ id }: { readonly id: string }): JSX.Element {
  const at = `/v1${devicePath(id)}`
  const { data, problem, reload } = useData<DeviceWithCertificates>(at, ['registry', 'detection'])
  const there = data === undefined ? undefined : at
  const sessions = useData<DeviceSessions>(there && `${there}/sessions`, ['connection', 'policy', 'registry'])
  const topics = useData<DeviceTopics>(there && `${there}/topics`, ['policy', 'registry'])
  const timeline = useData<{ readonly items: readonly CertificateLife[] }>(there && `${there}/timeline`, ['registry'])
  const refusals = useData<RefusalPage>(there && `/v1/refusals?device=${encodeURIComponent(id)}&limit=10`, ['refusal'])
  const all = (): void => {
    for (const each of [{ reload }, sessions, topics, timeline, refusals]) each.reload()
  }
  return (
    <>
      <Head title={id} {...(data === undefined ? {} : { actions: <DeviceActions device={data} sessions={sessions.data?.connected.length} onDone={all} /> })}><Link to="/devices">All devices</Link></Head>
      {problem !== undefined && <Trouble problem={problem} retry={reload} />}
      {data === undefined ? problem === undefined && <Waiting /> : (
        <>
          <Facts rows={[
            ['State', <State tone={DEVICE_TONES[data.state] ?? 'idle'}>{data.state}</State>],
            ['Held by detection', data.hold === undefined ? undefined : <>{data.hold.because}, since <Time at={data.hold.since} />; before it was {data.hold.from}</>],
            ['Groups', data.groups.length === 0 ? 'none' : data.groups.join(', ')],
            ['Attributes', Object.keys(data.attributes).length === 0 ? undefined : <span class="mono">{Object.entries(data.attributes).map(([name, value]) => `${name}=${value}`).join('  ')}</span>],
            ['Tenant', data.tenant === 'default' ? undefined : data.tenant],
            ['Registered', <Time at={data.createdAt} />],
            ['Revision', String(data.revision)],
          ]} />
          {data.certificates.length === 0 && <Empty cli={command('device', 'bundle', id, '--out', `./${id}`)}>It has no certificate yet, and cannot connect. Make its key and certificate on the machine of the server:</Empty>}
          <Timeline certificates={data.certificates} lives={timeline.data?.items} onDone={all} />
          <section aria-labelledby="sessions"><h2 id="sessions">Sessions</h2>{sessions.problem !== undefined ? <Trouble problem={sessions.problem} retry={sessions.reload} /> : sessions.data === undefined ? <Waiting /> : <Sessions {...sessions.data} />}</section>
          <section aria-labelledby="topics"><h2 id="topics">What it may do</h2>{topics.problem !== undefined ? <Trouble problem={topics.problem} retry={topics.reload} /> : topics.data === undefined ? <Waiting /> : <Topics {...topics.data} />}<p><Link to={`/policy?device=${encodeURIComponent(id)}`}>Try a topic</Link></p></section>
          <section aria-labelledby="refused">
            <h2 id="refused">Last refusals</h2>
            {refusals.problem !== undefined ? <Trouble problem={refusals.problem} retry={refusals.reload} /> : refusals.data === undefined ? <Waiting /> : refusals.data.items.length === 0 ? <p class="quiet">It was not refused.</p> : <RefusalRows rows={refusals.data.items} />}
            <Cli command={command('why', id)} />
          </section>
        </>
      )}
    </>
  )
}

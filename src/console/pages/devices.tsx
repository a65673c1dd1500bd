// The devices: as many as there are, filtered by the server. The ladder of detection is a view of them.

import type { JSX } from 'preact'
import { Choice, Filters, TextFilter } from '../parts/filters.tsx'
import { Export } from '../parts/export.tsx'
import { Ladder } from '../parts/ladder.tsx'
import { NewDevice } from '../parts/new-device.tsx'
import { usePages } from '../parts/pages-of.ts'
import { Rows, type Column } from '../parts/rows.tsx'
import { Cli, Empty, Head, State, Time, Trouble, Waiting } from '../parts/shown.tsx'
import { devicePath, Link, usePlace } from '../router.tsx'
import { listCommand } from '../shell.ts'
import type { Device, Page } from '../shapes.ts'
import { DEVICE_TONES, exact } from '../words.ts'

const STATES = ['pending', 'active', 'suspended', 'quarantined', 'retired'] as const
const FILTERS = ['q', 'state', 'group', 'attribute', 'expiringWithinMs'] as const
const DAY_MS = 86_400_000
const PAGE = 200

const attributesOf = ({ attributes }: Device): string => Object.entries(attributes).map(([name, value]) => `${name}=${value}`).join(' ')

const COLUMNS: readonly Column<Device>[] = [
  { head: 'Device', width: 'minmax(140px, 3fr)', cell: ({ id }) => <Link to={devicePath(id)} class="mono" row>{id}</Link> },
  { head: 'State', width: 'minmax(110px, 1fr)', cell: ({ state }) => <State tone={DEVICE_TONES[state] ?? 'idle'}>{state}</State> },
  { head: 'Groups', width: 'minmax(90px, 2fr)', cell: ({ groups }) => groups.join(', ') },
  { head: 'Attributes', width: 'minmax(90px, 3fr)', wide: true, cell: (device) => <span class="mono" title={attributesOf(device)}>{attributesOf(device)}</span> },
  { head: 'Registered', width: '124px', wide: true, cell: ({ createdAt }) => <Time at={createdAt} short /> },
]
const EXPORTED = [
  { head: 'device', value: ({ id }: Device) => id },
  { head: 'state', value: ({ state }: Device) => state },
  { head: 'tenant', value: ({ tenant }: Device) => tenant },
  { head: 'groups', value: ({ groups }: Device) => groups.join(' ') },
  { head: 'attributes', value: attributesOf },
  { head: 'registered', value: ({ createdAt }: Device) => exact(createdAt) },
]

export function Devices(): JSX.Element {
  const { query } = usePlace()
  const onLadder = query.get('view') === 'detection'
  return onLadder ? <Ladder /> : <All query={query} />
}

function All({ query }: { readonly query: URLSearchParams }): JSX.Element {
  const asked = FILTERS.flatMap((name): [string, string][] => (query.get(name) === null ? [] : [[name, query.get(name) ?? '']]))
  const path = `/v1/devices?${new URLSearchParams([...asked, ['limit', String(PAGE)]]).toString()}`
  const { rows, problem, loading, more, reload } = usePages<Device, Page<Device>>(path, ['registry'])
  return (
    <>
      <Head title="Devices" actions={<><NewDevice onDone={reload} /><Export path={path} name="devices" columns={EXPORTED} /></>}><Link to="/devices?view=detection">Detection: who behaves as if somebody else had it</Link></Head>
      <Filters>
        <TextFilter name="q" label="Search" />
        <Choice name="state" label="State" all="Every state" options={STATES.map((state) => [state, state])} />
        <TextFilter name="group" label="Group" />
        <TextFilter name="attribute" label="Attribute, as site=north" />
        <Choice name="expiringWithinMs" label="Certificate" all="Whenever it ends" options={[7, 30, 90].map((days) => [String(days * DAY_MS), `Ends within ${days} days`])} />
      </Filters>
      {(rows.length > 0 || asked.length > 0) && <Cli command={listCommand('device', query, { q: 'find', state: 'state', group: 'group', attribute: 'attr', expiringWithinMs: 'expiring' }, { expiringWithinMs: (ms) => `${Math.round(Number(ms) / DAY_MS)}d` })} />}
      {problem !== undefined && <Trouble problem={problem} retry={reload} />}
      {loading && <Waiting />}
      {!loading && rows.length === 0 && problem === undefined && (asked.length > 0 ? <Empty>No device fits these filters.</Empty> : <Empty cli="sallyport device add sensor-7 --group sensors">No device is registered yet. Register the first one.</Empty>)}
      {rows.length > 0 && <Rows label="Devices" columns={COLUMNS} rows={rows} keyOf={({ id }) => id} more={more} />}
    </>
  )
}

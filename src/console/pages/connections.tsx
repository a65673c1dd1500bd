// Who is connected now, as it changes.

import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { ask } from '../api.ts'
import { Confirm } from '../parts/dialog.tsx'
import { Export } from '../parts/export.tsx'
import { Choice, Filters, TextFilter } from '../parts/filters.tsx'
import { usePages } from '../parts/pages-of.ts'
import { Rows, type Column } from '../parts/rows.tsx'
import { Cli, Empty, Head, Time, Trouble, Waiting } from '../parts/shown.tsx'
import { devicePath, Link, usePlace } from '../router.tsx'
import { command, listCommand } from '../shell.ts'
import type { Connection, ConnectionPage } from '../shapes.ts'
import { useMay } from '../who.tsx'
import { bytes, count, exact } from '../words.ts'

const FILTERS = ['q', 'group', 'device', 'listener'] as const
const PAGE = 200

const EXPORTED = [
  { head: 'device', value: ({ device }: Connection) => device },
  { head: 'client_id', value: ({ clientId }: Connection) => clientId },
  { head: 'address', value: ({ address, port }: Connection) => `${address} ${port}` },
  { head: 'since', value: ({ since }: Connection) => exact(since) },
  { head: 'protocol', value: ({ protocol }: Connection) => protocol },
  { head: 'tls', value: ({ tls }: Connection) => tls },
  { head: 'cipher', value: ({ cipher }: Connection) => cipher },
  { head: 'subscriptions', value: ({ subscriptions }: Connection) => subscriptions },
  { head: 'serial', value: ({ serial }: Connection) => serial },
  { head: 'certificate_ends', value: ({ notAfter }: Connection) => exact(notAfter) },
]

export function Connections(): JSX.Element {
  const { query } = usePlace()
  const may = useMay('operator')
  const [ending, setEnding] = useState<Connection>()
  const asked = FILTERS.flatMap((name): [string, string][] => (query.get(name) === null ? [] : [[name, query.get(name) ?? '']]))
  const path = `/v1/connections?${new URLSearchParams([...asked, ['limit', String(PAGE)]]).toString()}`
  const { rows, first, problem, loading, more, reload } = usePages<Connection, ConnectionPage>(path, ['connection'])
  const columns: readonly Column<Connection>[] = [
    { head: 'Device', width: 'minmax(130px, 3fr)', cell: ({ device }) => <Link to={devicePath(device)} class="mono" row>{device}</Link> },
    { head: 'Client id', width: 'minmax(110px, 3fr)', wide: true, cell: ({ clientId }) => <span class="mono">{clientId}</span> },
    { head: 'From', width: 'minmax(100px, 2fr)', cell: ({ address }) => <span class="mono">{address}</span> },
    { head: 'Since', width: '124px', wide: true, cell: ({ since }) => <Time at={since} short /> },
    { head: 'Speaks', width: 'minmax(130px, 2fr)', wide: true, cell: ({ protocol, tls, cipher }) => <span title={cipher}>{protocol === 5 ? 'MQTT 5' : 'MQTT 3.1.1'}, TLS {tls}</span> },
    { head: 'In', width: '90px', number: true, wide: true, cell: ({ bytesIn }) => bytes(bytesIn) },
    { head: 'Out', width: '90px', number: true, wide: true, cell: ({ bytesOut }) => bytes(bytesOut) },
    ...(may ? [{ head: 'Action', width: '64px', cell: (connection: Connection) => <button type="button" class="small" aria-label={`End the connection of ${connection.device}`} onClick={() => setEnding(connection)}>End…</button> }] : []),
  ]
  return (
    <>
      <Head title="Connections" actions={<Export path={path} name="connections" columns={EXPORTED} />}>{first === undefined ? 'Who is connected now.' : `${count(first.matched, 'session')} ${asked.length > 0 ? 'fit these filters' : 'connected now'}.`}</Head>
      <Filters>
        <TextFilter name="q" label="Search" />
        <TextFilter name="group" label="Group" />
        <Choice name="listener" label="Door" all="Every door" options={[['mqtt', 'MQTT'], ['websocket', 'WebSocket']]} />
      </Filters>
      <Cli command={listCommand('connection', query, { q: 'find', group: 'group', device: 'device', listener: 'listener' })} />
      {problem !== undefined && <Trouble problem={problem} retry={reload} />}
      {loading && <Waiting />}
      {!loading && rows.length === 0 && problem === undefined && <Empty>{asked.length > 0 ? 'No session fits these filters.' : 'Nobody is connected. When a device was turned away, its reason stands under Refusals.'}</Empty>}
      {rows.length > 0 && <Rows label="Connections" columns={columns} rows={rows} keyOf={({ id }) => id} more={more} total={first?.matched} />}
      {ending !== undefined && (
        <Confirm title={`End the connection of ${ending.device}`} verb="End it" cli={command('connection', 'end', ending.id)} onClose={() => setEnding(undefined)}
          act={async () => {
            await ask('POST', `/v1/connections/${encodeURIComponent(ending.id)}/disconnect`, {})
            reload()
          }}>
          <p>Disconnects 1 session now. Most devices come back at once: to keep it out, suspend the device.</p>
        </Confirm>
      )}
    </>
  )
}

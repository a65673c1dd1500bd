// The certificate authority: the chain, what it signs with, what ends when, its lists of the revoked, and the rotation step by step;
// and every certificate that it has issued.

import type { JSX } from 'preact'
import { useData } from '../api.ts'
import { Authorities, Expiries } from '../parts/authorities.tsx'
import { Export } from '../parts/export.tsx'
import { Choice, Filters, TextFilter } from '../parts/filters.tsx'
import { usePages } from '../parts/pages-of.ts'
import { Rotation } from '../parts/rotation.tsx'
import { Rows, type Column } from '../parts/rows.tsx'
import { Cli, Empty, Facts, Head, State, Time, Trouble, useNow, Waiting } from '../parts/shown.tsx'
import { devicePath, Link, usePlace } from '../router.tsx'
import { command, listCommand } from '../shell.ts'
import { useTenant } from '../who.tsx'
import type { Certificate, Page } from '../shapes.ts'
import { CERTIFICATE_TONES, exact, expiry, grouped, toneOfExpiry } from '../words.ts'

const FILTERS = ['device', 'state', 'profile', 'through'] as const
const PAGE = 200

export function Certificates(): JSX.Element {
  const { query } = usePlace()
  const serial = query.get('serial')
  const isOfAll = useTenant() === undefined
  return (
    <>
      <Head title="Certificates" />
      {serial !== null && <One serial={serial} />}
      {isOfAll && <><Authorities /><Rotation /><Expiries /></>}
      <Issued query={query} />
    </>
  )
}

function One({ serial }: { readonly serial: string }): JSX.Element {
  const now = useNow()
  const { data, problem, reload } = useData<Certificate & { readonly pem?: string }>(`/v1/certificates/${encodeURIComponent(serial)}`, ['registry'])
  return (
    <section aria-labelledby="one">
      <h2 id="one">Certificate <span class="mono">{grouped(serial)}</span></h2>
      {problem !== undefined && <Trouble problem={problem} retry={reload} />}
      {data === undefined && problem === undefined && <Waiting />}
      {data !== undefined && (
        <Facts rows={[
          ['State', <State tone={CERTIFICATE_TONES[data.state] ?? 'idle'}>{data.state}</State>],
          ['Device', data.device === undefined ? undefined : <Link to={devicePath(data.device)} class="mono">{data.device}</Link>],
          ['Profile', data.profile],
          ['Issuer', data.issuer],
          ['Ends', <Time at={data.notAfter}>{expiry(data.notAfter, now)}</Time>],
          ['Revoked', data.revokedAt === undefined ? undefined : <><Time at={data.revokedAt} /> ({data.revocationReason})</>],
          ['SHA-256', data.sha256 === undefined ? undefined : <span class="mono wrap">{grouped(data.sha256)}</span>],
          ['Came through', data.through],
        ]} />
      )}
      <Cli command={command('cert', 'show', serial)} />
    </section>
  )
}

const EXPORTED = [
  { head: 'serial', value: ({ serial }: Certificate) => serial },
  { head: 'issuer', value: ({ issuer }: Certificate) => issuer },
  { head: 'profile', value: ({ profile }: Certificate) => profile },
  { head: 'device', value: ({ device }: Certificate) => device },
  { head: 'state', value: ({ state }: Certificate) => state },
  { head: 'not_before', value: ({ notBefore }: Certificate) => exact(notBefore) },
  { head: 'not_after', value: ({ notAfter }: Certificate) => exact(notAfter) },
  { head: 'revoked', value: ({ revokedAt }: Certificate) => (revokedAt === undefined ? undefined : exact(revokedAt)) },
  { head: 'reason', value: ({ revocationReason }: Certificate) => revocationReason },
]

function Issued({ query }: { readonly query: URLSearchParams }): JSX.Element {
  const now = useNow()
  const asked = FILTERS.flatMap((name): [string, string][] => (query.get(name) === null ? [] : [[name, query.get(name) ?? '']]))
  const path = `/v1/certificates?${new URLSearchParams([...asked, ['limit', String(PAGE)]]).toString()}`
  const { rows, problem, loading, more, reload } = usePages<Certificate, Page<Certificate>>(path, ['registry'])
  const columns: readonly Column<Certificate>[] = [
    { head: 'Serial', width: 'minmax(130px, 3fr)', cell: ({ serial }) => <Link to={`/certificates?serial=${serial}`} class="mono" row>{serial}</Link> },
    { head: 'For', width: 'minmax(100px, 2fr)', cell: ({ device, profile }) => (device === undefined ? profile : <Link to={devicePath(device)} class="mono">{device}</Link>) },
    { head: 'State', width: 'minmax(110px, 1fr)', cell: ({ state, notAfter }) => (state === 'active' && notAfter <= now ? <State tone="bad">expired</State> : <State tone={CERTIFICATE_TONES[state] ?? 'idle'}>{state}</State>) },
    { head: 'Issuer', width: 'minmax(90px, 1fr)', wide: true, cell: ({ issuer }) => issuer },
    { head: 'Ends', width: 'minmax(100px, 1fr)', wide: true, cell: ({ notAfter, state }) => (state === 'active' ? <span class={`state ${toneOfExpiry(notAfter, now)}`}><Time at={notAfter} short /></span> : <Time at={notAfter} short />) },
  ]
  return (
    <section aria-labelledby="issued">
      <div class="head"><h2 id="issued">Issued</h2><div class="actions"><Export path={path} name="certificates" columns={EXPORTED} /></div></div>
      <Filters>
        <TextFilter name="device" label="Device" />
        <TextFilter name="through" label="Came through token" />
        <Choice name="state" label="State" all="Every state" options={Object.keys(CERTIFICATE_TONES).map((state) => [state, state])} />
        <Choice name="profile" label="Profile" all="Every profile" options={['device', 'operator', 'server', 'claim', 'ocsp-responder'].map((profile) => [profile, profile])} />
      </Filters>
      {problem !== undefined && <Trouble problem={problem} retry={reload} />}
      {loading && <Waiting />}
      {!loading && rows.length === 0 && problem === undefined && <Empty>No certificate fits these filters.</Empty>}
      {query.get('profile') === null && <Cli command={listCommand('cert', query, { device: 'device', state: 'state', through: 'token' })} />}
      {rows.length > 0 && <Rows label="Certificates" columns={columns} rows={rows} keyOf={({ issuer, serial }) => `${issuer} ${serial}`} more={more} />}
    </section>
  )
}

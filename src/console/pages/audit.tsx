// The audit log, newest first: what happened, who did it, to what; and whether the chain of the log is whole.

import type { JSX } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { ask, problemFrom, type Problem } from '../api.ts'
import { Dialog } from '../parts/dialog.tsx'
import { Export } from '../parts/export.tsx'
import { Filters, TextFilter } from '../parts/filters.tsx'
import { usePages } from '../parts/pages-of.ts'
import { Rows, type Column } from '../parts/rows.tsx'
import { Cli, Empty, Head, State, Time, Trouble, Waiting } from '../parts/shown.tsx'
import { devicePath, Link, usePlace } from '../router.tsx'
import { EVENT_KINDS } from '../live.ts'
import { listCommand } from '../shell.ts'
import type { AuditRecord, AuditVerdict, Page } from '../shapes.ts'
import { exact, spelled } from '../words.ts'

const FILTERS = ['q', 'action', 'device'] as const
const PAGE = 200

/** A field inside of others, where it is a text or a number. */
function fieldOf(record: AuditRecord, ...path: readonly string[]): string | undefined {
  const found = path.reduce<unknown>((value, name) => (typeof value === 'object' && value !== null && Object.hasOwn(value, name) ? Object.entries(value).find(([key]) => key === name)?.[1] : undefined), record)
  return typeof found === 'string' || typeof found === 'number' ? String(found) : undefined
}

const timeOf = (record: AuditRecord): number => Date.parse(fieldOf(record, '@timestamp') ?? '')
const sequenceOf = (record: AuditRecord): string => fieldOf(record, 'sallyport', 'seq') ?? ''
const aboutOf = (record: AuditRecord): string | undefined => fieldOf(record, 'device', 'id') ?? fieldOf(record, 'detail', 'claimed') ?? fieldOf(record, 'x509', 'serial_number') ?? fieldOf(record, 'detail', 'token') ?? fieldOf(record, 'detail', 'ca')
const said = (...parts: readonly (string | undefined)[]): readonly string[] => parts.filter((part) => part !== undefined)
/** What was said of it; of a change, which one it was. */
function wordsOf(record: AuditRecord): string {
  const words = said((fieldOf(record, 'message') ?? fieldOf(record, 'event', 'reason'))?.replace(/\.$/, ''), fieldOf(record, 'detail', 'text')).join(': ')
  return words === '' ? said(...['action', 'state', 'revocation_reason', 'operator', 'role', 'tenant'].map((name) => fieldOf(record, 'detail', name))).join(', ') : words
}

/** An operator by name, not by the serial of the certificate. */
const whoOf = (record: AuditRecord): string | undefined => fieldOf(record, 'user', 'full_name') ?? fieldOf(record, 'user', 'name')

const EXPORTED = [
  { head: 'seq', value: sequenceOf }, { head: 'time', value: (record: AuditRecord) => exact(timeOf(record)) }, { head: 'what', value: (record: AuditRecord) => fieldOf(record, 'event', 'action') },
  { head: 'who', value: (record: AuditRecord) => fieldOf(record, 'user', 'name') }, { head: 'about', value: aboutOf }, { head: 'words', value: wordsOf }, { head: 'address', value: (record: AuditRecord) => fieldOf(record, 'source', 'ip') },
]

export function Audit(): JSX.Element {
  const { query } = usePlace()
  const asked = FILTERS.flatMap((name): [string, string][] => (query.get(name) === null ? [] : [[name, query.get(name) ?? '']]))
  const path = `/v1/audit/records?${new URLSearchParams([...asked, ['limit', String(PAGE)]]).toString()}`
  const { rows, problem, loading, more, reload } = usePages<AuditRecord, Page<AuditRecord>>(path, EVENT_KINDS)
  const [open, setOpen] = useState<AuditRecord>()
  const columns: readonly Column<AuditRecord>[] = [
    { head: 'Time', width: '104px', narrow: '84px', cell: (record) => <button type="button" class="plain-link" data-row="" onClick={() => setOpen(record)}><Time at={timeOf(record)} short /></button> },
    { head: 'What', width: 'minmax(120px, 2fr)', cell: (record) => <State tone={fieldOf(record, 'event', 'outcome') === 'failure' ? 'bad' : 'idle'}>{spelled(fieldOf(record, 'event', 'action') ?? 'unknown')}</State> },
    { head: 'Who', width: 'minmax(90px, 2fr)', wide: true, cell: (record) => <span class="mono" title={fieldOf(record, 'user', 'name')}>{whoOf(record)}</span> },
    { head: 'About', width: 'minmax(90px, 2fr)', cell: (record) => { const device = fieldOf(record, 'device', 'id'); return device === undefined ? <span class="mono">{aboutOf(record)}</span> : <Link to={devicePath(device)} class="mono">{device}</Link> } },
    { head: 'Words', width: 'minmax(120px, 5fr)', wide: true, cell: (record) => <span title={wordsOf(record)}>{wordsOf(record)}</span> },
  ]
  return (
    <>
      <Head title="Audit" actions={<><Verify /><Export path={path} name="audit" columns={EXPORTED} /></>}>Everything that was done and refused, newest first, as it stands in data/audit.ndjson.</Head>
      <Filters>
        <TextFilter name="q" label="Search" />
        <TextFilter name="action" label="What, as device-changed" />
        <TextFilter name="device" label="Device" />
      </Filters>
      <Cli command={listCommand('audit', query, { q: 'find', action: 'action', device: 'device' })} />
      {problem !== undefined && <Trouble problem={problem} retry={reload} />}
      {loading && <Waiting />}
      {!loading && rows.length === 0 && problem === undefined && (more === undefined ? <Empty>No record fits.</Empty> : <Older more={more} />)}
      {rows.length > 0 && <Rows label="Audit records, newest first" columns={columns} rows={rows} keyOf={sequenceOf} more={more} />}
      {open !== undefined && <Dialog title={`Record ${sequenceOf(open)}`} onClose={() => setOpen(undefined)}><pre class="record" tabIndex={0}>{JSON.stringify(open, null, 2)}</pre><div class="actions"><button type="button" onClick={() => setOpen(undefined)}>Close</button></div></Dialog>}
    </>
  )
}

/** Nothing of the newest part fits: what is older is looked through, part by part. */
function Older({ more }: { readonly more: () => void }): JSX.Element {
  useEffect(more)
  return <p class="quiet" role="status">Nothing of the newest records fits. Looking through older ones…</p>
}

function Verify(): JSX.Element {
  const [verdict, setVerdict] = useState<AuditVerdict>()
  const [problem, setProblem] = useState<Problem>()
  const verify = async (): Promise<void> => {
    try {
      setVerdict(await ask<AuditVerdict>('POST', '/v1/audit/verify', {}))
      setProblem(undefined)
    } catch (error) {
      setProblem(problemFrom(error))
    }
  }
  return (
    <>
      <span role="status">{verdict !== undefined && <State tone={verdict.intact ? 'good' : 'bad'}>{verdict.intact ? `The chain is whole: ${verdict.records.toLocaleString('en-US')} records` : `Line ${verdict.firstBad?.line ?? '?'}: ${verdict.firstBad?.problem ?? 'it does not verify'}`}</State>}</span>
      {problem !== undefined && <Trouble problem={problem} />}
      <button type="button" onClick={() => void verify()}>Verify the chain</button>
    </>
  )
}

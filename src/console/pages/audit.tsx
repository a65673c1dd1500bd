// The audit log, newest first: what happened, who did it, to what; and whether the chain of the log is whole.

import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { ask, problemFrom, useData, type Problem } from '../api.ts'
import { csv, json } from '../export-table.ts'
import { Dialog } from '../parts/dialog.tsx'
import { save } from '../parts/export.tsx'
import { Filters, TextFilter } from '../parts/filters.tsx'
import { Rows, type Column } from '../parts/rows.tsx'
import { Cli, Empty, Head, State, Time, Trouble, Waiting } from '../parts/shown.tsx'
import { devicePath, Link, usePlace } from '../router.tsx'
import type { AuditRecord, AuditVerdict } from '../shapes.ts'
import { exact, spelled } from '../words.ts'

const SHOWN_MAX = 1_000

/** A field inside of others, where it is a text or a number. */
function fieldOf(record: AuditRecord, ...path: readonly string[]): string | undefined {
  const found = path.reduce<unknown>((value, name) => (typeof value === 'object' && value !== null && Object.hasOwn(value, name) ? Object.entries(value).find(([key]) => key === name)?.[1] : undefined), record)
  return typeof found === 'string' || typeof found === 'number' ? String(found) : undefined
}

const timeOf = (record: AuditRecord): number => Date.parse(fieldOf(record, '@timestamp') ?? '')
const sequenceOf = (record: AuditRecord): string => fieldOf(record, 'sallyport', 'seq') ?? ''
const aboutOf = (record: AuditRecord): string | undefined => fieldOf(record, 'device', 'id') ?? fieldOf(record, 'detail', 'claimed') ?? fieldOf(record, 'x509', 'serial_number') ?? fieldOf(record, 'detail', 'token') ?? fieldOf(record, 'detail', 'ca')
const wordsOf = (record: AuditRecord): string => [(fieldOf(record, 'message') ?? fieldOf(record, 'event', 'reason'))?.replace(/\.$/, ''), fieldOf(record, 'detail', 'text')].filter((part) => part !== undefined).join(': ')

const EXPORTED = [
  { head: 'seq', value: sequenceOf }, { head: 'time', value: (record: AuditRecord) => exact(timeOf(record)) }, { head: 'what', value: (record: AuditRecord) => fieldOf(record, 'event', 'action') },
  { head: 'who', value: (record: AuditRecord) => fieldOf(record, 'user', 'name') }, { head: 'about', value: aboutOf }, { head: 'words', value: wordsOf }, { head: 'address', value: (record: AuditRecord) => fieldOf(record, 'source', 'ip') },
]

export function Audit(): JSX.Element {
  const { query } = usePlace()
  const { data, problem, reload } = useData<{ readonly items: readonly AuditRecord[] }>(`/v1/audit?count=${SHOWN_MAX}`, ['connection', 'refusal', 'registry', 'detection', 'policy', 'ca', 'server'])
  const [open, setOpen] = useState<AuditRecord>()
  const wanted = (query.get('q') ?? '').toLowerCase()
  const rows = (data?.items ?? []).filter((record) => wanted === '' || JSON.stringify(record).toLowerCase().includes(wanted)).toReversed()
  const columns: readonly Column<AuditRecord>[] = [
    { head: 'Time', width: '124px', narrow: '106px', cell: (record) => <button type="button" class="plain-link" data-row="" onClick={() => setOpen(record)}><Time at={timeOf(record)} /></button> },
    { head: 'What', width: 'minmax(120px, 2fr)', cell: (record) => <State tone={fieldOf(record, 'event', 'outcome') === 'failure' ? 'bad' : 'idle'}>{spelled(fieldOf(record, 'event', 'action') ?? 'unknown')}</State> },
    { head: 'Who', width: 'minmax(90px, 2fr)', wide: true, cell: (record) => <span class="mono">{fieldOf(record, 'user', 'name')}</span> },
    { head: 'About', width: 'minmax(90px, 2fr)', cell: (record) => { const device = fieldOf(record, 'device', 'id'); return device === undefined ? <span class="mono">{aboutOf(record)}</span> : <Link to={devicePath(device)} class="mono">{device}</Link> } },
    { head: 'Words', width: 'minmax(120px, 5fr)', wide: true, cell: (record) => <span title={wordsOf(record)}>{wordsOf(record)}</span> },
  ]
  return (
    <>
      <Head title="Audit" actions={<><Verify /><button type="button" onClick={() => save('audit.csv', csv(EXPORTED, rows), 'text/csv')}>Export CSV</button><button type="button" onClick={() => save('audit.json', json(rows), 'application/json')}>Export JSON</button></>}>The last {SHOWN_MAX.toLocaleString('en-US')} records. All of them stand in data/audit.ndjson.</Head>
      <Filters><TextFilter name="q" label="Search these" /></Filters>
      {problem !== undefined && <Trouble problem={problem} retry={reload} />}
      {data === undefined && problem === undefined && <Waiting />}
      {data !== undefined && rows.length === 0 && <Empty>No record fits.</Empty>}
      {rows.length > 0 && <Rows label="Audit records, newest first" columns={columns} rows={rows} keyOf={sequenceOf} />}
      <Cli command="sallyport audit tail --count 20" />
      {open !== undefined && <Dialog title={`Record ${sequenceOf(open)}`} onClose={() => setOpen(undefined)}><pre class="record" tabIndex={0}>{JSON.stringify(open, null, 2)}</pre><div class="actions"><button type="button" onClick={() => setOpen(undefined)}>Close</button></div></Dialog>}
    </>
  )
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

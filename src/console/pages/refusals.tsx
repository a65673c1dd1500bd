// Refusals: who was turned away, where on the way, and why in words. Filters live in the address.

import type { JSX } from 'preact'
import { Export } from '../parts/export.tsx'
import { Choice, Filters, TextFilter } from '../parts/filters.tsx'
import { usePages } from '../parts/pages-of.ts'
import { RefusalRows, whoOf } from '../parts/refusal-rows.tsx'
import { Cli, Empty, Head, Time, Trouble, Waiting } from '../parts/shown.tsx'
import { usePlace } from '../router.tsx'
import { listCommand } from '../shell.ts'
import type { Reach, Refusal, RefusalPage as Shown } from '../shapes.ts'
import { exact, STEP_WORDS } from '../words.ts'
import { REASONS } from '../../vocabulary.ts'

const FILTERS = ['q', 'step', 'reason', 'device', 'address'] as const
const PAGE = 200

const COLUMNS = [
  { head: 'time', value: ({ at }: Refusal) => exact(at) },
  { head: 'who', value: (refusal: Refusal) => whoOf(refusal)[0] },
  { head: 'known_as', value: (refusal: Refusal) => whoOf(refusal)[1] },
  { head: 'step', value: ({ step }: Refusal) => step },
  { head: 'reason', value: ({ reason }: Refusal) => reason },
  { head: 'sentence', value: ({ sentence }: Refusal) => sentence },
  { head: 'detail', value: ({ detail }: Refusal) => detail },
  { head: 'address', value: ({ address }: Refusal) => address },
  { head: 'client_id', value: ({ clientId }: Refusal) => clientId },
  { head: 'topic', value: ({ topic }: Refusal) => topic },
  { head: 'rule', value: ({ rule, ruleAt }: Refusal) => (rule === undefined ? undefined : `${rule} ${ruleAt ?? ''}`.trim()) },
  { head: 'count', value: ({ count }: Refusal) => count },
]

export function Refusals(): JSX.Element {
  const { query } = usePlace()
  const asked = new URLSearchParams(FILTERS.flatMap((name): [string, string][] => (query.get(name) === null ? [] : [[name, query.get(name) ?? '']])))
  const path = `/v1/refusals?${new URLSearchParams([...asked, ['limit', String(PAGE)]]).toString()}`
  const { rows, first, problem, loading, more, reload } = usePages<Refusal, Shown>(path, ['refusal'])
  return (
    <>
      <Head title="Refusals" actions={<Export path={path} name="refusals" columns={COLUMNS} />}>Who was turned away, at which step, and why.</Head>
      <Filters>
        <TextFilter name="q" label="Search" />
        <Choice name="step" label="Step" all="Every step" options={Object.entries(STEP_WORDS)} />
        <Choice name="reason" label="Reason" all="Every reason" options={Object.entries(REASONS).map(([code]): [string, string] => [code, code])} />
        <TextFilter name="device" label="Device" />
        <TextFilter name="address" label="Address" />
      </Filters>
      <Cli command={listCommand('refusal', query, { q: 'find', step: 'step', reason: 'reason', device: 'device', address: 'address' })} />
      {problem !== undefined && <Trouble problem={problem} retry={reload} />}
      {loading ? <Waiting /> : rows.length === 0 && problem === undefined ? <Empty>{asked.size === 0 ? 'Nobody was refused, as far back as this server remembers.' : 'No refusal fits these filters.'}</Empty> : <RefusalRows rows={rows} more={more} />}
      {first !== undefined && more === undefined && <Reached reach={first.reach} />}
    </>
  )
}

/** How far back the list goes, said plainly. */
function Reached({ reach: { since, complete, reading } }: { readonly reach: Reach }): JSX.Element {
  if (reading) return <p class="quiet">The audit log is being read: there may be more in a moment.</p>
  if (complete) return <p class="quiet">That is all that the audit log knows.</p>
  return <p class="quiet">This server remembers refusals{since === undefined ? '' : <> since <Time at={since} /></>}; what is older stands in the audit log.</p>
}

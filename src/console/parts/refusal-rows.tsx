// Refusals as a table: when, who, at which step, why in words, how often.

import type { JSX } from 'preact'
import { devicePath, Link } from '../router.tsx'
import type { Refusal } from '../shapes.ts'
import { STEP_WORDS } from '../words.ts'
import { Rows, type Column } from './rows.tsx'
import { Time } from './shown.tsx'

/** Who it was, as far as anybody knows: a device, a name that nothing vouches for, a subject that was presented, or only an address. */
export function whoOf({ device, claimed, presented, clientId, address }: Pick<Refusal, 'device' | 'claimed' | 'presented' | 'clientId' | 'address'>): readonly [name: string, how: 'device' | 'claims' | 'presents' | 'calls' | 'from'] {
  if (device !== undefined) return [device, 'device']
  if (claimed !== undefined) return [claimed, 'claims']
  if (presented?.subject !== undefined) return [presented.subject, 'presents']
  if (clientId !== undefined) return [clientId, 'calls']
  return [address ?? 'unknown', 'from']
}

export const HOW_WORDS = { device: '', claims: 'claims to be ', presents: 'presented ', calls: 'calls itself ', from: 'from ' } as const

const COLUMNS: readonly Column<Refusal>[] = [
  { head: 'Time', width: '104px', narrow: '84px', cell: ({ at, id }) => <Link to={`/refusals/${id}`} row><Time at={at} short /></Link> },
  {
    head: 'Who', width: 'minmax(110px, 2fr)', narrow: 'minmax(0, 2fr)',
    cell: (refusal) => {
      const [name, how] = whoOf(refusal)
      return how === 'device' ? <Link to={devicePath(name)} class="mono">{name}</Link> : <><span class="quiet">{HOW_WORDS[how]}</span><span class="mono">{name}</span></>
    },
  },
  { head: 'Step', width: 'minmax(84px, 1fr)', wide: true, cell: ({ step }) => STEP_WORDS[step] ?? step },
  { head: 'Reason', width: 'minmax(140px, 5fr)', narrow: 'minmax(0, 3fr)', cell: ({ sentence, id, reason }) => <Link to={`/refusals/${id}`}><span title={`${sentence} (${reason})`}>{sentence}</span></Link> },
  { head: 'Count', width: '64px', number: true, wide: true, cell: ({ count }) => count.toLocaleString('en-US') },
]

export function RefusalRows({ rows, more }: { readonly rows: readonly Refusal[]; readonly more?: (() => void) | undefined }): JSX.Element {
  return <Rows label="Refusals, newest first" columns={COLUMNS} rows={rows} keyOf={({ id }) => String(id)} more={more} />
}

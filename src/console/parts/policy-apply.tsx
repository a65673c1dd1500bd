// From an edit to what is in force: first what it changes, rule by rule and for the fleet, then the change. Nothing is in force that
// nobody has seen the meaning of.

import type { JSX } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { ask, problemFrom, type Problem } from '../api.ts'
import { devicePath, Link } from '../router.tsx'
import { sentenceOf } from '../sentences.ts'
import type { Applied, FleetCounts, Policy, PolicyDiff, PolicyFile, RuleChange } from '../shapes.ts'
import { useMay } from '../who.tsx'
import { Confirm } from './dialog.tsx'
import { Changes } from './policy-changes.tsx'
import { Trouble } from './shown.tsx'

export interface ApplyProps {
  readonly policy: Policy
  /** The edit; undefined where there is none. */
  readonly files: readonly PolicyFile[] | undefined
  readonly onDiscard: () => void
  readonly onApplied: () => void
}

interface Compared {
  readonly files: readonly PolicyFile[]
  readonly sha256: string
  readonly changes: readonly RuleChange[]
  readonly counts: FleetCounts | undefined
  readonly devices: readonly string[]
}

export function Apply({ policy, files, onDiscard, onApplied }: ApplyProps): JSX.Element | null {
  const may = useMay('admin')
  const [compared, setCompared] = useState<Compared>()
  const [problem, setProblem] = useState<Problem>()
  const [busy, setBusy] = useState(false)
  const [asking, setAsking] = useState(false)
  const text = files === undefined ? '' : JSON.stringify(files)
  useEffect(() => {
    setCompared(undefined)
    setProblem(undefined)
  }, [text])
  if (files === undefined) return <p class="quiet">Edit the text to see what a change would mean. {may ? 'Nothing comes into force before you say so.' : 'Putting it in force is for an admin.'}</p>
  const compare = async (): Promise<void> => {
    setBusy(true)
    setProblem(undefined)
    try {
      setCompared(await compareWith(files))
    } catch (error) {
      setProblem(problemFrom(error))
    }
    setBusy(false)
  }
  const apply = async (): Promise<void> => {
    await ask<Applied>('POST', '/v1/policy', { files, base: policy.generation })
    onApplied()
  }
  return (
    <div>
      <div class="actions">
        <button type="button" class="primary" disabled={busy} onClick={() => void compare()}>{busy ? 'Comparing…' : 'What would it change?'}</button>
        <button type="button" onClick={onDiscard}>Discard the edit</button>
        {may && compared !== undefined && compared.changes.length > 0 && <button type="button" class="danger" onClick={() => setAsking(true)}>Put it in force…</button>}
      </div>
      {problem !== undefined && problem.code !== 'policy-invalid' && <Trouble problem={problem} />}
      {problem?.code === 'policy-invalid' && <p class="state bad" role="alert"><span aria-hidden="true">■</span> It is no policy yet: see the findings at its lines.</p>}
      {compared !== undefined && <Meaning {...compared} />}
      {asking && compared !== undefined && (
        <Confirm title="Put this policy in force" verb="Put it in force" danger act={apply} onClose={() => setAsking(false)}>
          <p>{sentenceOf(compared.counts)} It is in force at once, for live sessions, too. What is in force now stays in the history, and can be taken back to.</p>
        </Confirm>
      )}
    </div>
  )
}

async function compareWith(files: readonly PolicyFile[]): Promise<Compared> {
  let after: string | undefined
  let first: PolicyDiff | undefined
  let counts: FleetCounts | undefined
  const devices: string[] = []
  do {
    const part: PolicyDiff = await ask<PolicyDiff>('POST', '/v1/policy/diff', { files, fleet: true, limit: SHOWN_MAX, ...(after === undefined ? {} : { after }) })
    first ??= part
    counts = added(counts, part.fleet?.counts)
    for (const { device } of part.fleet?.items ?? []) if (devices.length < SHOWN_MAX) devices.push(device)
    after = part.fleet?.next
  } while (after !== undefined)
  return { files, sha256: first.sha256, changes: first.changes, counts, devices }
}

const SHOWN_MAX = 20
const COUNTED = ['devices', 'concerned', 'losing', 'gaining', 'shutOut', 'letIn', 'sessionsEnding', 'subscriptionsLost'] as const

function added(before: FleetCounts | undefined, part: FleetCounts | undefined): FleetCounts | undefined {
  if (before === undefined || part === undefined) return part ?? before
  const sum = (name: (typeof COUNTED)[number]): number => before[name] + part[name]
  return { devices: sum('devices'), concerned: sum('concerned'), losing: sum('losing'), gaining: sum('gaining'), shutOut: sum('shutOut'), letIn: sum('letIn'), sessionsEnding: sum('sessionsEnding'), subscriptionsLost: sum('subscriptionsLost') }
}

function Meaning({ changes, counts, devices }: Compared): JSX.Element {
  if (changes.length === 0) return <p class="quiet" role="status">It says the same as what is in force.</p>
  return (
    <div role="status">
      <p>{sentenceOf(counts)}</p>
      <Changes changes={changes} />
      {devices.length > 0 && <p>{devices.length < (counts?.concerned ?? 0) ? 'Some of those it concerns: ' : 'It concerns '}{devices.map((device, index) => <span key={device}>{index > 0 && ', '}<Link to={devicePath(device)} class="mono">{device}</Link></span>)}</p>}
    </div>
  )
}

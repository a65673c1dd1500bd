// The ladder of detection: devices that behave as if somebody else had them, how far up they are, why, and the way down.

import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { ask, useData } from '../api.ts'
import { devicePath, Link } from '../router.tsx'
import { command } from '../shell.ts'
import type { OnRung } from '../shapes.ts'
import { SIGNALS } from '../../vocabulary.ts'
import { For } from '../who.tsx'
import { Confirm } from './dialog.tsx'
import { Empty, Head, State, Time, Trouble, Waiting } from './shown.tsx'

/** What a rung does to the device. */
const RUNG_WORDS: Readonly<Record<string, string>> = {
  observe: 'watched; nothing is taken from it', throttle: 'slowed down', quarantine: 'left what the policy grants in quarantine', suspend: 'kept out until a person lets it back in',
}
const fixOf = (signal: string | undefined): string | undefined => Object.entries(SIGNALS).find(([name]) => name === signal)?.[1].fix

export function Ladder(): JSX.Element {
  const { data, problem, reload } = useData<{ readonly items: readonly OnRung[] }>('/v1/detection', ['detection'])
  const [clearing, setClearing] = useState<OnRung>()
  return (
    <>
      <Head title="Detection"><Link to="/devices">All devices</Link></Head>
      {problem !== undefined && <Trouble problem={problem} retry={reload} />}
      {data === undefined && problem === undefined && <Waiting />}
      {data?.items.length === 0 && <Empty>No device is on the ladder: nothing behaves as if somebody else had it.</Empty>}
      <ul class="findings">
        {data?.items.map((finding) => (
          <li key={finding.device}>
            <p><Link to={devicePath(finding.device)} class="mono" row>{finding.device}</Link> <State tone={finding.rung === 'observe' ? 'soon' : 'bad'}>{finding.rung}</State> <span class="quiet">{RUNG_WORDS[finding.rung]}, since <Time at={finding.since} />{finding.until !== undefined && <>; it ends <Time at={finding.until} /></>}</span></p>
            <p>{finding.because}</p>
            {fixOf(finding.signal) !== undefined && <p>{fixOf(finding.signal)}</p>}
            <For role="operator"><p><button type="button" onClick={() => setClearing(finding)}>Take it off the ladder…</button></p></For>
          </li>
        ))}
      </ul>
      {clearing !== undefined && (
        <Confirm title={`Take ${clearing.device} off the ladder`} verb="Take it off" cli={command('detection', 'clear', clearing.device)} onClose={() => setClearing(undefined)}
          act={async () => {
            await ask('POST', `/v1${devicePath(clearing.device)}/detection/clear`, {})
            reload()
          }}>
          <p>What the ladder did to it is taken back. If it goes on as before, it will be on the ladder again.</p>
        </Confirm>
      )}
    </>
  )
}

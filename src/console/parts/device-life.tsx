// The sessions of a device, connected and kept, and what the policy lets it do.

import type { ComponentChildren, JSX } from 'preact'
import { Link } from '../router.tsx'
import type { DeviceSessions, DeviceTopics, TopicLine } from '../shapes.ts'
import { bytes, count } from '../words.ts'
import { Facts, State, Time } from './shown.tsx'

const protocolWord = (protocol: number): string => (protocol === 5 ? 'MQTT 5' : 'MQTT 3.1.1')

export function Sessions({ connected, kept }: DeviceSessions): JSX.Element {
  if (connected.length + kept.length === 0) return <p class="quiet">It is not connected, and no session waits for it.</p>
  return (
    <>
      {connected.map((session) => (
        <div key={session.id} class="session">
          <p><State tone="good">connected</State> as <span class="mono">{session.clientId}</span>, since <Time at={session.since} /></p>
          <Facts rows={[
            ['From', <span class="mono">{session.address} port {session.port}</span>],
            ['Speaks', `${protocolWord(session.protocol)} over TLS ${session.tls}, ${session.cipher}`],
            ['Keep-alive', session.keepAliveSeconds === 0 ? 'none' : count(session.keepAliveSeconds, 'second')],
            ['Traffic', `${bytes(session.bytesIn)} in, ${bytes(session.bytesOut)} out; ${count(session.queued, 'message')} waiting, ${session.inFlight.toLocaleString('en-US')} in flight`],
            ['Subscribed to', session.filters.length === 0 ? 'nothing' : <span class="mono wrap">{session.filters.join('  ')}</span>],
          ]} />
        </div>
      ))}
      {kept.map((session) => (
        <div key={session.clientId} class="session">
          <p><State tone="idle">away</State> <span class="mono">{session.clientId}</span>: {count(session.queued, 'message')} waiting{session.expiresAt !== undefined && <>; the session ends <Time at={session.expiresAt} /></>}</p>
          {session.subscriptions.length > 0 && <p class="mono wrap">{session.subscriptions.join('  ')}</p>}
        </div>
      ))}
    </>
  )
}

const FORCE_WORDS: Readonly<Record<string, string>> = { yes: '', no: 'not in force', depends: 'depends' }

function Line({ line, children }: { readonly line: TopicLine; readonly children?: ComponentChildren }): JSX.Element {
  const place = `${line.at.file}:${line.at.line}`
  const because = [FORCE_WORDS[line.inForce] ?? line.inForce, line.unresolved === undefined ? '' : `\${${line.unresolved}} is not known`, ...line.because].filter((word) => word !== '').join(': ')
  return <tr class={line.inForce === 'no' ? 'off' : undefined}><td class="mono wrap">{line.pattern}</td><td>{children}{because !== '' && <span class="quiet"> {because}</span>}</td><td><Link to={`/policy?at=${encodeURIComponent(place)}`} row>{line.rule} <span class="quiet">({place})</span></Link></td></tr>
}

function Group({ title, children }: { readonly title: string; readonly children: ComponentChildren }): JSX.Element {
  return <><tr><th colSpan={3} scope="colgroup">{title}</th></tr>{children}</>
}

export function Topics({ publish, subscribe, will, deny }: DeviceTopics): JSX.Element {
  if (publish.length + subscribe.length + will.length === 0) return <p class="quiet">The policy grants it nothing. It can connect where the policy lets it, and say nothing.</p>
  const at = ({ rule, pattern, at: place }: TopicLine): string => `${rule} ${pattern} ${place.line}`
  return (
    <table class="plain">
      <tbody>
        {publish.length > 0 && <Group title="Publish">{publish.map((line) => <Line key={at(line)} line={line}>QoS up to {line.qos}{line.retain ? ', retained' : ''}</Line>)}</Group>}
        {subscribe.length > 0 && <Group title="Subscribe">{subscribe.map((line) => <Line key={at(line)} line={line}>QoS up to {line.qos}</Line>)}</Group>}
        {will.length > 0 && <Group title="Will">{will.map((line) => <Line key={at(line)} line={line} />)}</Group>}
        {deny.length > 0 && <Group title="Forbidden, whatever is granted">{deny.map((line) => <Line key={`${at(line)} ${line.action}`} line={line}>{line.action}</Line>)}</Group>}
      </tbody>
    </table>
  )
}

// The CAs as a chain, and what of the organisation's own ends when: CAs, the certificates of the server, its lists of the revoked.

import type { JSX } from 'preact'
import { useData } from '../api.ts'
import { devicePath, Link } from '../router.tsx'
import type { Ca, Expiring, ExpiringPage } from '../shapes.ts'
import { count, grouped, toneOfExpiry, expiry, type Tone } from '../words.ts'
import { Cli, CopyButton, Facts, State, Time, Trouble, useNow, Waiting } from './shown.tsx'

const TONES: Readonly<Record<string, Tone>> = { current: 'good', trusted: 'good', created: 'soon', replaced: 'soon', retired: 'idle' }
const ROLES: Readonly<Record<string, string>> = { root: 'root', issuing: 'issues certificates', trusted: 'of others, trusted' }

export function Authorities(): JSX.Element {
  const now = useNow()
  const { data, problem, reload } = useData<{ readonly items: readonly Ca[] }>('/v1/ca', ['ca'])
  return (
    <section aria-labelledby="authorities">
      <h2 id="authorities">The chain</h2>
      {problem !== undefined && <Trouble problem={problem} retry={reload} />}
      {data === undefined && problem === undefined && <Waiting />}
      <ol class="chain">
        {data?.items.map((ca) => (
          <li key={ca.name} class={ca.role}>
            <p><strong>{ca.name}</strong> <State tone={TONES[ca.state] ?? 'idle'}>{ca.state}</State> <span class="quiet">{ROLES[ca.role] ?? ca.role}</span></p>
            <Facts rows={[
              ['Subject', <span class="mono">{ca.subject}</span>],
              ['Ends', <span class={`state ${toneOfExpiry(ca.notAfter, now)}`}><Time at={ca.notAfter}>{expiry(ca.notAfter, now)}</Time></span>],
              ['May name', ca.ids === undefined ? undefined : <span class="mono">{ca.ids.join(', ')}</span>],
              ['SHA-256', <span class="mono wrap">{grouped(ca.sha256)}</span>],
            ]} />
            <p><CopyButton text={ca.pem} label="Copy the certificate (PEM)" /></p>
          </li>
        ))}
      </ol>
      <Cli command="sallyport ca show" />
    </section>
  )
}

const DAY_MS = 86_400_000
const WITHIN_DAYS = 30
const OWN_WORDS: Readonly<Record<string, string>> = { crl: 'list of the revoked', 'ocsp-responder': 'OCSP responder', server: 'server certificate', operator: 'operator certificate', root: 'root CA', issuing: 'issuing CA', cross: 'cross certificate', trusted: 'CA of others' }

export function Expiries(): JSX.Element {
  const now = useNow()
  const { data, problem, reload } = useData<ExpiringPage>(`/v1/expiring?withinMs=${WITHIN_DAYS * DAY_MS}&limit=50`, ['ca', 'registry'])
  return (
    <section aria-labelledby="expiries">
      <h2 id="expiries">Ends within {WITHIN_DAYS} days</h2>
      {problem !== undefined && <Trouble problem={problem} retry={reload} />}
      {data?.counted !== undefined && <p class="quiet">{data.counted.own === 0 && data.counted.devices === 0 ? 'Nothing does.' : `${data.counted.own.toLocaleString('en-US')} of the organisation's own, ${count(data.counted.devices, 'certificate')} of devices.`} The lists of the revoked and the OCSP responder renew themselves.</p>}
      <ul class="lines">{data?.items.map((item) => <li key={`${item.kind} ${item.name} ${item.serial ?? ''}`}><Ending {...item} now={now} /></li>)}</ul>
      <Cli command={`sallyport cert expiring --within ${WITHIN_DAYS}d`} />
    </section>
  )
}

/** What renews itself is well while a third of its life is left. */
const RENEWS_ITSELF: ReadonlySet<string> = new Set(['crl', 'ocsp-responder', 'server', 'operator'])

function Ending({ kind, name, notBefore, notAfter, nextWaits, now }: Expiring & { readonly now: number }): JSX.Element {
  const left = (notAfter - now) / (notAfter - notBefore)
  const tone: Tone = notAfter <= now ? 'bad' : RENEWS_ITSELF.has(kind) && left > 1 / 4 ? 'good' : 'soon'
  return <><State tone={tone}>{OWN_WORDS[kind] ?? kind}</State> {kind === 'device' ? <Link to={devicePath(name)} class="mono" row>{name}</Link> : <span class="mono">{name}</span>} {kind === 'crl' && <>made <Time at={notBefore} />, the next one due before it </>}<Time at={notAfter}>{expiry(notAfter, now)}</Time>{nextWaits === true && <span class="quiet"> (its next one waits for its first use)</span>}</>
}

// One refusal: the way that the connection took, tick by tick, down to the step that stopped it; what was seen; which rule; what to
// do about it; and others like it.

import type { JSX } from 'preact'
import { useData } from '../api.ts'
import { HOW_WORDS, whoOf } from '../parts/refusal-rows.tsx'
import { Cli, Facts, Head, Time, Trouble, Waiting } from '../parts/shown.tsx'
import { devicePath, Link } from '../router.tsx'
import { commandIn, inside, triedIn } from '../sentences.ts'
import type { RefusalDetail } from '../shapes.ts'
import { count, expiry, grouped, STEP_WORDS } from '../words.ts'

const STATES = {
  passed: ['✓', 'passed'],
  stopped: ['✕', 'stopped here'],
  perhaps: ['?', 'stopped here, or at another step marked so'],
  'not-reached': ['·', 'not reached'],
  unknown: ['?', 'not known'],
} as const

export function RefusalPage({ id }: { readonly id: string }): JSX.Element {
  const { data, problem, reload } = useData<RefusalDetail>(`/v1/refusals/${encodeURIComponent(id)}`)
  return (
    <>
      <Head title="Refusal"><Link to="/refusals">All refusals</Link></Head>
      {problem !== undefined && <Trouble problem={problem} retry={reload} />}
      {data === undefined ? problem === undefined && <Waiting /> : <Whole {...data} />}
    </>
  )
}

function Whole(refusal: RefusalDetail): JSX.Element {
  const { at, sentence, detail, fix, path, presented, rule, ruleAt, similar, reason, step, clientId, topic, address, port, count: times } = refusal
  const [name, how] = whoOf(refusal)
  const known = how === 'device' ? name : undefined
  const command = commandIn(fix, known, topic)
  const tried = triedIn(reason)
  return (
    <>
      <p class="truth">Refused: {inside(sentence)}{presented?.notAfter !== undefined && reason === 'certificate-expired' ? `: it ${expiry(presented.notAfter, at)}` : ''}, <Time at={at} />.</p>
      <div class="columns">
        <section aria-labelledby="way">
          <h2 id="way">The way it took</h2>
          <ol class="path">
            {path.map(({ name: part, title, state }) => <li key={part} class={state}><span class="tick" aria-hidden="true">{STATES[state][0]}</span><span>{title}<span class="unseen">: {STATES[state][1]}</span></span></li>)}
          </ol>
        </section>
        <div>
          <section aria-labelledby="fix"><h2 id="fix">What to do</h2><p>{fix}</p>{command !== undefined && <Cli command={command} />}{known !== undefined && <p><Link to={devicePath(known)}>Open {known}</Link></p>}{known !== undefined && topic !== undefined && tried !== undefined && <p><Link to={`/policy?${new URLSearchParams({ device: known, does: tried, topic }).toString()}`}>Ask the policy: may it {tried === 'will' ? 'have this Will' : tried} there, and who may?</Link></p>}</section>
          <section aria-labelledby="facts">
            <h2 id="facts">What was seen</h2>
            <Facts rows={[
              ['Who', known === undefined ? <>{HOW_WORDS[how]}<span class="mono">{name}</span></> : <Link to={devicePath(known)} class="mono">{known}</Link>],
              ['Step', STEP_WORDS[step] ?? step],
              ['Reason', <span class="mono">{reason}</span>],
              ['Detail', detail],
              ['Subject', presented?.subject === undefined ? undefined : <span class="mono">{presented.subject}</span>],
              ['Issuer', presented?.issuer === undefined ? undefined : <span class="mono">{presented.issuer}</span>],
              ['Serial', presented?.serial === undefined ? undefined : <Link to={`/certificates?serial=${encodeURIComponent(presented.serial)}`} class="mono">{grouped(presented.serial)}</Link>],
              ['Certificate ends', presented?.notAfter === undefined ? undefined : <Time at={presented.notAfter} />],
              ['SHA-256', presented?.sha256 === undefined ? undefined : <span class="mono wrap">{grouped(presented.sha256)}</span>],
              ['Address', address === undefined ? undefined : <Link to={`/refusals?address=${encodeURIComponent(address)}`} class="mono">{port === undefined ? address : `${address} port ${port}`}</Link>],
              ['Client id', clientId === undefined ? undefined : <span class="mono">{clientId}</span>],
              ['Topic', topic === undefined ? undefined : <span class="mono">{topic}</span>],
              ['Rule', rule === undefined ? undefined : <><span class="mono">{rule}</span>{ruleAt !== undefined && <> at <Link to={`/policy?at=${encodeURIComponent(ruleAt)}`} class="mono">{ruleAt}</Link></>}</>],
              ['Stands for', times > 1 ? count(times, 'refusal') : undefined],
            ]} />
          </section>
          <section aria-labelledby="similar">
            <h2 id="similar">Others like it</h2>
            {similar.newest.length === 0 ? <p class="quiet">None: the same peer was not refused for this before or since.</p> : (
              <>
                <p>{count(similar.count, 'refusal')} of the same peer for the same reason with this one, the first <Time at={similar.first} />, the last <Time at={similar.last} />.</p>
                <ul class="lines">{similar.newest.map((other) => <li key={other.id}><Link to={`/refusals/${other.id}`} row><Time at={other.at} /></Link></li>)}</ul>
              </>
            )}
          </section>
        </div>
      </div>
    </>
  )
}

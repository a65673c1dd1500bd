// Questions to the policy, or to an edit of it that is not in force: may this device do this, and by which line; and who may.

import type { JSX } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { ask, problemFrom, type Problem } from '../api.ts'
import { devicePath, Link } from '../router.tsx'
import { command } from '../shell.ts'
import type { Explanation, PolicyFile, Position, WhoCan } from '../shapes.ts'
import { count } from '../words.ts'
import { REASONS } from '../../vocabulary.ts'
import { Cli, State, Trouble } from './shown.tsx'

const ACTIONS = ['publish', 'subscribe', 'receive', 'will'] as const

const At = ({ at }: { readonly at: Position }): JSX.Element => <Link to={`/policy?at=${encodeURIComponent(`${at.file}:${at.line}`)}`} class="mono">{at.file}:{at.line}</Link>
const sentence = (reason: string): string => Object.entries(REASONS).find(([code]) => code === reason)?.[1].sentence ?? reason

export interface TryProps {
  /** An edit; undefined: what is in force. */
  readonly files: readonly PolicyFile[] | undefined
}

/** What the address asks: a refusal leads here with all of it, a device with its name. */
export interface AskedThere {
  readonly device: string
  readonly does: string
  readonly topic: string
}

/** A question, and the answer to it or what is wrong with it: of the last one that was put. */
function useQuestion<T>(askIt: (question: object) => Promise<T>): { readonly answer: T | undefined; readonly problem: Problem | undefined; readonly put: (question: object) => Promise<void> } {
  const [said, setSaid] = useState<{ readonly answer?: T; readonly problem?: Problem }>({})
  const put = async (question: object): Promise<void> => {
    try {
      setSaid({ answer: await askIt(question) })
    } catch (error) {
      setSaid({ problem: problemFrom(error) })
    }
  }
  return { answer: said.answer, problem: said.problem, put }
}

export function TryIt({ files, asked }: TryProps & { readonly asked: AskedThere }): JSX.Element {
  const [device, setDevice] = useState(asked.device)
  const [action, setAction] = useState<string>(ACTIONS.find((name) => name === asked.does) ?? 'publish')
  const [topic, setTopic] = useState(asked.topic)
  const { answer, problem, put } = useQuestion((question) => ask<Explanation>('POST', '/v1/policy/explain', question))
  const explain = (): void => void put({ device, [action]: topic, ...(files === undefined ? {} : { files }) })
  useEffect(() => {
    if (asked.device !== '' && asked.topic !== '') explain()
  }, [])
  const submit = (event: Event): void => {
    event.preventDefault()
    explain()
  }
  return (
    <section aria-labelledby="try">
      <h2 id="try">Try it{files === undefined ? '' : ', with the edit'}</h2>
      <form onSubmit={submit} class="fields">
        <label class="field">Device<input value={device} required onInput={(event) => setDevice(event.currentTarget.value)} autocomplete="off" spellcheck={false} class="mono" /></label>
        <label class="field">Does<select value={action} onChange={(event) => setAction(event.currentTarget.value)}>{ACTIONS.map((name) => <option key={name}>{name}</option>)}</select></label>
        <label class="field">Topic<input value={topic} required onInput={(event) => setTopic(event.currentTarget.value)} autocomplete="off" spellcheck={false} class="mono" /></label>
        <button type="submit" class="primary">Ask</button>
      </form>
      {problem !== undefined && <Trouble problem={problem} />}
      {answer !== undefined && (
        <div role="status">
          <p><State tone={answer.effect === 'allow' ? 'good' : 'bad'}>{answer.effect === 'allow' ? 'Allowed' : 'Refused'}</State>{answer.rule !== undefined && <> by <span class="mono">{answer.rule}</span>{answer.at !== undefined && <> at <At at={answer.at} /></>}</>}{answer.effect === 'deny' && `: ${sentence(answer.reason)}`}</p>
          {answer.nearest?.map(({ rule, at, line, obstacles }) => <p key={`${rule ?? ''} ${line}`} class="quiet">Near: {rule !== undefined && <><span class="mono">{rule}</span>{at !== undefined && <> at <At at={at} /></>}, </>}{line}; but {obstacles.map(({ message }) => message).join('; and ')}.</p>)}
          {files === undefined && <Cli command={command('policy', 'explain', '--device', device, `--${action}`, topic)} />}
        </div>
      )}
    </section>
  )
}

export function WhoMay({ files, asked }: TryProps & { readonly asked: Pick<AskedThere, 'does' | 'topic'> }): JSX.Element {
  const [action, setAction] = useState<string>(ACTIONS.find((name) => name === asked.does) ?? 'publish')
  const [topic, setTopic] = useState(asked.topic)
  const { answer, problem, put } = useQuestion((question) => ask<WhoCan>('POST', '/v1/policy/who-can', question))
  const submit = (event: Event): void => {
    event.preventDefault()
    void put({ [action]: topic, limit: 50, ...(files === undefined ? {} : { files }) })
  }
  return (
    <section aria-labelledby="who-may">
      <h2 id="who-may">Who may</h2>
      <form onSubmit={submit} class="fields">
        <label class="field">Do<select value={action} onChange={(event) => setAction(event.currentTarget.value)}>{ACTIONS.map((name) => <option key={name}>{name}</option>)}</select></label>
        <label class="field">Topic<input value={topic} required onInput={(event) => setTopic(event.currentTarget.value)} autocomplete="off" spellcheck={false} class="mono" /></label>
        <button type="submit" class="primary">Ask</button>
      </form>
      {problem !== undefined && <Trouble problem={problem} />}
      {answer !== undefined && (
        <div role="status">
          <p>{count(answer.allowed, 'device')} of the {answer.next === undefined ? '' : 'first '}{answer.devices.toLocaleString('en-US')} may.</p>
          <ul class="lines">{answer.items.map(({ device, rule, at }) => <li key={device}><Link to={devicePath(device)} class="mono">{device}</Link> by {rule} at <At at={at} /></li>)}</ul>
          {files === undefined && <Cli command={command('policy', 'who-can', action, topic)} />}
        </div>
      )}
    </section>
  )
}

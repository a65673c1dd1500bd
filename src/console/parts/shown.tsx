// Small things that stand on every page: a time, a state, a problem, an empty page that says what to do first, a command to copy.

import type { ComponentChildren, JSX } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import type { Problem } from '../api.ts'
import { clockBehind, serverNow } from '../clock.ts'
import { makeStore, useStore } from '../store.ts'
import { ago, agoShort, exact, type Tone } from '../words.ts'

/** One clock for all relative times: they go on together, by the time of the server. */
const now = makeStore(serverNow())
const TICK_MS = 10_000
setInterval(() => now.set(serverNow()), TICK_MS)
clockBehind.watch(() => now.set(serverNow()))
export const useNow = (): number => useStore(now)

/** Relative, with the exact time for who points at it, and for machines. `short`: for a column. */
export function Time({ at, short = false, children }: { readonly at: number; readonly short?: boolean; readonly children?: ComponentChildren }): JSX.Element {
  const current = Math.max(useNow(), serverNow())
  const told = exact(at)
  return <time dateTime={told === 'unknown' ? undefined : new Date(at).toISOString()} title={told}>{children ?? (short ? agoShort(at, current) : ago(at, current))}</time>
}

const SHAPES: Readonly<Record<Tone, string>> = { good: '●', soon: '▲', bad: '■', idle: '○' }

/** A state in colour, and in a shape and a word for who sees no colour. */
export function State({ tone, children }: { readonly tone: Tone; readonly children: ComponentChildren }): JSX.Element {
  return <span class={`state ${tone}`}><span aria-hidden="true">{SHAPES[tone]}</span> {children}</span>
}

export function Trouble({ problem, retry }: { readonly problem: Problem; readonly retry?: (() => void) | undefined }): JSX.Element {
  return (
    <div class="trouble" role="alert">
      <p><strong>{problem.detail === undefined || problem.detail === problem.title ? problem.title : `${problem.title.replace(/\.$/, '')}: ${problem.detail}`}</strong></p>
      {problem.hint !== undefined && <p>{problem.hint}</p>}
      {retry !== undefined && <p><button type="button" onClick={retry}>Try again</button></p>}
    </div>
  )
}

export function Waiting(): JSX.Element {
  return <p class="quiet" role="status">Loading…</p>
}

/** What there is to do where there is nothing yet. */
export function Empty({ children, cli }: { readonly children: ComponentChildren; readonly cli?: string }): JSX.Element {
  return <div class="empty"><p>{children}</p>{cli !== undefined && <Cli command={cli} />}</div>
}

const COPIED_MS = 2_000

export function CopyButton({ text, label }: { readonly text: string; readonly label: string }): JSX.Element {
  const [told, setTold] = useState(label)
  useEffect(() => setTold(label), [label, text])
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(text)
      setTold('Copied')
    } catch {
      setTold('Not copied: the browser forbids it')
    }
    setTimeout(() => setTold(label), COPIED_MS)
  }
  return <button type="button" class="small" onClick={() => void copy()} aria-live="polite">{told}</button>
}

/** A command as it is typed, and the way to take it along. */
export function Cli({ command }: { readonly command: string }): JSX.Element {
  return <div class="cli"><code>{command}</code><CopyButton text={command} label="Copy as CLI" /></div>
}

/** A heading of a page, what it is about, and what can be done on it. */
export function Head({ title, children, actions }: { readonly title: string; readonly children?: ComponentChildren; readonly actions?: ComponentChildren }): JSX.Element {
  useEffect(() => {
    document.title = `${title} – Sallyport`
  }, [title])
  return (
    <header class="head">
      <div><h1>{title}</h1>{children !== undefined && <p class="quiet">{children}</p>}</div>
      {actions !== undefined && <div class="actions">{actions}</div>}
    </header>
  )
}

export function Facts({ rows }: { readonly rows: readonly (readonly [string, ComponentChildren] | undefined)[] }): JSX.Element {
  return <dl class="facts">{rows.flatMap((row) => (row === undefined || row[1] === undefined || row[1] === '' ? [] : [<div key={row[0]}><dt>{row[0]}</dt><dd>{row[1]}</dd></div>]))}</dl>
}

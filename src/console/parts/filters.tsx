// Filters that live in the address: a link to a filtered table is a link to what somebody saw.

import type { ComponentChildren, JSX } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { go, usePlace, withQuery } from '../router.tsx'

export function Filters({ children }: { readonly children: ComponentChildren }): JSX.Element {
  return <div class="filters" role="group" aria-label="Filters">{children}</div>
}

/** While somebody types, nothing is asked. */
const PAUSE_MS = 80

export function TextFilter({ name, label }: { readonly name: string; readonly label: string }): JSX.Element {
  const { path, query } = usePlace()
  const given = query.get(name) ?? ''
  const [text, setText] = useState(given)
  useEffect(() => setText(given), [given])
  useEffect(() => {
    if (text === given) return undefined
    const timer = setTimeout(() => go(`${path}${withQuery(query, { [name]: text.trim() })}`, 'replace'), PAUSE_MS)
    return () => clearTimeout(timer)
  }, [text])
  return <label>{label}<input value={text} onInput={(event) => setText(event.currentTarget.value)} autocomplete="off" spellcheck={false} /></label>
}

export interface ChoiceProps {
  readonly name: string
  readonly label: string
  /** The word for no filter. */
  readonly all: string
  readonly options: readonly (readonly [value: string, word: string])[]
}

export function Choice({ name, label, all, options }: ChoiceProps): JSX.Element {
  const { path, query } = usePlace()
  return (
    <label>{label}
      <select value={query.get(name) ?? ''} onChange={(event) => go(`${path}${withQuery(query, { [name]: event.currentTarget.value })}`, 'replace')}>
        <option value="">{all}</option>
        {options.map(([value, word]) => <option key={value} value={value}>{word}</option>)}
      </select>
    </label>
  )
}

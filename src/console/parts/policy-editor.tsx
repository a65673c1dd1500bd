// The text of a policy file, with its lines numbered and what was found marked beside them.

import type { JSX } from 'preact'
import { useEffect, useMemo, useRef } from 'preact/hooks'
import type { Mark } from '../sentences.ts'

export interface EditorProps {
  readonly label: string
  readonly text: string
  /** The line that is meant, from 1. */
  readonly line: number | undefined
  readonly marks: readonly Mark[]
  readonly onText: (text: string) => void
}

export function Editor({ label, text, line, marks, onText }: EditorProps): JSX.Element {
  const area = useRef<HTMLTextAreaElement>(null)
  const lines = useMemo(() => text.split('\n').length, [text])
  const marked = new Map(marks.map((mark) => [mark.line, mark]))
  const select = (number: number): void => {
    const field = area.current
    if (field === null) return
    const before = field.value.split('\n').slice(0, number - 1).join('\n').length
    const start = number === 1 ? 0 : before + 1
    field.focus()
    field.setSelectionRange(start, start + (field.value.split('\n')[number - 1]?.length ?? 0))
  }
  useEffect(() => {
    if (line !== undefined) select(line)
  }, [line, label])
  return (
    <div class="editor">
      <div class="text">
        <pre aria-hidden="true" class="gutter">{Array.from({ length: lines }, (_, index) => index + 1).map((number) => <span key={number} class={number === line ? 'here' : marked.get(number)?.isError === true ? 'bad' : marked.has(number) ? 'soon' : undefined}>{`${marked.has(number) ? '▸' : ' '}${number}\n`}</span>)}</pre>
        <textarea ref={area} aria-label={`Text of ${label}`} value={text} rows={lines} onInput={(event) => onText(event.currentTarget.value)} spellcheck={false} wrap="off" />
      </div>
      {marks.length > 0 && <ul class="lines" aria-label="Findings">{marks.map((mark) => <li key={`${mark.line} ${mark.message}`}><button type="button" class="small" onClick={() => select(mark.line)}>Line {mark.line}</button> <span class={`state ${mark.isError ? 'bad' : 'soon'}`}><span aria-hidden="true">{mark.isError ? '■' : '▲'}</span> {mark.message}</span></li>)}</ul>}
    </div>
  )
}

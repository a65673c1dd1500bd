// A question before something happens: what exactly will happen, the same as a command, and for what concerns many or cannot be
// undone the thing's name to be typed.

import type { ComponentChildren, JSX } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { problemFrom, type Problem } from '../api.ts'
import { Cli, Trouble } from './shown.tsx'

export interface DialogProps {
  readonly title: string
  readonly children: ComponentChildren
  readonly onClose: () => void
}

export function Dialog({ title, children, onClose }: DialogProps): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null)
  useEffect(() => {
    const before = document.activeElement
    dialog.current?.showModal()
    return () => {
      if (before instanceof HTMLElement) before.focus()
    }
  }, [])
  return (
    <dialog ref={dialog} aria-labelledby="dialog-title" onClose={onClose} onCancel={onClose}>
      <h2 id="dialog-title">{title}</h2>
      {children}
    </dialog>
  )
}

export interface ConfirmProps {
  readonly title: string
  /** What will happen, as sentences. */
  readonly children: ComponentChildren
  readonly verb: string
  readonly cli?: string
  /** It must be typed before anything happens. */
  readonly typed?: string
  readonly danger?: boolean
  /** It does not close by itself when it is done: what comes of it is shown in its place. */
  readonly keep?: boolean
  readonly act: () => Promise<unknown>
  readonly onClose: () => void
}

export function Confirm({ title, children, verb, cli, typed, danger = false, keep = false, act, onClose }: ConfirmProps): JSX.Element {
  const [text, setText] = useState('')
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState<Problem>()
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault()
    if (busy || (typed !== undefined && text !== typed)) return
    setBusy(true)
    try {
      await act()
      if (!keep) onClose()
    } catch (error) {
      setProblem(problemFrom(error))
      setBusy(false)
    }
  }
  return (
    <Dialog title={title} onClose={onClose}>
      <form onSubmit={(event) => void submit(event)}>
        {children}
        {typed !== undefined && <label class="field">Type {typed} to go on<input value={text} onInput={(event) => setText(event.currentTarget.value)} autocomplete="off" spellcheck={false} class="mono" /></label>}
        {cli !== undefined && <Cli command={cli} />}
        {problem !== undefined && <Trouble problem={problem} />}
        <div class="actions">
          <button type="button" onClick={onClose}>Cancel</button>
          <button type="submit" class={danger ? 'danger' : 'primary'} disabled={busy || (typed !== undefined && text !== typed)}>{busy ? 'Working…' : verb}</button>
        </div>
      </form>
    </Dialog>
  )
}

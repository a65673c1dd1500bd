// The page on which a person signs in. A link from the start of the server signs in by itself: its secret stands behind the #,
// is taken out of the address first, and is good once.

import type { JSX } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { ask, problemFrom, type Problem } from './api.ts'
import { Cli, Trouble } from './parts/shown.tsx'

export interface LoginProps {
  /** There was a session, and it is over. */
  readonly ended: boolean
  readonly onSignedIn: () => void
}

const LINK = /^#link=([A-Za-z0-9_-]{20,64})$/

/** The secret of the link by which this page was opened. Neither the history nor a bookmark keeps it. */
function takeLink(): string | undefined {
  const link = LINK.exec(location.hash)?.[1]
  if (link !== undefined) history.replaceState(null, '', location.pathname + location.search)
  return link
}

export function Login({ ended, onSignedIn }: LoginProps): JSX.Element {
  const [text, setText] = useState('')
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState<Problem>()
  const signIn = async (link: string): Promise<void> => {
    setBusy(true)
    try {
      await ask('POST', '/console/session', { link })
      onSignedIn()
    } catch (error) {
      setProblem(problemFrom(error))
      setBusy(false)
    }
  }
  useEffect(() => {
    document.title = 'Sign in – Sallyport'
    const open = (): void => {
      const link = takeLink()
      if (link !== undefined) void signIn(link)
    }
    open()
    addEventListener('hashchange', open)
    return () => removeEventListener('hashchange', open)
  }, [])
  const submit = (event: Event): void => {
    event.preventDefault()
    const link = text.trim().split('#link=').at(-1)
    if (link !== undefined && link !== '') void signIn(link)
  }
  if (busy) return <main class="alone"><h1>Sallyport</h1><p role="status">Signing in…</p></main>
  return (
    <main class="alone">
      <h1>Sign in to Sallyport</h1>
      {problem !== undefined && <Trouble problem={problem} />}
      {problem === undefined && ended && <p role="status">Your session has ended. Sign in again.</p>}
      <h2>On the machine of the server</h2>
      <p>Print a link that opens the console once, and open it in a browser there.</p>
      <Cli command="sallyport console" />
      <form onSubmit={submit}>
        <label class="field">Or paste the link here<input value={text} onInput={(event) => setText(event.currentTarget.value)} autocomplete="off" spellcheck={false} class="mono" /></label>
        <button type="submit" class="primary" disabled={text.trim() === ''}>Sign in</button>
      </form>
      <h2>From anywhere else</h2>
      <p>Import an operator certificate (PKCS#12) into this browser, load this page again, and choose the certificate when the browser asks.</p>
      <p><button type="button" onClick={() => location.reload()}>Load again</button></p>
    </main>
  )
}

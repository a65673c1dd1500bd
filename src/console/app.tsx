// Who is signed in decides what there is: the page to sign in, or the frame with the page that the address names.

import type { JSX } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { ask, problemFrom, signedOut, type Problem } from './api.ts'
import { Frame } from './frame.tsx'
import { startLive, stopLive } from './live.ts'
import { Login } from './login.tsx'
import { Audit } from './pages/audit.tsx'
import { Certificates } from './pages/certificates.tsx'
import { Connections } from './pages/connections.tsx'
import { DevicePage } from './pages/device.tsx'
import { Devices } from './pages/devices.tsx'
import { Enrollment } from './pages/enrollment.tsx'
import { Overview } from './pages/overview.tsx'
import { PolicyPage } from './pages/policy.tsx'
import { RefusalPage } from './pages/refusal.tsx'
import { Refusals } from './pages/refusals.tsx'
import { Reports } from './pages/reports.tsx'
import { Settings } from './pages/settings.tsx'
import { Empty, Head, Trouble } from './parts/shown.tsx'
import { match, usePlace } from './router.tsx'
import type { Session } from './shapes.ts'
import { useStore } from './store.ts'

type Page = (found: Readonly<Record<string, string>>) => JSX.Element

const PAGES: readonly (readonly [pattern: string, page: Page])[] = [
  ['/', () => <Overview />],
  ['/devices', () => <Devices />],
  ['/devices/:id', ({ id = '' }) => <DevicePage key={id} id={id} />],
  ['/connections', () => <Connections />],
  ['/refusals', () => <Refusals />],
  ['/refusals/:id', ({ id = '' }) => <RefusalPage key={id} id={id} />],
  ['/enrollment', () => <Enrollment />],
  ['/policy', () => <PolicyPage />],
  ['/certificates', () => <Certificates />],
  ['/reports', () => <Reports />],
  ['/audit', () => <Audit />],
  ['/settings', () => <Settings />],
]

function pageOf(path: string): JSX.Element {
  for (const [pattern, page] of PAGES) {
    const found = match(pattern, path)
    if (found !== undefined) return page(found)
  }
  return <><Head title="No such page" /><Empty>There is nothing at this address. Choose a page on the left, or search with /.</Empty></>
}

export function App(): JSX.Element {
  const [session, setSession] = useState<Session>()
  const [problem, setProblem] = useState<Problem>()
  const ended = useStore(signedOut)
  const { path } = usePlace()
  const look = async (): Promise<void> => {
    try {
      const found = await ask<Session>('GET', '/console/session')
      signedOut.set(false)
      setSession(found)
      setProblem(undefined)
    } catch (error) {
      setProblem(problemFrom(error))
    }
  }
  useEffect(() => void look(), [])
  const isIn = session?.signedIn === true && !ended
  useEffect(() => {
    if (!isIn) return undefined
    startLive()
    return stopLive
  }, [isIn])
  if (problem !== undefined) return <main class="alone"><h1>Sallyport</h1><Trouble problem={problem} retry={() => void look()} /></main>
  if (session === undefined) return <main class="alone" aria-busy="true" />
  if (!isIn) return <Login ended={ended || session.ended === true} onSignedIn={() => void look()} />
  return <Frame session={session}>{pageOf(path)}</Frame>
}

// Who is signed in decides what there is: the page to sign in, or the frame with the page that the address names.

import type { JSX } from 'preact'
import { useCallback, useEffect, useState } from 'preact/hooks'
import { ask, problemFrom, roleDoubted, signedOut, type Problem } from './api.ts'
import { Frame } from './frame.tsx'
import { onEvents, startLive, stopLive, turnedAway } from './live.ts'
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
import { signedIn } from './who.tsx'

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

/** Of what these pages show an operator of a tenant is told nothing. */
const ALL_TENANTS: ReadonlySet<string> = new Set(['/policy', '/reports', '/audit', '/settings'])

function pageOf(path: string, tenant: string | undefined): JSX.Element {
  if (tenant !== undefined && path === '/') return <Devices />
  if (tenant !== undefined && ALL_TENANTS.has(path)) return <><Head title="Not of your tenant" /><Empty>This page is about the whole organisation, and you see what is of {tenant}.</Empty></>
  for (const [pattern, page] of PAGES) {
    const found = match(pattern, path)
    if (found !== undefined) return page(found)
  }
  return <><Head title="No such page" /><Empty>There is nothing at this address. Choose a page on the left, or search with /.</Empty></>
}

/** Many changes at once are one look. */
const SETTLE_MS = 500

export function App(): JSX.Element {
  const session = useStore(signedIn)
  const [problem, setProblem] = useState<Problem>()
  const ended = useStore(signedOut)
  const { path } = usePlace()
  const look = useCallback(async (refresh = false): Promise<void> => {
    try {
      const found = await ask<Session>('GET', '/console/session', undefined, { refresh })
      signedOut.set(false)
      setSession(found)
      setProblem(undefined)
    } catch (error) {
      // A server that is away for a moment takes nothing off the page: the frame says that it is away.
      if (signedIn.get() === undefined) setProblem(problemFrom(error))
    }
  }, [])
  useEffect(() => void look(), [])
  useEffect(() => watchRole(() => void look(true)), [])
  const isIn = session?.signedIn === true && !ended
  useEffect(() => {
    if (!isIn) return undefined
    startLive()
    return stopLive
  }, [isIn])
  if (problem !== undefined) return <main class="alone"><h1>Sallyport</h1><Trouble problem={problem} retry={() => void look()} /></main>
  if (session === undefined) return <main class="alone" aria-busy="true" />
  if (!isIn) return <Login ended={ended || session.ended === true} onSignedIn={() => void look()} />
  return <Frame session={session}>{pageOf(path, session.tenant)}</Frame>
}

/** The same answer again changes nothing on the page. */
function setSession(found: Session): void {
  if (JSON.stringify(found) !== JSON.stringify(signedIn.get())) signedIn.set(found)
}

/** Looks again when somebody may have another role, or none any longer, while a page is open. Returns the way to stop. */
function watchRole(look: () => void): () => void {
  let settling: ReturnType<typeof setTimeout> | undefined
  const soon = (): void => {
    settling ??= setTimeout(() => {
      settling = undefined
      look()
    }, SETTLE_MS)
  }
  const stops = [onEvents(['registry'], soon), roleDoubted.watch(soon), turnedAway.watch(soon)]
  return () => {
    clearTimeout(settling)
    for (const stop of stops) stop()
  }
}

// What stands around every page: the rail with its words, the search, the health of the server as one sentence, and the keys.

import type { ComponentChildren, JSX } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { ask, signedOut, useData } from './api.ts'
import { installKeys, KEYS } from './keys.ts'
import { clockBehind } from './clock.ts'
import { stream } from './live.ts'
import { Dialog } from './parts/dialog.tsx'
import { State } from './parts/shown.tsx'
import { devicePath, go, Link, usePlace } from './router.tsx'
import { healthOf, placeOf } from './sentences.ts'
import type { Session, Status } from './shapes.ts'
import { useStore } from './store.ts'
import { duration, exact } from './words.ts'

const RAIL = [
  ['/', 'Overview'], ['/devices', 'Devices'], ['/connections', 'Connections'], ['/refusals', 'Refusals'], ['/enrollment', 'Enrollment'], ['/policy', 'Policy'],
  ['/certificates', 'Certificates'], ['/reports', 'Reports'], ['/audit', 'Audit'], ['/settings', 'Settings'],
] as const

/** What there is for an operator of a tenant. */
const OF_A_TENANT: readonly string[] = ['/devices', '/connections', '/refusals', '/enrollment', '/certificates']

export interface FrameProps {
  readonly session: Session
  readonly children: ComponentChildren
}

export function Frame({ session, children }: FrameProps): JSX.Element {
  const { path } = usePlace()
  const [help, setHelp] = useState(false)
  useEffect(() => installKeys({ help: () => setHelp(true), go }), [])
  const content = useRef<HTMLElement>(null)
  const before = useRef(path)
  useEffect(() => {
    // In a narrow window the rail is a line that is longer than the window.
    document.querySelector('.rail [aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'nearest' })
    // What had the focus went with the page before: who reads with ears or keys goes on at the new one, and not at the top of all.
    if (before.current !== path && (document.activeElement === null || document.activeElement === document.body)) content.current?.focus({ preventScroll: true })
    before.current = path
  }, [path])
  const rail = RAIL.filter(([to]) => session.tenant === undefined || OF_A_TENANT.includes(to))
  return (
    <div class="frame">
      <a class="skip" href="#content">Skip to the content</a>
      <nav class="rail" aria-label="Pages">
        <p class="mark" aria-hidden="true">Sallyport</p>
        <ul>{rail.map(([to, word]) => <li key={to}><Link to={to} current={to === '/' ? path === '/' : path === to || path.startsWith(`${to}/`)}>{word}</Link></li>)}</ul>
      </nav>
      <header class="top">
        <Search />
        {session.tenant === undefined ? <Health /> : <p class="health quiet">Tenant {session.tenant}</p>}
        <Who session={session} onHelp={() => setHelp(true)} />
      </header>
      <main id="content" ref={content} tabIndex={-1}><Notices />{children}</main>
      {help && <Help onClose={() => setHelp(false)} />}
    </div>
  )
}

function Search(): JSX.Element {
  const [text, setText] = useState('')
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault()
    const wanted = text.trim()
    if (wanted === '') return
    const to = placeOf(wanted)
    setText('')
    // Who types a whole id means this device.
    if (to.startsWith('/devices?') && (await exists(wanted))) go(devicePath(wanted))
    else go(to)
  }
  return (
    <form role="search" onSubmit={(event) => void submit(event)}>
      <label><span class="unseen">Find a device, a serial number or a reason</span>
        <input id="search" type="search" value={text} placeholder="Find a device, serial or reason ( / )" onInput={(event) => setText(event.currentTarget.value)} autocomplete="off" spellcheck={false} />
      </label>
    </form>
  )
}

const DEVICE_ID = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/

async function exists(id: string): Promise<boolean> {
  if (!DEVICE_ID.test(id)) return false
  try {
    await ask('GET', `/v1${devicePath(id)}`)
    return true
  } catch {
    return false
  }
}

/** A clock that is wrong by less bothers nobody. */
const SKEW_TOLD_MS = 120_000

/** What is wrong with this page itself: that it is out of reach of the server, or that the clock here is wrong. */
function Notices(): JSX.Element {
  const state = useStore(stream)
  const behind = useStore(clockBehind)
  return (
    <div role="status" class="notices">
      {state === 'broken' && <p><State tone="bad">The connection to the server is broken. This page shows how things were, and tries again by itself.</State></p>}
      {Math.abs(behind) >= SKEW_TOLD_MS && <p><State tone="soon">The clock of this machine is {duration(behind)} {behind > 0 ? 'behind' : 'ahead of'} the server's. Times on this page go by the server's.</State></p>}
    </div>
  )
}

function Health(): JSX.Element {
  const { data, problem } = useData<Status>('/v1/status', ['ca', 'server', 'policy'])
  const live = useStore(stream) === 'live'
  if (problem !== undefined) return <p class="health"><State tone="bad">{problem.title.replace(/\.$/, '')}</State></p>
  if (data === undefined) return <p class="health"><State tone="idle">Asking the server</State></p>
  const [tone, sentence] = healthOf(data)
  return <p class="health"><State tone={tone}>{`${sentence}, version ${data.version}${live ? '' : ', refreshed every half minute'}`}</State></p>
}

function Who({ session, onHelp }: { readonly session: Session; readonly onHelp: () => void }): JSX.Element {
  const signOut = async (): Promise<void> => {
    await ask('POST', '/console/session/end', {})
    signedOut.set(true)
  }
  return (
    <div class="who">
      <button type="button" class="small" onClick={onHelp} aria-label="Keys">?</button>
      {session.via === 'link'
        ? <button type="button" class="small" title={session.endsAt === undefined ? undefined : `This session ends at ${exact(session.endsAt)} if nobody does anything`} onClick={() => void signOut()}>Sign out</button>
        : <span class="quiet" title="Signed in by certificate">{session.name}, {session.role}{session.tenant === undefined ? '' : ` of ${session.tenant}`}</span>}
    </div>
  )
}

function Help({ onClose }: { readonly onClose: () => void }): JSX.Element {
  const close = useRef<HTMLButtonElement>(null)
  useEffect(() => close.current?.focus(), [])
  return (
    <Dialog title="Keys" onClose={onClose}>
      <dl class="facts">{KEYS.map(([key, what]) => <div key={key}><dt><kbd>{key}</kbd></dt><dd>{what}</dd></div>)}</dl>
      <div class="actions"><button type="button" ref={close} onClick={onClose}>Close</button></div>
    </Dialog>
  )
}

// The admin API as the console asks it: same origin, JSON, problems as RFC 9457 has them. When the session is over, everybody
// who watches is told.

import { useCallback, useEffect, useRef, useState } from 'preact/hooks'
import { noteServerTime } from './clock.ts'
import { onEvents, type EventKind } from './live.ts'
import { makeStore } from './store.ts'

export interface Problem {
  readonly status: number
  readonly code: string
  readonly title: string
  readonly detail?: string
  readonly hint?: string
}

class Refused extends Error {
  readonly problem: Problem
  constructor(problem: Problem) {
    super(problem.title)
    this.problem = problem
  }
}

/** Set when an answer says that nobody is signed in any longer. */
export const signedOut = makeStore(false)
/** Counts the answers that say that the role is not enough: what is offered was right once, and is so no longer. */
export const roleDoubted = makeStore(0)
const ENDED: ReadonlySet<string> = new Set(['console-session-ended', 'console-link-remote', 'operator-required'])
/** A request that takes longer is given up: a page says so and does not wait for ever. */
const ANSWER_MS = 30_000

export interface AskOptions {
  readonly signal?: AbortSignal
  /** Nobody asked for it by hand: it keeps no session alive. */
  readonly refresh?: boolean
}

/** Throws Refused. */
export async function ask<T>(method: 'GET' | 'POST' | 'PATCH' | 'DELETE', path: string, body?: unknown, { signal, refresh = false }: AskOptions = {}): Promise<T> {
  const headers: Record<string, string> = { accept: 'application/json' }
  if (body !== undefined) headers['content-type'] = 'application/json'
  if (refresh) headers['sallyport-refresh'] = '1'
  const deadline = AbortSignal.timeout(ANSWER_MS)
  let response: Response
  try {
    response = await fetch(path, { method, headers, credentials: 'same-origin', cache: 'no-store', redirect: 'error', signal: signal === undefined ? deadline : AbortSignal.any([signal, deadline]), ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
  } catch (error) {
    if (signal?.aborted === true) throw error
    throw new Refused({ status: 0, code: 'unreachable', title: 'The server does not answer.', hint: 'Look whether it runs, and whether this machine still reaches it.' })
  }
  noteServerTime(response.headers.get('date'))
  return await answered<T>(response)
}

/** The one place where an answer becomes what it is said to be. */
async function answered<T>(response: Response): Promise<T> {
  const text = await response.text()
  if (response.ok) return (text === '' ? undefined : JSON.parse(text)) as T
  const problem = problemOf(response.status, text)
  if (ENDED.has(problem.code)) signedOut.set(true)
  if (problem.code === 'role-insufficient' || problem.code === 'tenant-insufficient') roleDoubted.set(roleDoubted.get() + 1)
  throw new Refused(problem)
}

function problemOf(status: number, text: string): Problem {
  try {
    const { code, title, detail, hint } = JSON.parse(text) as Partial<Problem>
    return { status, code: code ?? 'unknown', title: title ?? `The server answered with ${status}.`, ...(detail === undefined ? {} : { detail }), ...(hint === undefined ? {} : { hint }) }
  } catch {
    return { status, code: 'unknown', title: `The server answered with ${status}, and with nothing that this page can read.` }
  }
}

export function problemFrom(error: unknown): Problem {
  if (error instanceof Refused) return error.problem
  return { status: 0, code: 'unknown', title: error instanceof Error ? error.message : 'Something failed.' }
}

export interface Loaded<T> {
  readonly data: T | undefined
  readonly problem: Problem | undefined
  readonly reload: () => void
}

const REFRESH_MS = 30_000
/** Many events at once are one look. */
const SETTLE_MS = 400

/**
 * What `path` answers, again whenever something of these kinds has happened, and every half minute. While it is asked again the old
 * answer stays. `undefined`: nothing is asked.
 */
export function useData<T>(path: string | undefined, kinds: readonly EventKind[] = []): Loaded<T> {
  const [state, setState] = useState<{ readonly path: string | undefined; readonly data: T | undefined; readonly problem: Problem | undefined }>({ path, data: undefined, problem: undefined })
  const running = useRef<AbortController>(undefined)
  const load = useCallback(async (refresh: boolean) => {
    if (path === undefined) return
    running.current?.abort()
    const controller = new AbortController()
    running.current = controller
    try {
      const data = await ask<T>('GET', path, undefined, { signal: controller.signal, refresh })
      if (!controller.signal.aborted) setState({ path, data, problem: undefined })
    } catch (error) {
      if (!controller.signal.aborted) setState((before) => ({ path, data: before.path === path ? before.data : undefined, problem: problemFrom(error) }))
    }
  }, [path])
  useEffect(() => {
    void load(false)
    let settling: ReturnType<typeof setTimeout> | undefined
    const look = (): void => {
      settling ??= setTimeout(() => {
        settling = undefined
        if (!document.hidden) void load(true)
      }, SETTLE_MS)
    }
    const timer = setInterval(look, REFRESH_MS)
    const stop = onEvents(kinds, look)
    return () => {
      clearInterval(timer)
      clearTimeout(settling)
      stop()
      running.current?.abort()
    }
  }, [load, kinds.join()])
  const current = state.path === path
  return { data: current ? state.data : undefined, problem: current ? state.problem : undefined, reload: () => void load(false) }
}

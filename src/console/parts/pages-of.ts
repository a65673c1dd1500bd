// A list that comes in pages by keyset: the first at once, each further one when it is asked for, and all of them for a file.

import { useCallback, useEffect, useRef, useState } from 'preact/hooks'
import { ask, problemFrom, type Problem } from '../api.ts'
import { onEvents, type EventKind } from '../live.ts'
import type { Page } from '../shapes.ts'

export interface Listed<Row, Answer> {
  readonly rows: readonly Row[]
  /** The first page, for what it says beside its items. */
  readonly first: Answer | undefined
  readonly problem: Problem | undefined
  readonly loading: boolean
  /** Undefined at the end. */
  readonly more: (() => void) | undefined
  readonly reload: () => void
}

const withAfter = (path: string, after: string | undefined): string => (after === undefined ? path : `${path}${path.includes('?') ? '&' : '?'}after=${encodeURIComponent(after)}`)
const SETTLE_MS = 1_000

/** `path` has its filters and the size of a page. Where something happens, the list is fetched anew while only its first page is shown. */
export function usePages<Row, Answer extends Page<Row>>(path: string, kinds: readonly EventKind[] = []): Listed<Row, Answer> {
  const [state, setState] = useState<{ readonly path: string; readonly rows: readonly Row[]; readonly first: Answer | undefined; readonly next: string | undefined; readonly pages: number; readonly problem: Problem | undefined }>({ path, rows: [], first: undefined, next: undefined, pages: 0, problem: undefined })
  const busy = useRef<AbortController>(undefined)
  const latest = useRef(state)
  latest.current = state

  const fetchPage = useCallback(async (after: string | undefined, refresh = false) => {
    busy.current?.abort()
    const controller = new AbortController()
    busy.current = controller
    try {
      const answer = await ask<Answer>('GET', withAfter(path, after), undefined, { signal: controller.signal, refresh })
      if (controller.signal.aborted) return
      setState((before) => (after === undefined
        ? { path, rows: answer.items, first: answer, next: answer.next, pages: 1, problem: undefined }
        : { ...before, rows: [...before.rows, ...answer.items], next: answer.next, pages: before.pages + 1, problem: undefined }))
    } catch (error) {
      if (!controller.signal.aborted) setState((before) => (before.path === path ? { ...before, problem: problemFrom(error) } : { path, rows: [], first: undefined, next: undefined, pages: 0, problem: problemFrom(error) }))
    } finally {
      if (busy.current === controller) busy.current = undefined
    }
  }, [path])

  useEffect(() => {
    void fetchPage(undefined)
    let settling: ReturnType<typeof setTimeout> | undefined
    // Who has scrolled far keeps what is on the screen; the next visit shows what is new.
    const stop = onEvents(kinds, () => {
      settling ??= setTimeout(() => {
        settling = undefined
        if (latest.current.pages <= 1 && busy.current === undefined && !document.hidden) void fetchPage(undefined, true)
      }, SETTLE_MS)
    })
    return () => {
      stop()
      clearTimeout(settling)
      busy.current?.abort()
    }
  }, [fetchPage, kinds.join()])

  const more = useCallback(() => {
    const { next, path: of } = latest.current
    if (next !== undefined && of === path && busy.current === undefined) void fetchPage(next)
  }, [fetchPage, path, state.next])
  const isCurrent = state.path === path
  return {
    rows: state.rows, first: isCurrent ? state.first : undefined, problem: isCurrent ? state.problem : undefined,
    loading: !isCurrent || (state.first === undefined && state.problem === undefined),
    more: isCurrent && state.next !== undefined ? more : undefined, reload: () => void fetchPage(undefined),
  }
}

/** Everything, page by page, for a file. */
export async function everything<Row>(path: string, tell: (count: number) => void, signal: AbortSignal): Promise<readonly Row[]> {
  const rows: Row[] = []
  let after: string | undefined
  do {
    const { items, next } = await ask<Page<Row>>('GET', withAfter(path, after), undefined, { signal })
    for (const item of items) rows.push(item)
    tell(rows.length)
    after = next
  } while (after !== undefined)
  return rows
}

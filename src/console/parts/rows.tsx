// A table of any length: only the rows that are seen are in the page, and the next part is asked for before its end is reached.
// Rows have one height, so that where each stands is known without asking the browser.

import type { ComponentChildren, JSX } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'

export interface Column<Row> {
  readonly head: string
  /** A track of the grid, as '2fr' or '120px'. */
  readonly width: string
  /** Where the window is narrow, if another one. */
  readonly narrow?: string
  readonly cell: (row: Row) => ComponentChildren
  /** Left out where the window is narrow. */
  readonly wide?: boolean
  readonly number?: boolean
}

export interface RowsProps<Row> {
  readonly label: string
  readonly columns: readonly Column<Row>[]
  readonly rows: readonly Row[]
  readonly keyOf: (row: Row) => string
  /** There are more, and this brings them. */
  readonly more?: (() => void) | undefined
  /** How many there are in all, where that is known. */
  readonly total?: number | undefined
}

const ROW_PX = 36
/** Rows beyond the window that are there already: for the keyboard, and for quick hands. */
const SPARE = 12
const NARROW = '(max-width: 760px)'

/** The least width of a column holds where there is room: on a narrow screen a text is cut off before the page is wider than its window. */
const yielding = (width: string): string => width.replace(/^minmax\(\d+px/, 'minmax(0')

function useNarrow(): boolean {
  const [narrow, setNarrow] = useState(() => matchMedia(NARROW).matches)
  useEffect(() => {
    const query = matchMedia(NARROW)
    const look = (): void => setNarrow(query.matches)
    query.addEventListener('change', look)
    return () => query.removeEventListener('change', look)
  }, [])
  return narrow
}

export function Rows<Row>({ label, columns, rows, keyOf, more, total }: RowsProps<Row>): JSX.Element {
  const body = useRef<HTMLDivElement>(null)
  const [seen, setSeen] = useState({ first: 0, last: 60 })
  const narrow = useNarrow()
  const shown = columns.filter(({ wide }) => !(narrow && wide === true))
  const tracks = shown.map((column) => (narrow ? column.narrow ?? yielding(column.width) : column.width)).join(' ')
  useEffect(() => {
    const look = (): void => {
      const top = body.current?.getBoundingClientRect().top ?? 0
      const first = Math.max(0, Math.floor(-top / ROW_PX) - SPARE)
      const last = Math.max(first, Math.ceil((innerHeight - top) / ROW_PX)) + SPARE
      setSeen((before) => (before.first === first && before.last === last ? before : { first, last }))
    }
    look()
    addEventListener('scroll', look, { passive: true })
    addEventListener('resize', look)
    // What stands above may come later, and push the table down.
    const watcher = new ResizeObserver(look)
    watcher.observe(document.body)
    return () => {
      watcher.disconnect()
      removeEventListener('scroll', look)
      removeEventListener('resize', look)
    }
  }, [rows.length])
  const nearEnd = seen.last + SPARE >= rows.length
  useEffect(() => {
    if (nearEnd) more?.()
    // A page may bring no row, and not be the last: `more` is another one after each.
  }, [nearEnd, rows.length, more])
  const visible = rows.slice(seen.first, seen.last)
  return (
    <div class="rows" role="table" aria-label={label} aria-rowcount={total ?? (more === undefined ? rows.length + 1 : -1)}>
      <div role="rowgroup"><div class="row heads" role="row" style={{ gridTemplateColumns: tracks }}>
        {shown.map(({ head, number }) => <div key={head} role="columnheader" class={number === true ? 'number' : undefined}>{head}</div>)}
      </div></div>
      <div ref={body} role="rowgroup" class="body" style={{ height: `${rows.length * ROW_PX}px` }}>
        {visible.map((row, index) => (
          <div key={keyOf(row)} class="row" role="row" aria-rowindex={seen.first + index + 2} style={{ gridTemplateColumns: tracks, transform: `translateY(${(seen.first + index) * ROW_PX}px)` }}>
            {shown.map(({ head, cell, number }) => <div key={head} role="cell" class={number === true ? 'number' : undefined}>{cell(row)}</div>)}
          </div>
        ))}
      </div>
    </div>
  )
}

// The buttons that make a file of a table: everything that the filters leave, not only what is on the screen.

import type { JSX } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { problemFrom, type Problem } from '../api.ts'
import { csv, json, type ExportColumn } from '../export-table.ts'
import { everything } from './pages-of.ts'
import { Trouble } from './shown.tsx'

export interface ExportProps<Row> {
  /** Of the list, with its filters. */
  readonly path: string
  /** Of the file, without its ending. */
  readonly name: string
  readonly columns: readonly ExportColumn<Row>[]
}

export function Export<Row>({ path, name, columns }: ExportProps<Row>): JSX.Element {
  const [progress, setProgress] = useState<number>()
  const [problem, setProblem] = useState<Problem>()
  const running = useRef<AbortController>(undefined)
  useEffect(() => () => running.current?.abort(), [])
  const make = async (kind: 'csv' | 'json'): Promise<void> => {
    const controller = new AbortController()
    running.current = controller
    setProblem(undefined)
    setProgress(0)
    try {
      const rows = await everything<Row>(path, setProgress, controller.signal)
      save(`${name}.${kind}`, kind === 'csv' ? csv(columns, rows) : json(rows), kind === 'csv' ? 'text/csv' : 'application/json')
    } catch (error) {
      if (!controller.signal.aborted) setProblem(problemFrom(error))
    }
    setProgress(undefined)
  }
  if (progress !== undefined) return <button type="button" onClick={() => running.current?.abort()}>{progress.toLocaleString('en-US')} rows… Cancel</button>
  return (
    <>
      <button type="button" onClick={() => void make('csv')}>Export CSV</button>
      <button type="button" onClick={() => void make('json')}>Export JSON</button>
      {problem !== undefined && <Trouble problem={problem} />}
    </>
  )
}

/** Hands a text to the browser as a file. */
export function save(name: string, text: string, type: string): void {
  const url = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }))
  const anchor = document.createElement('a')
  anchor.href = url
  anchor.download = name
  anchor.click()
  setTimeout(() => URL.revokeObjectURL(url), 0)
}

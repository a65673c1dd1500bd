// What a person sees while a run goes on: on a terminal one line that changes, elsewhere a plain line now and then. It goes
// to standard error; standard output is for results.

import { SIM_LIMITS } from '../limits.ts'
import { oneLine } from './table.ts'

export interface Progress {
  /** What begins now: always shown. */
  step(text: string): void
  /** How far it is; asked for its words only when they are shown. */
  status(text: () => string): void
  /** Takes the changing line away. */
  clear(): void
}

const ERASE_LINE = '\r\u001B[2K'

export function openProgress(stream: Pick<NodeJS.WriteStream, 'write' | 'isTTY' | 'columns'>, clock: () => number = () => performance.now()): Progress {
  const intervalMs = stream.isTTY ? SIM_LIMITS.progressMs : SIM_LIMITS.progressPlainMs
  let last = -Infinity
  let shown = false
  const show = (text: string): void => {
    last = clock()
    const line = oneLine(text)
    stream.write(stream.isTTY ? `${ERASE_LINE}${line.slice(0, stream.columns - 1)}` : `${line}\n`)
    shown = true
  }
  return {
    step: show,
    status(text) {
      if (clock() - last >= intervalMs) show(text())
    },
    clear() {
      if (stream.isTTY && shown) stream.write(ERASE_LINE)
      shown = false
    },
  }
}

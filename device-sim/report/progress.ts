// What a person sees while a run goes on: on a terminal lines that change in their place, elsewhere a plain line now and then. It goes
// to standard error; standard output is for results.

import { SIM_LIMITS } from '../limits.ts'
import { canDraw, openScreen, type Picture, type ScreenStream, type Style } from './screen.ts'
import { oneLine } from './table.ts'

export interface Progress {
  /** What begins now: always told, but not over a picture, which says it itself. */
  step(text: string): void
  /** How far it is; asked for its words, or for its picture where there is a terminal, only when they are shown. */
  status(text: () => string, picture?: Picture): void
  /** Takes away what changes. */
  clear(): void
}

export interface ProgressPorts {
  readonly dress?: (style: Style, text: string) => string
  readonly term?: string | undefined
  readonly clock?: () => number
}

export function openProgress(stream: ScreenStream, { dress = (_, text) => text, term, clock = () => performance.now() }: ProgressPorts = {}): Progress {
  return canDraw(stream, term) ? onTerminal(stream, dress, clock) : inPlainLines(stream, clock)
}

function inPlainLines(stream: Pick<ScreenStream, 'write'>, clock: () => number): Progress {
  let last = -Infinity
  let said = ''
  const step = (text: string): void => {
    last = clock()
    said = text
    stream.write(`${oneLine(text)}\n`)
  }
  return {
    step,
    status(text) {
      if (clock() - last < SIM_LIMITS.progressPlainMs) return
      // A log is not told twice that nothing has happened.
      const now = text()
      if (now === said) last = clock()
      else step(now)
    },
    clear: () => {},
  }
}

function onTerminal(stream: ScreenStream, dress: (style: Style, text: string) => string, clock: () => number): Progress {
  const screen = openScreen(stream, dress)
  let last = -Infinity
  let isPicture = false
  const draw = (picture: Picture): void => {
    last = clock()
    screen.draw(picture)
  }
  return {
    step(text) {
      if (!isPicture) draw(() => [[text]])
    },
    status(text, picture) {
      if (clock() - last < SIM_LIMITS.progressMs) return
      isPicture = picture !== undefined
      const line = picture === undefined ? text() : ''
      draw(picture ?? (() => [[line]]))
    },
    clear() {
      isPicture = false
      screen.close()
    },
  }
}

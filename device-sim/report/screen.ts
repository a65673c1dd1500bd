// Some lines of a terminal that are drawn anew in the same place, as wide as the terminal is now, and taken away at the end with the
// cursor where it was before. What stands in them is for others to say.

import { oneLine } from './table.ts'

export type Style = 'green' | 'red' | 'yellow' | 'bold' | 'dim'
/** A piece of a line; what has a style is dressed after it was cut, for colours have no width. */
export type Span = string | { readonly text: string; readonly style: Style }
export type Line = readonly Span[]

export interface Size {
  readonly columns: number
  readonly rows: number
}

/** What is to be seen, for a terminal of this size; asked again when the size changes. */
export type Picture = (size: Size) => readonly Line[]

export interface ScreenStream extends Pick<NodeJS.WriteStream, 'write' | 'isTTY' | 'columns' | 'rows'> {
  on(event: 'resize', listener: () => void): unknown
  off(event: 'resize', listener: () => void): unknown
}

export interface Screen {
  draw(picture: Picture): void
  /** Takes the lines away, and gives the cursor back. */
  close(): void
}

const HIDE_CURSOR = '\u001B[?25l'
const SHOW_CURSOR = '\u001B[?25h'
const ERASE_BELOW = '\u001B[J'
const up = (rows: number): string => (rows > 0 ? `\u001B[${rows}A` : '')
const CUT = '…'
/** A terminal that does not say how large it is. */
const DEFAULT_SIZE: Size = { columns: 80, rows: 24 }

/** Letters that take two places of a terminal. Unicode Standard Annex #11, as far as people write names in them. */
const WIDE = /[\u1100-\u115F\u2E80-\uA4CF\uAC00-\uD7A3\uF900-\uFAFF\uFE30-\uFE6F\uFF00-\uFF60\uFFE0-\uFFE6]|\p{Emoji_Presentation}/u

function widthOf(text: string): number {
  let width = 0
  for (const letter of text) width += /\p{M}/u.test(letter) ? 0 : WIDE.test(letter) ? 2 : 1
  return width
}

/** A line of at most so many places; what does not fit is cut, visibly. */
function fitted(line: Line, columns: number, dress: (style: Style, text: string) => string): string {
  let left = columns
  let whole = ''
  for (const span of line) {
    const text = oneLine(typeof span === 'string' ? span : span.text)
    const shown = widthOf(text) <= left ? text : cut(text, left)
    whole += typeof span === 'string' ? shown : dress(span.style, shown)
    left -= widthOf(shown)
    if (shown !== text) break
  }
  return whole
}

function cut(text: string, columns: number): string {
  let shown = ''
  for (const letter of text) {
    if (widthOf(shown) + widthOf(letter) > columns - CUT.length) break
    shown += letter
  }
  return columns > 0 ? `${shown}${CUT}` : ''
}

/** A terminal whose cursor can be moved. */
export function canDraw(stream: Pick<NodeJS.WriteStream, 'isTTY'>, term: string | undefined): boolean {
  return stream.isTTY && term !== 'dumb'
}

export function openScreen(stream: ScreenStream, dress: (style: Style, text: string) => string): Screen {
  let last: Picture | undefined
  /** The widths of the lines that stand there; the terminal breaks them anew when it becomes narrower. */
  let drawn: readonly number[] = []

  const sizeNow = (): Size => ({ columns: stream.columns || DEFAULT_SIZE.columns, rows: stream.rows || DEFAULT_SIZE.rows })
  const backToTop = ({ columns }: Size): string => `\r${up(drawn.reduce((rows, width) => rows + Math.max(1, Math.ceil(width / columns)), 0) - 1)}`
  function show(): void {
    if (last === undefined) return
    const size = sizeNow()
    // The last column stays free: a letter there would break the line on some terminals, and the last row is where the cursor stands.
    const lines = last(size).slice(0, Math.max(1, size.rows - 1))
    const begin = drawn.length === 0 ? HIDE_CURSOR : backToTop(size)
    stream.write(`${begin}${ERASE_BELOW}${lines.map((line) => fitted(line, size.columns - 1, dress)).join('\n')}`)
    drawn = lines.map((line) => Math.min(size.columns - 1, line.reduce((sum, span) => sum + widthOf(oneLine(typeof span === 'string' ? span : span.text)), 0)))
  }
  function erase(): void {
    if (drawn.length > 0) stream.write(`${backToTop(sizeNow())}${ERASE_BELOW}${SHOW_CURSOR}`)
    drawn = []
  }
  // Whoever stops the program for a while gets a terminal that works, and the picture again afterwards.
  const pause = (): void => {
    erase()
    process.kill(process.pid, 'SIGSTOP')
  }
  const listening = { resize: show, exit: erase }
  return {
    draw(picture) {
      if (last === undefined) {
        stream.on('resize', listening.resize)
        process.on('exit', listening.exit)
        process.on('SIGTSTP', pause)
        process.on('SIGCONT', show)
      }
      last = picture
      show()
    },
    close() {
      erase()
      last = undefined
      stream.off('resize', listening.resize)
      process.off('exit', listening.exit)
      process.off('SIGTSTP', pause)
      process.off('SIGCONT', show)
    },
  }
}

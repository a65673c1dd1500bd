// A table for people: plain text in aligned columns, one line for each row. What does not fit is cut, visibly, and never
// wrapped; whoever needs the whole text prints it below the table. It knows nothing of what stands in it.

const GAP = '  '
const CUT = '…'
/** A column is not made narrower than this, however narrow the terminal is. */
const COLUMN_CHARS_MIN = 8

export interface TableOptions {
  readonly head: readonly string[]
  readonly rows: readonly (readonly string[])[]
  /** Characters of a line, at most; more only when the columns would become too narrow. */
  readonly columns: number
  /** Dresses a cell after it was measured and padded: colours have no width. `row` is undefined for the head. */
  readonly paint?: (text: string, row: number | undefined, column: number) => string
}

export function table(options: TableOptions): string {
  const { head, rows, paint = (text) => text } = options
  const widths = fit([head, ...rows], options.columns)
  const line = (cells: readonly string[], row: number | undefined): string =>
    cells.map((cell, column) => paint(cut(cell, widths[column] ?? 0).padEnd(column === cells.length - 1 ? 0 : (widths[column] ?? 0)), row, column)).join(GAP).trimEnd()
  return [line(head, undefined), ...rows.map(line)].map((text) => `${text}\n`).join('')
}

/** Natural widths, and where they are too wide for the line, the widest column gives way. */
function fit(rows: readonly (readonly string[])[], columns: number): readonly number[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => oneLine(row[column] ?? '').length)))
  const gaps = GAP.length * (widths.length - 1)
  for (;;) {
    const widest = widths.indexOf(Math.max(...widths))
    const width = widths[widest] ?? 0
    if (widths.reduce((sum, each) => sum + each, gaps) <= columns || width <= COLUMN_CHARS_MIN) return widths
    widths[widest] = width - 1
  }
}

/** What a server said must not move the cursor or break the line. */
export function oneLine(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ')
}

function cut(text: string, width: number): string {
  const line = oneLine(text)
  return line.length <= width ? line : `${line.slice(0, width - CUT.length)}${CUT}`
}

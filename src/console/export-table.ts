// A table as a file: CSV that no spreadsheet takes for formulas, or JSON. What a device could write into a cell stays text.

export interface ExportColumn<Row> {
  readonly head: string
  readonly value: (row: Row) => string | number | undefined
}

/** What a spreadsheet evaluates: these begin a formula, and some skip a control character or a space before them. */
const FORMULA = /^(?:[\s\p{Cc}]*[=+\-@＝＋－＠]|[\t\r\n])/u

function cell(value: string | number | undefined): string {
  if (typeof value === 'number') return String(value)
  const text = value ?? ''
  const harmless = FORMULA.test(text) ? `'${text}` : text
  // Always quoted: a separator of another country's spreadsheet splits no cell.
  return `"${harmless.replaceAll('"', '""')}"`
}

/** RFC 4180. */
export function csv<Row>(columns: readonly ExportColumn<Row>[], rows: readonly Row[]): string {
  const lines = [columns.map(({ head }) => cell(head)), ...rows.map((row) => columns.map(({ value }) => cell(value(row))))]
  return lines.map((line) => `${line.join(',')}\r\n`).join('')
}

export function json(rows: readonly unknown[]): string {
  return `${JSON.stringify(rows, null, 2)}\n`
}

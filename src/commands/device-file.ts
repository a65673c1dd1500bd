// sallyport device add --file: a CSV file of devices. Every row has a result of its own, and one that is refused stops no
// other; only a file that cannot be read as CSV at all is refused as a whole.

import { readFileSync, statSync } from 'node:fs'
import { parse as parseCsv } from 'csv-parse/sync'
import { deny, type Denied } from '../core/decision.ts'
import type { Desk, NewDevice } from '../core/desk.ts'
import { parseAttributes } from '../core/device.ts'
import { SallyportError } from '../core/errors.ts'
import { printable } from '../core/ids.ts'
import { IMPORT_LIMITS } from '../enrollment-limits.ts'
import { REGISTRY_LIMITS } from '../limits.ts'
import { EXIT, REASONS } from '../vocabulary.ts'
import { print, withDesk, type CommonOptions } from './context.ts'
import { newDevice } from './device.ts'

interface RowResult {
  readonly line: number
  readonly id: string
  readonly ok: boolean
  readonly code?: string
  readonly message?: string
}

interface Row {
  /** Where it ends in the file, from 1. */
  readonly line: number
  readonly id: string
  readonly device: { readonly allow: true; readonly value: NewDevice } | Denied
}

export async function addFile(file: string, options: CommonOptions): Promise<void> {
  const rows = readRows(file)
  const items = await withDesk(options, (desk) => addRows(desk, rows))
  const refused = items.filter((r) => !r.ok)
  const added = items.length - refused.length
  print(options, { items, added, refused: refused.length }, () => [...refused.map((r) => `line ${r.line}: ${r.id}: ${r.message ?? r.code ?? ''}`), `${added} registered, ${refused.length} refused`].join('\n'))
  if (refused.length > 0) process.exitCode = EXIT.refused
}

/** In portions that share a transaction: one fsync for many rows, and never more waiting than a portion. */
async function addRows(desk: Desk, rows: readonly Row[]): Promise<readonly RowResult[]> {
  const results: RowResult[] = []
  for (let at = 0; at < rows.length; at += REGISTRY_LIMITS.commitsPerTransactionMax) {
    results.push(...(await Promise.all(rows.slice(at, at + REGISTRY_LIMITS.commitsPerTransactionMax).map((row) => addRow(desk, row)))))
  }
  return results
}

async function addRow(desk: Desk, { line, id, device }: Row): Promise<RowResult> {
  const named = { line, id: printable(id) }
  if (!device.allow) return { ...named, ok: false, code: device.reason, message: `${REASONS[device.reason].sentence}${device.detail === undefined ? '' : ` (${device.detail})`}` }
  try {
    await desk.addDevice(device.value)
    return { ...named, ok: true }
  } catch (error) {
    if (!(error instanceof SallyportError) || error.reason === undefined) throw error
    return { ...named, ok: false, code: error.reason, message: error.message }
  }
}

interface CsvRow {
  readonly record: Readonly<Record<string, string>>
  readonly info: { readonly lines: number; readonly error?: Error }
}

function readRows(file: string): readonly Row[] {
  const found = statSync(file, { throwIfNoEntry: false })
  if (found === undefined) throw new SallyportError('not-found', `There is no file ${file}.`)
  if (!found.isFile() || found.size > IMPORT_LIMITS.fileAtOnceBytesMax) throw new SallyportError('refused', `${file} is not a file of at most ${IMPORT_LIMITS.fileAtOnceBytesMax} bytes.`, { fix: 'Split it.' })
  const rows = parseFile(file)
  if (rows.length === 0) throw new SallyportError('refused', `${file} has no row that can be read as UTF-8 text.`, { fix: 'Begin it with the line: id,group; and save it as UTF-8.' })
  if (rows.length > IMPORT_LIMITS.fileAtOnceRowsMax) throw new SallyportError('refused', `${file} has more than ${IMPORT_LIMITS.fileAtOnceRowsMax} rows.`, { fix: 'Split it.' })
  const seen = new Set<string>()
  return rows.map((row) => rowOf(row, seen))
}

function parseFile(file: string): readonly CsvRow[] {
  try {
    const rows: unknown[] = parseCsv(readFileSync(file), {
      columns: header, bom: true, skip_empty_lines: true, trim: true, info: true, relax_column_count: true,
      max_record_size: IMPORT_LIMITS.fileAtOnceBytesMax, to: IMPORT_LIMITS.fileAtOnceRowsMax + 1,
    })
    return rows as readonly CsvRow[]
  } catch (error) {
    if (error instanceof SallyportError) throw error
    throw new SallyportError('refused', `${file} is not a CSV file that can be read: ${error instanceof Error ? printable(error.message, 200) : ''}.`, { fix: 'Begin it with the line: id,group' })
  }
}

function rowOf({ record, info }: CsvRow, seen: Set<string>): Row {
  const { id = '', group = '', ...attributes } = record
  const named = { line: info.lines, id }
  if (info.error !== undefined) return { ...named, device: deny('request-invalid', 'the row has not as many fields as the first line') }
  const device = newDevice(id, group.split(';').map((g) => g.trim()).filter((g) => g !== ''), Object.entries(attributes).filter(([, value]) => value !== ''))
  // The first of two is the one that counts, in whatever order a server takes them.
  if (device.allow && seen.has(id)) return { ...named, device: deny('device-exists', 'it is in this file twice') }
  seen.add(id)
  return { ...named, device }
}

/** The first line names the columns: id, group, and attributes. */
function header(columns: readonly string[]): string[] {
  if (!columns.includes('id')) throw new SallyportError('refused', 'The CSV file has no column "id".', { fix: 'Begin it with the line: id,group' })
  if (new Set(columns).size !== columns.length) throw new SallyportError('refused', 'The CSV file has a column twice.', { fix: 'Give every column a name of its own.' })
  const bad = columns.find((name) => name !== 'id' && name !== 'group' && !parseAttributes([[name, 'x']]).allow)
  if (bad !== undefined) throw new SallyportError('refused', `The CSV column ${printable(bad)} is not an attribute name.`, { fix: REASONS['attribute-invalid'].fix })
  return [...columns]
}

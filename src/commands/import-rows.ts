// The rows of a file of devices, one after the other, from CSV or NDJSON: never more than a row in memory. A row that is wrong
// has a result of its own; only a file that cannot be read on is refused as a whole, with the line and what to do.

import { createReadStream, statSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { pipeline } from 'node:stream'
import { parse as parseCsv } from 'csv-parse'
import { z } from 'zod'
import type { CsrFacts } from '../core/certificate.ts'
import { deny, type Decision } from '../core/decision.ts'
import type { NewDevice } from '../core/desk.ts'
import { parseAttributes } from '../core/device.ts'
import { SallyportError } from '../core/errors.ts'
import { printable } from '../core/ids.ts'
import { IMPORT_LIMITS } from '../enrollment-limits.ts'
import { REASONS } from '../vocabulary.ts'
import { newDevice } from './device.ts'

export interface ImportRow {
  /** Where it ends in the file, from 1. */
  readonly line: number
  readonly id: string
  readonly device: Decision<NewDevice>
  /** A certificate request, PEM, that the device made. */
  readonly csr?: string | undefined
  /** What was read in it. */
  readonly request?: CsrFacts | undefined
  /** The public key of the device, which its factory reported: PEM, or DER in base64. */
  readonly spki?: string | undefined
  /** The one-time password that the device has. */
  readonly password?: string | undefined
}

const NEWLINE = 0x0a
const CSV_FIX = 'Begin it with the line: id,group; and save it as UTF-8.'
const COLUMNS: readonly string[] = ['id', 'group', 'csr', 'spki', 'password']

/** Reads the rows; every device is of `groups`, too. Failures: 'not-found', and 'refused' for a file that cannot be read on. */
export async function* readRows(file: string, groups: readonly string[]): AsyncGenerator<ImportRow> {
  const found = statSync(file, { throwIfNoEntry: false })
  if (found === undefined) throw new SallyportError('not-found', `There is no file ${file}.`)
  if (!found.isFile()) throw new SallyportError('refused', `${file} is not a file.`, { fix: 'Name a file of devices; an import reads it twice.' })
  await refuseOtherEncodings(file)
  let count = 0
  for await (const row of /\.(nd)?jsonl?$/.test(file) ? ndjsonRows(file, groups) : csvRows(file, groups)) {
    if (++count > IMPORT_LIMITS.rowsMax) throw new SallyportError('refused', `${file} has more than ${IMPORT_LIMITS.rowsMax} rows (line ${row.line}).`, { fix: 'Split it.' })
    yield row
  }
  if (count === 0) throw new SallyportError('refused', `${file} has no row.`, { fix: CSV_FIX })
}

async function refuseOtherEncodings(file: string): Promise<void> {
  await using handle = await open(file)
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(4), 0, 4, 0)
  const [a, b] = buffer.subarray(0, bytesRead)
  if ((a === 0xff && b === 0xfe) || (a === 0xfe && b === 0xff)) throw new SallyportError('refused', `${file} is UTF-16 (line 1).`, { fix: 'Save it as UTF-8: in Excel, "CSV UTF-8".' })
  if (a === 0x50 && b === 0x4b) throw new SallyportError('refused', `${file} is a zip archive or a spreadsheet (line 1).`, { fix: 'Save the sheet as "CSV UTF-8".' })
}

interface CsvRow {
  readonly record: Readonly<Record<string, string>>
  readonly info: { readonly lines: number; readonly error?: Error }
}

async function* csvRows(file: string, groups: readonly string[]): AsyncGenerator<ImportRow> {
  const parser = parseCsv({ columns: header, bom: true, skip_empty_lines: true, trim: true, info: true, relax_column_count: true, max_record_size: IMPORT_LIMITS.rowBytesMax })
  // A failure of either destroys both; it is thrown by the loop.
  pipeline(createReadStream(file), parser, () => undefined)
  try {
    for await (const row of parser as AsyncIterable<CsvRow>) yield csvRow(row, groups)
  } catch (error) {
    if (error instanceof SallyportError || (error as NodeJS.ErrnoException).syscall !== undefined) throw error
    throw new SallyportError('refused', `${file} cannot be read on: ${error instanceof Error ? printable(error.message, 200) : ''}.`, { fix: `A field with a quote, a comma or a line break stands in quotes, a quote in it twice; a row has at most ${IMPORT_LIMITS.rowBytesMax} bytes. ${CSV_FIX}` })
  }
}

function csvRow({ record, info }: CsvRow, groups: readonly string[]): ImportRow {
  const { id = '', group = '', csr, spki, password, ...attributes } = record
  const named = { line: info.lines, id }
  if (info.error !== undefined) return { ...named, device: deny('request-invalid', 'the row has not as many fields as the first line') }
  const own = group.split(';').map((g) => g.trim()).filter((g) => g !== '')
  const filled = (text: string | undefined): string | undefined => (text === '' ? undefined : text)
  return { ...named, device: newDevice(id, [...own, ...groups], Object.entries(attributes).filter(([, value]) => value !== '')), csr: filled(csr), spki: filled(spki), password: filled(password) }
}

/** The first line names the columns: id, group, csr, spki, password, and attributes. */
function header(columns: readonly string[]): string[] {
  const problem = (what: string, fix: string): SallyportError => new SallyportError('refused', `The first line of the CSV file ${what} (line 1).`, { fix })
  if (!columns.includes('id')) throw problem('names no column "id"', CSV_FIX)
  if (new Set(columns).size !== columns.length) throw problem('names a column twice', 'Give every column a name of its own.')
  const bad = columns.find((name) => !COLUMNS.includes(name) && !parseAttributes([[name, 'x']]).allow)
  if (bad !== undefined) throw problem(`has a column ${printable(bad)}, which is no attribute name`, REASONS['attribute-invalid'].fix)
  return [...columns]
}

const ndjsonRow = z.strictObject({ id: z.string(), groups: z.array(z.string()).default([]), attributes: z.record(z.string(), z.string()).default({}), csr: z.string().optional(), spki: z.string().optional(), password: z.string().optional() })

async function* ndjsonRows(file: string, groups: readonly string[]): AsyncGenerator<ImportRow> {
  let line = 0
  for await (const bytes of lines(file)) {
    line++
    if (bytes === 'too long') yield { line, id: '', device: deny('request-invalid', `the line has more than ${IMPORT_LIMITS.rowBytesMax} bytes`) }
    else if (bytes.some((byte) => byte > 0x20)) yield jsonRow(line, bytes, groups)
  }
}

function jsonRow(line: number, bytes: Uint8Array, groups: readonly string[]): ImportRow {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    return { line, id: '', device: deny('request-invalid', 'the line is not JSON in UTF-8') }
  }
  const parsed = ndjsonRow.safeParse(value)
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    return { line, id: '', device: deny('request-invalid', printable(`${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'invalid'}`, 200)) }
  }
  const { id, groups: own, attributes, ...brought } = parsed.data
  return { line, id, device: newDevice(id, [...own, ...groups], Object.entries(attributes)), ...brought }
}

/** The lines of a file; of one that is too long nothing is kept. */
async function* lines(file: string): AsyncGenerator<Buffer | 'too long'> {
  let [parts, size]: [Buffer[], number] = [[], 0]
  const line = (): Buffer | 'too long' => {
    const whole = size > IMPORT_LIMITS.rowBytesMax ? 'too long' : Buffer.concat(parts)
    ;[parts, size] = [[], 0]
    return whole
  }
  for await (const chunk of createReadStream(file) as AsyncIterable<Buffer>) {
    let from = 0
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, from)) {
      size += end - from
      if (size <= IMPORT_LIMITS.rowBytesMax) parts.push(chunk.subarray(from, end))
      yield line()
      from = end + 1
    }
    size += chunk.length - from
    if (size <= IMPORT_LIMITS.rowBytesMax) parts.push(chunk.subarray(from))
    else parts = []
  }
  if (size > 0) yield line()
}

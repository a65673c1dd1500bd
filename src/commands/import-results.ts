// What became of every row of an import, in FILE.results.ndjson, and where it stands when it is interrupted. Before rows are
// registered it is written that they are about to be: whoever resumes can tell a device that this import made, and could not
// write down any more, from one that was there before.

import { createHash, randomBytes } from 'node:crypto'
import { appendFileSync, closeSync, createReadStream, existsSync, fdatasyncSync, ftruncateSync, openSync, readFileSync } from 'node:fs'
import { z } from 'zod'
import { SallyportError } from '../core/errors.ts'
import { lockHome } from '../store/sqlite/lock.ts'

export interface RowResult {
  readonly line: number
  readonly id: string
  readonly ok: boolean
  readonly serial?: string
  /** Of its bundle, where it was made here. */
  readonly password?: string
  readonly code?: string
  readonly message?: string
  /** Of a refused row: the device is registered all the same, without what the row asks for besides. */
  readonly registered?: true
}

/** What must be the same when an import goes on. */
export interface ImportPlan {
  readonly sha256: string
  readonly options: string
}

export interface Results extends Disposable {
  readonly file: string
  /** Rows that have a result, from the first. */
  readonly done: number
  readonly refused: number
  /** Rows up to this one, counted from the first, were about to be registered; those of them that have no result since `at`. */
  readonly begun: { readonly end: number; readonly at: number }
  /** 256 random bits as hex, of this import alone: what is made of it is the same after an interruption. */
  readonly secret: string
  /** Rows up to this one are about to be registered. Results of rows before them may come later. */
  begin(end: number, at: number): void
  /** On disk when it returns. */
  write(results: readonly RowResult[]): void
}

const PRIVATE_MODE = 0o600
const SECRET_BYTES = 32
const recordSchema = z.union([
  z.object({ import: z.object({ sha256: z.string(), options: z.string(), secret: z.string() }) }),
  z.object({ begin: z.number().int().min(1), at: z.number() }),
  z.object({ line: z.number(), ok: z.boolean() }),
])

/** SHA-256 of a file, hex. */
export async function digestOf(file: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(file) as AsyncIterable<Buffer>) hash.update(chunk)
  return hash.digest('hex')
}

/** Begins the results of an import, or goes on with them. Failures: 'refused'. */
export function openResults(file: string, plan: ImportPlan, resume: boolean): Results {
  const lock = lockOf(file)
  try {
    if (!resume && existsSync(file)) throw new SallyportError('refused', `${file} is there: this file was imported, or its import was interrupted.`, { fix: 'Go on with --resume; to begin anew, remove the results.' })
    if (resume && !existsSync(file)) throw new SallyportError('refused', `There is no ${file}: nothing was interrupted.`, { fix: 'Leave --resume out.' })
    return { ...(resume ? goOn(file, plan) : begin(file, plan, 'ax')), file, [Symbol.dispose]: () => lock[Symbol.dispose]() }
  } catch (error) {
    lock[Symbol.dispose]()
    throw error
  }
}

function lockOf(file: string): Disposable {
  try {
    return lockHome(`${file}.lock`)
  } catch (error) {
    if (!(error instanceof SallyportError) || error.code !== 'home-in-use') throw error
    throw new SallyportError('refused', 'Another import of this file is under way.', { fix: 'Let it finish.', cause: error })
  }
}

type Written = Omit<Results, 'file' | typeof Symbol.dispose>

function begin(file: string, plan: ImportPlan, flag: 'ax' | 'w'): Written {
  const append = appendTo(openSync(file, flag, PRIVATE_MODE))
  const secret = randomBytes(SECRET_BYTES).toString('hex')
  append([{ import: { ...plan, secret } }])
  return { secret, done: 0, refused: 0, begun: { end: 0, at: 0 }, ...writers(append) }
}

function goOn(file: string, plan: ImportPlan): Written {
  const text = readFileSync(file, 'utf8')
  // A line that was being written when the machine stopped is no result.
  const whole = text.slice(0, text.lastIndexOf('\n') + 1)
  const records = whole.split('\n').filter((line) => line !== '').map((line, i) => recordOf(line, `${file}, line ${i + 1}`))
  // Stopped before it had written with what it began: nothing is done.
  if (records.length === 0) return begin(file, plan, 'w')
  const [first] = records
  if (first === undefined || !('import' in first)) throw unreadable(file)
  if (first.import.sha256 !== plan.sha256) throw new SallyportError('refused', 'The file is not what it was when its import began.', { fix: 'Bring the old one back to go on. To import a changed file, remove the results: devices that are registered are then refused as such.' })
  if (first.import.options !== plan.options) throw new SallyportError('refused', `The import began with other options: ${first.import.options}.`, { fix: 'Give the same ones.' })
  let [done, refused] = [0, 0]
  const begins: { readonly begin: number; readonly at: number }[] = []
  for (const record of records) {
    if ('begin' in record) begins.push(record)
    if (!('line' in record)) continue
    done++
    if (!record.ok) refused++
  }
  const begun = { end: begins.at(-1)?.begin ?? 0, at: begins.find(({ begin }) => begin > done)?.at ?? 0 }
  const descriptor = openSync(file, 'r+')
  ftruncateSync(descriptor, Buffer.byteLength(whole))
  closeSync(descriptor)
  return { secret: first.import.secret, done, refused, begun, ...writers(appendTo(openSync(file, 'a', PRIVATE_MODE))) }
}

function recordOf(line: string, where: string): z.infer<typeof recordSchema> {
  try {
    return recordSchema.parse(JSON.parse(line))
  } catch {
    throw unreadable(where)
  }
}

function unreadable(where: string): SallyportError {
  return new SallyportError('refused', `${where}: these are not results that an import has written.`, { fix: 'Remove the file and begin anew: devices that are registered are then refused as such.' })
}

type Append = (records: readonly object[]) => void

function appendTo(descriptor: number): Append {
  return (records) => {
    appendFileSync(descriptor, records.map((record) => `${JSON.stringify(record)}\n`).join(''))
    fdatasyncSync(descriptor)
  }
}

function writers(append: Append): Pick<Results, 'begin' | 'write'> {
  return { begin: (end, at) => append([{ begin: end, at }]), write: (results) => append(results) }
}

// sallyport device import: a file of devices, row by row. It reads the file twice: once to judge it as a whole, so that a file
// that cannot be read to its end changes nothing, and once to do it. What each row became is on disk before the next rows.

import { SallyportError } from '../core/errors.ts'
import { REASONS, EXIT } from '../vocabulary.ts'
import { deny } from '../core/decision.ts'
import type { Desk, NewDevice } from '../core/desk.ts'
import type { Device } from '../core/device.ts'
import { parseGroupName, printable } from '../core/ids.ts'
import { IMPORT_LIMITS } from '../enrollment-limits.ts'
import { REGISTRY_LIMITS } from '../limits.ts'
import { configOf, endpointsOf, print, required, withDesk, type CommonOptions } from './context.ts'
import { prepareExtras, type Added, type Extra, type ExtraOptions } from './import-extras.ts'
import { judgedRows } from './import-judging.ts'
import { digestOf, openResults, type Results, type RowResult } from './import-results.ts'
import { readRows, type ImportRow } from './import-rows.ts'
import { durationOf } from './token.ts'

export interface ImportOptions extends CommonOptions, ExtraOptions {
  readonly group?: readonly string[]
  readonly dryRun?: boolean
  readonly resume?: boolean
}

export async function importFile(file: string, options: ImportOptions): Promise<void> {
  process.umask(0o077)
  const groups = (options.group ?? []).map((name) => required(parseGroupName(name)))
  const lifeMs = durationOf(options.expires)
  const judged = await judgeFile(file, groups, { ...options, lifeMs })
  if (options.dryRun === true) return withDesk(options, (desk) => tellDryRun(desk, judged, options))
  await withDesk(options, async (desk, home) => {
    const { announcedHost, listen } = configOf(home)
    const endpoints = await endpointsOf(home)
    const openExtra = prepareExtras(desk, options, { host: announcedHost, port: endpoints?.mqtt.port ?? listen.mqtt.port, estPort: endpoints?.enroll?.port ?? listen.enroll.port })
    using results = openResults(`${file}.results.ndjson`, { sha256: await digestOf(file), options: optionsText(groups, options, judged.hasPasswords) }, options.resume === true)
    const extra = openExtra(results.secret)
    const counts = await run({ desk, extra, results, progress: progressOf(judged.rows) }, judgedRows(readRows(file, groups), lifeMs))
    const written = extra.finish()
    if (counts.refused > 0) process.exitCode = EXIT.refused
    print(options, { ...counts, results: results.file, ...(written === undefined ? {} : { out: written }) }, () => [...problemLines(counts.items, counts.refused), `${counts.registered} registered, ${counts.refused} refused; what became of each row: ${results.file}`, ...(written === undefined ? [] : [written])].join('\n'))
  })
}

/** Everything that the results depend on. */
function optionsText(groups: readonly string[], { bundle, out, expires, passwordFile }: ImportOptions, hasPasswords: boolean): string {
  return [...groups.map((group) => `--group ${group}`), ...(bundle === undefined ? [] : [`--bundle ${bundle}`]), ...(out === undefined ? [] : [`--out ${out}`]), ...(bundle === 'sheet' || hasPasswords ? [`--expires ${expires}`] : []), ...(passwordFile === undefined ? [] : [`--password-file ${passwordFile}`])].join(' ')
}

interface Judged {
  readonly rows: number
  readonly refused: readonly RowResult[]
  readonly refusedCount: number
  readonly hasPasswords: boolean
  /** Line by id, of a dry run. */
  readonly lines: ReadonlyMap<string, number>
}

async function judgeFile(file: string, groups: readonly string[], options: ImportOptions & { readonly lifeMs: number }): Promise<Judged> {
  const refused: RowResult[] = []
  const lines = new Map<string, number>()
  let [rows, refusedCount, hasPasswords] = [0, 0, false]
  // A real run judges its rows when it comes to them: to verify every request twice would cost as much as to sign its certificate.
  const read = readRows(file, groups)
  for await (const row of options.dryRun === true ? judgedRows(read, options.lifeMs) : read) {
    rows++
    hasPasswords ||= row.password !== undefined
    refuseTwice(row, options.bundle)
    if (row.csr !== undefined && options.out === undefined && options.dryRun !== true) throw new SallyportError('usage', `Line ${row.line} asks for a certificate: say with --out where it goes.`)
    if (!row.device.allow) {
      refusedCount++
      if (refused.length < IMPORT_LIMITS.problemsShownMax) refused.push(refusal(row, row.device))
    } else if (options.dryRun === true) lines.set(row.id, row.line)
  }
  return { rows, refused, refusedCount, hasPasswords, lines }
}

/** What a bundle would make, the row has already. */
function refuseTwice({ line, csr, spki, password }: ImportRow, bundle: ImportOptions['bundle']): void {
  if (bundle === undefined) return
  const has = csr !== undefined || (spki !== undefined && bundle !== 'sheet') ? 'a key' : password !== undefined && bundle === 'sheet' ? 'a password' : undefined
  if (has !== undefined) throw new SallyportError('usage', `Line ${line} brings ${has} of its own, and --bundle ${bundle} is for devices without one.`, { fix: 'Import those from a file of their own, without --bundle.' })
}

function refusal({ line, id }: ImportRow, { reason, detail }: { readonly reason: keyof typeof REASONS; readonly detail?: string }): RowResult {
  return { line, id: printable(id), ok: false, code: reason, message: `${REASONS[reason].sentence.replace(/\.$/, '')}${detail === undefined ? '' : ` (${detail})`}. ${REASONS[reason].fix}` }
}

/** Nothing is written; devices that are there already are found by reading the registry, page by page. */
async function tellDryRun(desk: Desk, judged: Judged, options: ImportOptions): Promise<void> {
  const problems = [...judged.refused]
  let refused = judged.refusedCount
  let after: string | undefined
  do {
    const page = await desk.devices({ after, limit: REGISTRY_LIMITS.pageSizeMax })
    for (const { id } of page.items) {
      const line = judged.lines.get(id)
      if (line === undefined) continue
      refused++
      problems.push(refusal({ line, id, device: deny('device-exists') }, { reason: 'device-exists' }))
    }
    after = page.next
  } while (after !== undefined)
  const items = problems.toSorted((a, b) => a.line - b.line).slice(0, IMPORT_LIMITS.problemsShownMax)
  print(options, { rows: judged.rows, good: judged.rows - refused, refused, items }, () => [
    ...problemLines(items, refused),
    `${judged.rows} rows: ${judged.rows - refused} good, ${refused} would be refused. Nothing was written.`,
  ].join('\n'))
  if (refused > 0) process.exitCode = EXIT.refused
}

function problemLines(items: readonly RowResult[], refused: number): readonly string[] {
  return [...items.map(({ line, id, message = '' }) => `line ${line}: ${id}: ${message}`), ...(refused > items.length ? [`… and ${refused - items.length} more`] : [])]
}

interface Run {
  readonly desk: Desk
  readonly extra: Extra
  readonly results: Results
  readonly progress: (done: number) => void
}

interface Counts {
  readonly registered: number
  readonly refused: number
  /** The first that this run has refused. */
  readonly items: readonly RowResult[]
}

async function run({ desk, extra, results, progress }: Run, rows: AsyncIterable<ImportRow>): Promise<Counts> {
  let [seen, refused] = [0, results.refused]
  let batch: { readonly row: ImportRow; readonly begun: boolean }[] = []
  let before: Added = { results: [] }
  const items: RowResult[] = []
  const work = async (): Promise<Added> => {
    if (batch.length === 0) return { results: [] }
    // What was begun stays begun, with its time, until it has results: a resumed import may be interrupted, too.
    results.begin(seen, batch.some(({ begun }) => begun) ? results.begun.at : Date.now())
    const outcomes = await registered(desk, batch.map(({ row }) => row), (i) => (batch[i]?.begun === true ? results.begun.at : undefined))
    return extra.add(batch.map(({ row, begun }, i) => ({ row, begun, outcome: outcomes[i] ?? refusal(row, { reason: 'request-invalid' }) })))
  }
  const settle = async ({ results: finished, write }: Added): Promise<void> => {
    await write?.()
    if (finished.length > 0) results.write(finished)
    const problems = finished.filter(({ ok }) => !ok)
    refused += problems.length
    items.push(...problems.slice(0, IMPORT_LIMITS.problemsShownMax - items.length))
  }
  // The disk takes in what became of a batch while the next one is registered.
  const flush = async (): Promise<void> => {
    const [added] = await Promise.all([work(), settle(before)])
    before = added
    batch = []
    progress(seen)
  }
  for await (const row of rows) {
    if (seen < results.done) {
      seen++
      continue
    }
    const begun = seen < results.begun.end
    // Begun rows are a batch of their own: a device of the others that is there already was there before.
    if (batch[0] !== undefined && batch[0].begun !== begun) await flush()
    seen++
    batch.push({ row, begun })
    if (batch.length === IMPORT_LIMITS.batchRows) await flush()
  }
  await flush()
  await settle(before)
  return { registered: seen - refused, refused, items }
}

/** Registers what is good of a batch; what an interrupted import had registered counts as registered by it. */
async function registered(desk: Desk, rows: readonly ImportRow[], begunAt: (i: number) => number | undefined): Promise<readonly RowResult[]> {
  const good = rows.flatMap(({ device }) => (device.allow ? [device.value] : []))
  const added = good.length === 0 ? [] : await desk.addDevices(good)
  const outcomes: RowResult[] = []
  let next = 0
  for (const [i, row] of rows.entries()) {
    const { line, id, device } = row
    if (!device.allow) {
      outcomes.push(refusal(row, device))
      continue
    }
    const answer = added[next++]
    const at = begunAt(i)
    if (answer?.ok === true || (answer?.code === 'device-exists' && at !== undefined && isOurs(await desk.device(device.value.id), device.value, at))) outcomes.push({ line, id, ok: true })
    else outcomes.push({ line, id, ok: false, code: answer?.code ?? 'internal', message: answer?.message ?? 'the server left this row without an answer' })
  }
  return outcomes
}

function isOurs(there: Device, row: NewDevice, begunAt: number): boolean {
  const text = ({ groups, attributes, keySha256 }: Pick<NewDevice, 'groups' | 'attributes' | 'keySha256'>): string => JSON.stringify([keySha256, [...new Set(groups)], Object.entries(attributes).map(([name, value]) => `${name}=${value}`).toSorted()])
  return there.createdAt >= begunAt && text(there) === text(row)
}

const BAR_CHARS = 30
const PLAIN_EVERY_ROWS = 10_000

/** A bar for a person, lines for a log; on stderr, so that the answer stays alone on stdout. */
function progressOf(total: number): (done: number) => void {
  if (!process.stderr.isTTY) {
    let told = 0
    return (done) => {
      if (done - told < PLAIN_EVERY_ROWS) return
      told = done
      process.stderr.write(`${done} of ${total} rows\n`)
    }
  }
  return (done) => {
    const filled = Math.round((done / total) * BAR_CHARS)
    process.stderr.write(`\r[${'#'.repeat(filled)}${' '.repeat(BAR_CHARS - filled)}] ${done} of ${total}${done === total ? '\n' : ''}`)
  }
}

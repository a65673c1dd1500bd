// sallyport device add | list | show | bundle | enroll | suspend | resume | retire.

import { existsSync, readFileSync, statSync } from 'node:fs'
import { parse as parseCsv } from 'csv-parse/sync'
import { writeBundle } from '../bundle.ts'
import { writeSecretFile } from '../ca/key-file.ts'
import type { Decision } from '../core/decision.ts'
import type { Desk, NewDevice } from '../core/desk.ts'
import { DEVICE_STATES, parseAttributes, type DeviceAction } from '../core/device.ts'
import { SallyportError } from '../core/errors.ts'
import { parseDeviceId, parseGroupName, printable } from '../core/ids.ts'
import { REGISTRY_LIMITS } from '../limits.ts'
import { EXIT, REASONS } from '../vocabulary.ts'
import { configOf, confirm, endpointsOf, print, required, table, time, withDesk, type CommonOptions } from './context.ts'

interface AddOptions extends CommonOptions {
  readonly group?: readonly string[]
  readonly attr?: readonly string[]
  readonly file?: string
}

export async function add(id: string | undefined, options: AddOptions): Promise<void> {
  if ((id === undefined) === (options.file === undefined)) throw new SallyportError('usage', 'Name one device, or a CSV file with --file.')
  if (options.file !== undefined) return addFile(options.file, options)
  const device = required(newDevice(id ?? '', options.group ?? [], (options.attr ?? []).map(pairOf)))
  await withDesk(options, async (desk) => {
    const added = await desk.addDevice(device)
    print(options, added, () => `${added.id} is registered${added.groups.length === 0 ? ', in no group: the policy may grant it nothing' : ` in ${added.groups.join(', ')}`}.\nNext: sallyport device bundle ${added.id} --out ./${added.id}`)
  })
}

function pairOf(text: string): readonly [string, string] {
  const equals = text.indexOf('=')
  if (equals < 1) throw new SallyportError('usage', `--attr takes name=value, not ${printable(text)}.`)
  return [text.slice(0, equals), text.slice(equals + 1)]
}

function newDevice(id: string, groups: readonly string[], attributes: readonly (readonly [string, string])[]): Decision<NewDevice> {
  const parsedId = parseDeviceId(id)
  if (!parsedId.allow) return parsedId
  const names: NewDevice['groups'][number][] = []
  for (const group of groups) {
    const parsed = parseGroupName(group)
    if (!parsed.allow) return parsed
    names.push(parsed.value)
  }
  const parsed = parseAttributes(attributes)
  return parsed.allow ? { allow: true, value: { id: parsedId.value, groups: names, attributes: parsed.value } } : parsed
}

interface RowResult {
  readonly line: number
  readonly id: string
  readonly ok: boolean
  readonly code?: string
  readonly message?: string
}

/** Every row has a result of its own; one that is refused stops no other. */
async function addFile(file: string, options: AddOptions): Promise<void> {
  const rows = readRows(file)
  const results: RowResult[] = []
  await withDesk(options, async (desk) => {
    for (const { line, record } of rows) results.push(await addRow(desk, line, record))
  })
  const refused = results.filter((r) => !r.ok).length
  print(options, { items: results, added: results.length - refused, refused }, () =>
    [...results.filter((r) => !r.ok).map((r) => `line ${r.line}: ${r.id}: ${r.message ?? r.code ?? ''}`), `${results.length - refused} registered, ${refused} refused`].join('\n'),
  )
  if (refused > 0) process.exitCode = EXIT.refused
}

async function addRow(desk: Desk, line: number, { id = '', group = '', ...attributes }: Readonly<Record<string, string>>): Promise<RowResult> {
  const device = newDevice(id, group.split(';').map((g) => g.trim()).filter((g) => g !== ''), Object.entries(attributes).filter(([, value]) => value !== ''))
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

function readRows(file: string): readonly { readonly line: number; readonly record: Readonly<Record<string, string>> }[] {
  if (!existsSync(file)) throw new SallyportError('not-found', `There is no file ${file}.`)
  if (statSync(file).size > REGISTRY_LIMITS.csvBytesMax) throw new SallyportError('refused', `${file} is larger than ${REGISTRY_LIMITS.csvBytesMax} bytes.`, { fix: 'Split it.' })
  try {
    const found: unknown[] = parseCsv(readFileSync(file), { columns: header, bom: true, skip_empty_lines: true, trim: true, info: true, max_record_size: REGISTRY_LIMITS.csvBytesMax, to: REGISTRY_LIMITS.csvRowsMax + 1 })
    if (found.length > REGISTRY_LIMITS.csvRowsMax) throw new SallyportError('refused', `${file} has more than ${REGISTRY_LIMITS.csvRowsMax} rows.`, { fix: 'Split it.' })
    return (found as { info: { lines: number }; record: Record<string, string> }[]).map(({ info, record }) => ({ line: info.lines, record }))
  } catch (error) {
    if (error instanceof SallyportError) throw error
    throw new SallyportError('refused', `${file} is not a CSV file that can be read: ${error instanceof Error ? printable(error.message, 200) : ''}.`, { fix: 'Begin it with the line: id,group' })
  }
}

/** The first line names the columns: id, group, and attributes. */
function header(columns: readonly string[]): string[] {
  if (!columns.includes('id')) throw new SallyportError('refused', 'The CSV file has no column "id".', { fix: 'Begin it with the line: id,group' })
  if (new Set(columns).size !== columns.length) throw new SallyportError('refused', 'The CSV file has a column twice.', { fix: 'Give every column a name of its own.' })
  const bad = columns.find((name) => name !== 'id' && name !== 'group' && !parseAttributes([[name, 'x']]).allow)
  if (bad !== undefined) throw new SallyportError('refused', `The CSV column ${printable(bad)} is not an attribute name.`, { fix: REASONS['attribute-invalid'].fix })
  return [...columns]
}

interface ListOptions extends CommonOptions {
  readonly group?: string
  readonly state?: string
  readonly after?: string
  readonly limit?: string
}

/** The limit of a page, as a number that the registry takes. */
export function limitOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const limit = Number(text)
  if (!Number.isInteger(limit) || limit < 1 || limit > REGISTRY_LIMITS.pageSizeMax) throw new SallyportError('usage', `--limit takes a number from 1 to ${REGISTRY_LIMITS.pageSizeMax}.`)
  return limit
}

export async function list(options: ListOptions): Promise<void> {
  const state = DEVICE_STATES.find((s) => s === options.state)
  if (options.state !== undefined && state === undefined) throw new SallyportError('usage', `--state takes one of ${DEVICE_STATES.join(', ')}.`)
  const group = options.group === undefined ? undefined : required(parseGroupName(options.group))
  const limit = limitOf(options.limit)
  await withDesk(options, async (desk) => {
    const page = await desk.devices({ group, state, after: options.after, limit })
    print(options, page, () => `${table([['DEVICE', 'STATE', 'GROUPS', 'SINCE'], ...page.items.map((d) => [d.id, d.state, d.groups.join(', '), time(d.createdAt)])])}${page.next === undefined ? '' : `\nmore: --after ${page.next}`}`)
  })
}

export async function show(id: string, options: CommonOptions): Promise<void> {
  const device = required(parseDeviceId(id))
  await withDesk(options, async (desk) => {
    const shown = await desk.device(device)
    print(options, shown, () => [
      `${shown.id}: ${shown.state}, groups ${shown.groups.join(', ') || '(none)'}${Object.entries(shown.attributes).map(([k, v]) => `, ${k}=${v}`).join('')}`,
      table([['SERIAL', 'STATE', 'EXPIRES'], ...shown.certificates.map((c) => [c.serial, c.state, time(c.notAfter)])]),
    ].join('\n'))
  })
}

interface BundleOptions extends CommonOptions {
  readonly out: string
  readonly force?: boolean
}

export async function bundle(id: string, options: BundleOptions): Promise<void> {
  const device = required(parseDeviceId(id))
  await withDesk(options, async (desk, home) => {
    const port = endpointsOf(home)?.mqtt.port ?? configOf(home).listen.mqtt.port
    const enrolled = await writeBundle(desk, device, { folder: options.out, connectTo: { host: 'localhost', port }, force: options.force ?? false })
    print(options, { device, serial: enrolled.serial, notAfter: enrolled.notAfter, out: options.out }, () => `${options.out}: device.pem, chain.pem, ca.pem, device.key, connection.json\nThe key was made here and is nowhere else. The certificate ${enrolled.serial} expires ${time(enrolled.notAfter)}.`)
  })
}

interface EnrollOptions extends CommonOptions {
  readonly csr: string
  readonly out: string
}

export async function enroll(id: string, options: EnrollOptions): Promise<void> {
  const device = required(parseDeviceId(id))
  if (!existsSync(options.csr)) throw new SallyportError('not-found', `There is no file ${options.csr}.`)
  const csr = readFileSync(options.csr, 'utf8')
  await withDesk(options, async (desk) => {
    const enrolled = await desk.enroll(device, csr)
    writeSecretFile(options.out, enrolled.certificate + enrolled.chain.join(''), 0o644)
    print(options, { device, serial: enrolled.serial, notAfter: enrolled.notAfter, out: options.out }, () => `${options.out}: the certificate ${enrolled.serial} of ${device} and its chain; it expires ${time(enrolled.notAfter)}.`)
  })
}

const DONE = { suspend: 'is suspended', resume: 'may connect', retire: 'is retired', quarantine: 'is quarantined' } as const

export async function change(id: string, action: DeviceAction, options: CommonOptions): Promise<void> {
  const device = required(parseDeviceId(id))
  if (action === 'retire') await confirm(options, `Retire ${device}? It can never come back.`)
  await withDesk(options, async (desk) => {
    const changed = await desk.changeDevice(device, action)
    print(options, changed, () => `${device} ${DONE[action]}${changed.sessionsClosed === 0 ? '' : `; ${changed.sessionsClosed} session${changed.sessionsClosed === 1 ? '' : 's'} closed`}.`)
  })
}

// sallyport device add | set | list | show | bundle | enroll | suspend | resume | quarantine | retire.

import { existsSync } from 'node:fs'
import { writeBundle, type ConnectTo } from '../bundle.ts'
import { writeSecretFile } from '../ca/key-file.ts'
import type { Decision } from '../core/decision.ts'
import type { Desk, DeviceDescription, NewDevice } from '../core/desk.ts'
import { DEVICE_STATES, parseAttributes, type DeviceAction } from '../core/device.ts'
import { SallyportError } from '../core/errors.ts'
import { DEFAULT_TENANT, parseDeviceId, parseGroupName, parseTenantId, printable, type DeviceId } from '../core/ids.ts'
import { EXPIRY_LIMITS } from '../renewal-limits.ts'
import type { BundleFormat } from './bundle-format.ts'
import { chosenPassword, madePassword, newPasswordSecret } from './bundle-password.ts'
import { configOf, confirm, endpointsOf, print, readText, required, table, time, withDesk, type CommonOptions } from './context.ts'
import { readDuration } from './duration.ts'
import { limitOf } from './page.ts'

interface AddOptions extends CommonOptions {
  readonly group?: readonly string[]
  readonly attr?: readonly string[]
  readonly tenant?: string
}

export async function add(id: string, options: AddOptions): Promise<void> {
  const tenant = options.tenant === undefined ? undefined : required(parseTenantId(options.tenant))
  const device = { ...required(newDevice(id, options.group ?? [], pairsOf(options.attr))), tenant }
  await withDesk(options, async (desk) => {
    const added = await desk.addDevice(device)
    print(options, added, () => `${added.id} is registered${added.groups.length === 0 ? ', in no group: the policy may grant it nothing' : ` in ${added.groups.join(', ')}`}.\nNext: sallyport device bundle ${added.id} --out ./${added.id}`)
  })
}

function pairsOf(texts: readonly string[] = []): readonly (readonly [string, string])[] {
  const pairs = texts.map(pairOf)
  if (new Set(pairs.map(([name]) => name)).size !== pairs.length) throw new SallyportError('usage', 'An attribute is given twice.')
  return pairs
}

function pairOf(text: string): readonly [string, string] {
  const equals = text.indexOf('=')
  if (equals < 1) throw new SallyportError('usage', `--attr takes name=value, not ${printable(text)}.`)
  return [text.slice(0, equals), text.slice(equals + 1)]
}

/** What a person wrote, parsed. Reasons: device-id-invalid, group-invalid, attribute-invalid. */
export function newDevice(id: string, groups: readonly string[], attributes: readonly (readonly [string, string])[]): Decision<NewDevice> {
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

interface SetOptions extends CommonOptions {
  readonly group?: readonly string[]
  /** False: --no-groups. */
  readonly groups: boolean
  readonly attr?: readonly string[]
  readonly unset?: readonly string[]
  readonly revision?: string
}

export async function set(id: string, options: SetOptions): Promise<void> {
  const device = required(parseDeviceId(id))
  if (!options.groups && options.group !== undefined) throw new SallyportError('usage', '--no-groups and --group say opposite things.')
  const pairs = pairsOf(options.attr)
  const unset = options.unset ?? []
  const both = unset.find((name) => pairs.some(([other]) => other === name))
  if (both !== undefined) throw new SallyportError('usage', `--attr and --unset both name ${printable(both)}.`)
  const groups = options.groups ? options.group?.map((name) => required(parseGroupName(name))) : []
  if (groups === undefined && pairs.length === 0 && unset.length === 0) throw new SallyportError('usage', 'Say what to set: --group, --no-groups, --attr or --unset.')
  const description: DeviceDescription = { groups, attributes: Object.fromEntries([...pairs, ...unset.map((name) => [name, null] as const)]), revision: revisionOf(options.revision) }
  await withDesk(options, async (desk) => {
    const described = await desk.describeDevice(device, description)
    print(options, described, () => `${described.id} is now of groups ${described.groups.join(', ') || '(none)'}${Object.entries(described.attributes).map(([k, v]) => `, ${k}=${v}`).join('')}.`)
  })
}

function revisionOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const revision = Number(text)
  if (!Number.isSafeInteger(revision) || revision < 1) throw new SallyportError('usage', `--revision takes the revision that device show --json tells, not ${printable(text)}.`)
  return revision
}

interface ListOptions extends CommonOptions {
  readonly group?: string
  readonly tenant?: string
  readonly find?: string
  readonly attr?: string
  readonly expiring?: string
  readonly state?: string
  readonly after?: string
  readonly limit?: string
}

export async function list(options: ListOptions): Promise<void> {
  const state = DEVICE_STATES.find((s) => s === options.state)
  if (options.state !== undefined && state === undefined) throw new SallyportError('usage', `--state takes one of ${DEVICE_STATES.join(', ')}.`)
  const group = options.group === undefined ? undefined : required(parseGroupName(options.group))
  const limit = limitOf(options.limit)
  const [[name, value] = []] = pairsOf(options.attr === undefined ? undefined : [options.attr])
  const filters = {
    tenant: options.tenant === undefined ? undefined : required(parseTenantId(options.tenant)),
    q: options.find,
    attribute: name === undefined || value === undefined ? undefined : { name, value },
    expiringWithinMs: options.expiring === undefined ? undefined : readDuration('--expiring', options.expiring, EXPIRY_LIMITS.withinMsMax),
  }
  await withDesk(options, async (desk) => {
    const page = await desk.devices({ group, state, ...filters, after: options.after, limit })
    print(options, page, () => `${table([['DEVICE', 'STATE', 'GROUPS', 'SINCE'], ...page.items.map((d) => [d.id, d.state, d.groups.join(', '), time(d.createdAt)])])}${page.next === undefined ? '' : `\nmore: --after ${page.next}`}`)
  })
}

export async function show(id: string, options: CommonOptions): Promise<void> {
  const device = required(parseDeviceId(id))
  await withDesk(options, async (desk) => {
    const shown = await desk.device(device)
    print(options, shown, () => [
      `${shown.id}: ${shown.state}${shown.hold === undefined ? '' : ` by the detection ladder since ${time(shown.hold.since)}`},${shown.tenant === DEFAULT_TENANT ? '' : ` tenant ${shown.tenant},`} groups ${shown.groups.join(', ') || '(none)'}${shown.keySha256 === undefined ? '' : `, reported key ${shown.keySha256.slice(0, 12)}…`}${Object.entries(shown.attributes).map(([k, v]) => `, ${k}=${v}`).join('')}`,
      table([['SERIAL', 'STATE', 'EXPIRES'], ...shown.certificates.map((c) => [c.serial, c.state, time(c.notAfter)])]),
    ].join('\n'))
  })
}

interface BundleOptions extends CommonOptions {
  readonly out: string
  readonly format: BundleFormat
  readonly passwordFile?: string
  readonly force?: boolean
}

export async function bundle(id: string, options: BundleOptions): Promise<void> {
  const device = required(parseDeviceId(id))
  if (options.passwordFile !== undefined && options.format !== 'p12') throw new SallyportError('usage', '--password-file is for --format p12.')
  await withDesk(options, async (desk, home) => {
    const { announcedHost, listen } = configOf(home)
    const port = (await endpointsOf(home))?.mqtt.port ?? listen.mqtt.port
    const connectTo = { host: announcedHost, port }
    if (options.format !== 'pem') return bundleFile(desk, device, { ...options, format: options.format }, connectTo)
    const enrolled = await writeBundle(desk, device, { folder: options.out, connectTo, existingKey: options.force === true ? 'replace' : 'refuse' })
    print(options, { device, serial: enrolled.serial, notAfter: enrolled.notAfter, out: options.out }, () => `${options.out}: device.pem, chain.pem, ca.pem, device.key, connection.json\nThe key was made here and is nowhere else. The certificate ${enrolled.serial} expires ${time(enrolled.notAfter)}.`)
  })
}

async function bundleFile(desk: Desk, device: DeviceId, options: BundleOptions & { readonly format: Exclude<BundleFormat, 'pem'> }, connectTo: ConnectTo): Promise<void> {
  const { format, out, passwordFile } = options
  if (existsSync(out) && options.force !== true) throw new SallyportError('refused', `${out} exists: a key is not overwritten.`, { fix: 'Choose another --out, or give --force.' })
  const lock = passwordFile === undefined ? madePassword(newPasswordSecret(), device) : chosenPassword(passwordFile)
  const { writePacked } = await import('./bundle-format.ts')
  const { serial, notAfter } = await writePacked(desk, device, format === 'p12' ? { format, lock } : { format }, { out, connectTo })
  const password = format === 'p12' && lock.isMade ? { password: lock.password } : {}
  print(options, { device, serial, notAfter, out, ...password }, () => [
    `${out}: key, certificate, chain and root of ${device}`,
    ...('password' in password ? [`Its password is ${lock.password}. It is shown now and never again.`] : []),
    `The key was made here and is nowhere else. The certificate ${serial} expires ${time(notAfter)}.`,
  ].join('\n'))
}

interface EnrollOptions extends CommonOptions {
  readonly csr: string
  readonly out: string
}

export async function enroll(id: string, options: EnrollOptions): Promise<void> {
  const device = required(parseDeviceId(id))
  const csr = readText(options.csr)
  // A slip of the hand must not cost a key.
  if (existsSync(options.out) && !readText(options.out).startsWith('-----BEGIN CERTIFICATE-----')) throw new SallyportError('refused', `${options.out} is there, and is not a certificate: it is not overwritten.`, { fix: 'Choose another --out.' })
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

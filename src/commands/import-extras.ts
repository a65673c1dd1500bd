// What a row of an import gets besides its registration: a certificate for its request, a bundle, or a one-time password on the
// sheet. Every step can be done twice: an import that goes on after an interruption finds what it had written.

import { existsSync, mkdirSync, rmSync } from 'node:fs'
import path from 'node:path'
import type { Desk } from '../core/desk.ts'
import { SallyportError } from '../core/errors.ts'
import type { DeviceId } from '../core/ids.ts'
import { isBundleWhole, writeBundle } from '../bundle.ts'
import { EXTENSIONS, writePacked, type BundleFormat } from './bundle-format.ts'
import { chosenPassword, madePassword, type BundlePassword } from './bundle-password.ts'
import { sweeper, writeFiles } from './import-files.ts'
import type { RowResult } from './import-results.ts'
import type { ImportRow } from './import-rows.ts'
import { openSheet } from './token-sheet.ts'
import { durationOf } from './token.ts'

export interface ExtraOptions {
  readonly bundle?: BundleFormat | 'sheet'
  readonly out?: string
  readonly expires: string
  readonly perPage: string
  readonly passwordFile?: string
  readonly resume?: boolean
}

export interface Reached {
  readonly host: string
  readonly port: number
  readonly estPort: number
}

export interface Registered {
  readonly row: ImportRow
  /** An interrupted import may have done it already. */
  readonly begun: boolean
  readonly outcome: RowResult
}

export interface Added {
  /** In the order of the rows; those that are refused already stay as they are. */
  readonly results: readonly RowResult[]
  /** What must be on disk before the results are: it may be written while the next rows are worked on. */
  readonly write?: () => Promise<void>
}

export interface Extra {
  add(rows: readonly Registered[]): Promise<Added>
  /** After the last row. Says what was written where, when something was. */
  finish(): string | undefined
}

const PUBLIC_MODE = 0o644
const PER_PAGE_MAX = 24

/** What is done with an import's own secret, which is the same when it is resumed. */
export type OpenExtra = (secret: string) => Extra

/** Judges the options, before anything is written. Failures: 'usage', 'home-not-writable', 'refused', and those of a password file. */
export function prepareExtras(desk: Desk, { bundle, out, expires, perPage, passwordFile, resume }: ExtraOptions, reached: Reached): OpenExtra {
  if (passwordFile !== undefined && bundle !== 'p12') throw new SallyportError('usage', '--password-file is for --bundle p12.')
  if (bundle === undefined) return () => certificates(desk, out)
  if (out === undefined) throw new SallyportError('usage', `--bundle ${bundle} needs --out.`)
  if (bundle !== 'sheet') {
    const chosen = passwordFile === undefined ? undefined : chosenPassword(passwordFile)
    makeFolder(out)
    return (secret) => bundles(desk, bundle, { out, connectTo: reached, lockOf: (id) => chosen ?? madePassword(secret, id) })
  }
  const count = Number(perPage)
  if (!Number.isInteger(count) || count < 1 || count > PER_PAGE_MAX) throw new SallyportError('usage', `--per-page takes a number from 1 to ${PER_PAGE_MAX}.`)
  const pages = sheet(desk, { out, perPage: count, resume: resume === true, lifeMs: durationOf(expires), url: `https://${reached.host.includes(':') ? `[${reached.host}]` : reached.host}:${reached.estPort}/.well-known/est` })
  return () => pages
}

/** Does the work for the rows that are registered; a refusal by the desk is the result of its row. */
function each(rows: readonly Registered[], work: (row: ImportRow & { readonly device: { readonly allow: true } }, begun: boolean) => Promise<Partial<RowResult>>): Promise<readonly RowResult[]> {
  return Promise.all(rows.map(async ({ row, begun, outcome }) => {
    const { device } = row
    if (!outcome.ok || !device.allow) return outcome
    try {
      return { ...outcome, ...(await work({ ...row, device }, begun)) }
    } catch (error) {
      if (!(error instanceof SallyportError) || error.code !== 'refused' || error.reason === 'registry-unavailable') throw error
      return { ...outcome, ok: false, registered: true as const, code: error.reason ?? error.code, message: error.message }
    }
  }))
}

function certificates(desk: Desk, out: string | undefined): Extra {
  const sweep = sweeper(out ?? '')
  let written = 0
  return {
    async add(rows) {
      const files = new Map<string, string>()
      const results = await each(rows, async ({ csr, request, device }, begun) => {
        if (csr === undefined || out === undefined) return {}
        if (begun) sweep(`${device.value.id}.pem`)
        const enrolled = await desk.enroll(device.value.id, csr, request)
        files.set(`${device.value.id}.pem`, enrolled.certificate + enrolled.chain.join(''))
        return { serial: enrolled.serial }
      })
      if (out === undefined || files.size === 0) return { results }
      makeFolder(out)
      written += files.size
      return { results, write: () => writeFiles(out, files, PUBLIC_MODE) }
    },
    finish: () => (written === 0 ? undefined : `${out ?? ''}: ${written} certificates, each with its chain`),
  }
}

interface BundlesOptions {
  readonly out: string
  readonly connectTo: Reached
  readonly lockOf: (id: DeviceId) => BundlePassword
}

function bundles(desk: Desk, format: BundleFormat, { out, connectTo, lockOf }: BundlesOptions): Extra {
  const sweep = sweeper(out)
  let written = 0
  return {
    add: async (rows) => ({ results: await each(rows, async ({ device }, begun) => {
      const { id } = device.value
      const target = path.join(out, `${id}${EXTENSIONS[format]}`)
      const lock = lockOf(id)
      const password = format === 'p12' && lock.isMade ? { password: lock.password } : {}
      const whole = format === 'pem' ? isBundleWhole(target) : existsSync(target)
      if (begun) sweep(path.basename(target))
      if (begun && whole) {
        // Between the last two steps: it holds the key.
        rmSync(`${target}.making`, { recursive: true, force: true })
        return password
      }
      if (!begun && existsSync(target)) throw new SallyportError('refused', `${target} exists: a key is not overwritten.`)
      const enrolled = format === 'pem'
        ? await writeBundle(desk, id, { folder: target, connectTo, existingKey: 'use' })
        : await writePacked(desk, id, format === 'p12' ? { format, lock } : { format }, { out: target, connectTo })
      written++
      return { serial: enrolled.serial, ...password }
    }) }),
    finish: () => `${out}: ${written} bundles. Their keys were made here and are nowhere else.`,
  }
}

function sheet(desk: Desk, options: { readonly out: string; readonly perPage: number; readonly resume: boolean; readonly lifeMs: number; readonly url: string }): Extra {
  const pages = openSheet(options)
  return {
    async add(rows) {
      const asked = rows.flatMap(({ row: { device }, outcome }) => (outcome.ok && device.allow && !pages.has(device.value.id) ? [device.value.id] : []))
      if (asked.length > 0) pages.add(await desk.createTokens(asked.map((device) => ({ target: { device }, register: false, groups: [], networks: [], approve: 'auto', uses: 1, lifeMs: options.lifeMs }))))
      return { results: rows.map(({ outcome }) => outcome) }
    },
    finish: () => `${options.out}: ${pages.finish()} one-time passwords. They are here and nowhere else: print it, and remove it.`,
  }
}

function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
  } catch (cause) {
    throw new SallyportError('home-not-writable', `The folder ${folder} cannot be written.`, { fix: 'Choose another --out.', cause })
  }
}

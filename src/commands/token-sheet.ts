// A sheet of one-time passwords to print and cut: for each device its id, where it enrolls, the password, and a QR code with all
// of it. While an import runs they stand in a file beside it, line by line; the sheet is made of that at the end.

import { appendFileSync, closeSync, existsSync, fdatasyncSync, ftruncateSync, openSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { renderSVG } from 'uqr'
import { z } from 'zod'
import type { TokenMade } from '../core/enrollment-desk.ts'
import { SallyportError } from '../core/errors.ts'

export interface SheetOptions {
  readonly out: string
  readonly perPage: number
  /** Of EST, without a last slash. */
  readonly url: string
  readonly resume: boolean
}

export interface Sheet {
  has(device: string): boolean
  /** On disk when it returns. */
  add(tokens: readonly TokenMade[]): void
  /** Makes the sheet, mode 0600. Answers with how many are on it. */
  finish(): number
}

const PRIVATE_MODE = 0o600
const entrySchema = z.object({ device: z.string(), token: z.string(), expiresAt: z.number() })
type Entry = z.infer<typeof entrySchema>

/** Begins a sheet, or goes on with one that was interrupted. Failure: 'refused', when the sheet, or a part of another, is there. */
export function openSheet({ out, perPage, url, resume }: SheetOptions): Sheet {
  // An interruption between the last two steps leaves both: then the sheet is made again, of the same passwords.
  if (existsSync(out) && !(resume && existsSync(`${out}.making`))) throw new SallyportError('refused', `${out} exists: a sheet is not overwritten.`, { fix: 'Choose another --out, or remove it.' })
  const waiting = `${out}.making`
  if (!resume && existsSync(waiting)) throw new SallyportError('refused', `${waiting} is there: an import that makes this sheet was interrupted.`, { fix: 'Go on with that one (--resume), or remove the file: its passwords are then lost.' })
  const entries = existsSync(waiting) ? readEntries(waiting) : []
  const devices = new Set(entries.map(({ device }) => device))
  return {
    has: (device) => devices.has(device),
    add(tokens) {
      const added = tokens.flatMap(({ target, token, expiresAt }) => ('device' in target ? [{ device: target.device, token, expiresAt }] : []))
      const descriptor = openSync(waiting, 'a', PRIVATE_MODE)
      appendFileSync(descriptor, added.map((entry) => `${JSON.stringify(entry)}\n`).join(''))
      fdatasyncSync(descriptor)
      closeSync(descriptor)
      for (const entry of added) {
        entries.push(entry)
        devices.add(entry.device)
      }
    },
    finish() {
      writeSheet(`${out}.new`, entries, perPage, url)
      renameSync(`${out}.new`, out)
      rmSync(waiting, { force: true })
      return entries.length
    },
  }
}

/** What an interrupted import had made. A line that was being written is none. */
function readEntries(file: string): Entry[] {
  const text = readFileSync(file, 'utf8')
  const whole = text.slice(0, text.lastIndexOf('\n') + 1)
  const descriptor = openSync(file, 'r+')
  ftruncateSync(descriptor, Buffer.byteLength(whole))
  closeSync(descriptor)
  return whole.split('\n').filter((line) => line !== '').map((line) => entrySchema.parse(JSON.parse(line)))
}

const STYLE = `
@page { size: A4; margin: 10mm }
body { font: 10pt/1.4 sans-serif; margin: 0; color: #000 }
.page { break-after: page; display: grid; grid-template-columns: 1fr 1fr }
.one { box-sizing: border-box; border: 1px dashed #999; padding: 4mm; break-inside: avoid; min-width: 0 }
.one h2 { font-size: 12pt; margin: 0 0 2mm; overflow-wrap: anywhere }
.one svg { width: 34mm; height: 34mm; float: right; margin-left: 3mm }
.one p { margin: 1mm 0; overflow-wrap: anywhere }
.one code { font: bold 11pt monospace; clear: both; display: block }
`

/** Page by page, so that a large sheet is never whole in memory. Nothing in it is loaded from anywhere. */
function writeSheet(file: string, entries: readonly Entry[], perPage: number, url: string): void {
  const descriptor = openSync(file, 'w', PRIVATE_MODE)
  try {
    appendFileSync(descriptor, `<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'"><title>One-time passwords</title><style>${STYLE}</style></head><body>\n`)
    for (let at = 0; at < entries.length; at += perPage) {
      appendFileSync(descriptor, `<section class="page">\n${entries.slice(at, at + perPage).map((entry) => oneHtml(entry, url)).join('\n')}\n</section>\n`)
    }
    appendFileSync(descriptor, '</body></html>\n')
    fdatasyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

/** What the QR code says: JSON with where to enroll, as whom, and with what. */
function qrText({ device, token }: Pick<Entry, 'device' | 'token'>, url: string): string {
  return JSON.stringify({ est: url, id: device, token })
}

function oneHtml(entry: Entry, url: string): string {
  const [name = '', secret = ''] = entry.token.split('-')
  const groups = secret.match(/.{1,4}/g) ?? []
  return `<div class="one">${renderSVG(qrText(entry, url), { ecc: 'M', border: 4 })}<h2>${escaped(entry.device)}</h2>
<p>Enroll at ${escaped(url)}</p><p>Good once, until ${new Date(entry.expiresAt).toISOString().slice(0, 16).replace('T', ' ')} UTC</p>
<p>One-time password, typed without the spaces:</p><code>${escaped(name)}- ${groups.map(escaped).join(' ')}</code></div>`
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

function escaped(text: string): string {
  return text.replaceAll(/[&<>"']/g, (c) => ENTITIES[c] ?? '')
}

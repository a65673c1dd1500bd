// The files of the console, read once at the start into a table from path to answer. A request looks its path up here and
// nowhere else: none ever reaches the file system, however it is spelt.

import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import path from 'node:path'
import { CONSOLE_LIMITS } from '../console-limits.ts'

export interface ConsoleFile {
  readonly type: string
  /** As it is, and as `npm run build:console` has compressed it. */
  readonly bytes: Buffer
  readonly br?: Buffer
  readonly gzip?: Buffer
  /** Its name has its hash: whoever has it need never ask again. */
  readonly immutable: boolean
}

export interface ConsoleFiles {
  /** The page; undefined where the console was not built. */
  readonly page: ConsoleFile | undefined
  /** By the whole path of the URL. */
  readonly assets: ReadonlyMap<string, ConsoleFile>
}

/** What a build makes. Anything else in the folder is not served. */
const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
}
export const CONSOLE_BASE = '/console/'

/** dist/console of the package that this file is in, wherever in it this file lies: as source, or compiled. */
export function consoleFolder(from: string = import.meta.dirname): string {
  if (existsSync(path.join(from, 'package.json'))) return path.join(from, 'dist', 'console')
  const above = path.dirname(from)
  return above === from ? path.join(from, 'dist', 'console') : consoleFolder(above)
}

/** Never throws: a console that was not built is a page that says so. */
export function readConsoleFiles(folder: string): ConsoleFiles {
  if (!existsSync(path.join(folder, 'index.html'))) return { page: undefined, assets: new Map() }
  const named = existsSync(path.join(folder, 'assets')) ? readdirSync(path.join(folder, 'assets')).slice(0, CONSOLE_LIMITS.filesMax) : []
  const assets = named.flatMap((name): [string, ConsoleFile][] => {
    const file = readConsoleFile(path.join(folder, 'assets', name), true)
    return file === undefined ? [] : [[`${CONSOLE_BASE}assets/${name}`, file]]
  })
  return { page: readConsoleFile(path.join(folder, 'index.html'), false), assets: new Map(assets) }
}

function readConsoleFile(file: string, immutable: boolean): ConsoleFile | undefined {
  const type = TYPES[path.extname(file)]
  const found = statSync(file, { throwIfNoEntry: false })
  if (type === undefined || found === undefined || !found.isFile() || found.size > CONSOLE_LIMITS.fileBytesMax) return undefined
  const compressed = (suffix: string): Buffer | undefined => (existsSync(file + suffix) ? readFileSync(file + suffix) : undefined)
  const [br, gzip] = [compressed('.br'), compressed('.gz')]
  return { type, bytes: readFileSync(file), immutable, ...(br === undefined ? {} : { br }), ...(gzip === undefined ? {} : { gzip }) }
}

/** The smallest form that this reader takes. A weight of zero is a no; others are not compared. */
export function encodingFor(file: ConsoleFile, accepted: string | undefined): { readonly body: Buffer; readonly encoding?: 'br' | 'gzip' } {
  const takes = new Set((accepted ?? '').split(',').map((part) => part.trim().toLowerCase()).filter((part) => !/;\s*q=0(\.0*)?$/.test(part)).map((part) => part.split(';')[0]))
  if (file.br !== undefined && takes.has('br')) return { body: file.br, encoding: 'br' }
  if (file.gzip !== undefined && takes.has('gzip')) return { body: file.gzip, encoding: 'gzip' }
  return { body: file.bytes }
}

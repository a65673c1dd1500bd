// The house rules as a test: who may import whom, what core/ may not mention, which file names say nothing, how long a
// file may grow. architecture.md draws the table; this file enforces it.

import { readdirSync, readFileSync, statSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, test } from 'vitest'

const ROOT = path.resolve(import.meta.dirname, '..')

function sources(folder: string): string[] {
  return readdirSync(path.join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .map((name) => path.join(folder, name))
    .filter((name) => /\.(ts|tsx|cjs)$/.test(name) && statSync(path.join(ROOT, name)).isFile())
    .toSorted()
}

/** The file without its comments. */
function codeOf(file: string): string {
  return readFileSync(path.join(ROOT, file), 'utf8').replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '')
}

/** Without texts, too: what a sentence says to a person is no code. */
function codeWithoutTexts(file: string): string {
  return codeOf(file).replaceAll(/'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`/g, "''")
}

interface Imported {
  readonly from: string
  readonly specifier: string
}

function importsOf(file: string): Imported[] {
  const text = readFileSync(path.join(ROOT, file), 'utf8')
  const found = text.matchAll(/^\s*(?:import|export)\b[^'"`;]*?\bfrom\s+'([^']+)'|\bimport\(\s*'([^']+)'\s*\)|^\s*import\s+'([^']+)'/gm)
  return [...found].map((m) => ({ from: file, specifier: m[1] ?? m[2] ?? m[3] ?? '' }))
}

/** 'src/broker/engine/x.ts' → 'broker'; files directly in src/ are rooms of their own: 'src/limits.ts' → 'limits'. */
function roomOf(file: string): string {
  const [top = '', second = ''] = file.split(path.sep)
  if (top !== 'src') return top
  return second.replace(/\.(ts|cjs)$/, '')
}

/** Bounds are of everybody: limits.ts, and what is too long for it. They import nothing. */
const LIMITS = readdirSync(path.join(ROOT, 'src')).flatMap((name) => /^((?:[a-z]+-)?limits)\.ts$/.exec(name)?.[1] ?? [])
const LEAVES = ['vocabulary', ...LIMITS]
/** room → rooms that it may import, besides itself. What is not listed composes and may import everything. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  vocabulary: [],
  ...Object.fromEntries(LIMITS.map((name) => [name, []])),
  core: LEAVES,
  x509: [...LEAVES, 'core'],
  ca: [...LEAVES, 'core', 'x509'],
  store: [...LEAVES, 'core', 'x509'],
  signer: [...LEAVES, 'core', 'x509'],
  router: [...LEAVES, 'core', 'x509'],
  broker: [...LEAVES, 'core', 'x509'],
  enroll: [...LEAVES, 'core', 'x509'],
  http: [...LEAVES, 'core', 'x509'],
  observe: [...LEAVES, 'core', 'x509'],
  // In a browser: what it knows of the server is what the server answers, and the words of both.
  console: ['vocabulary'],
  // Calls out, and nobody else does: what may be called is judged in this room.
  webhooks: [...LEAVES, 'core'],
  pki: [...LEAVES, 'core', 'x509'],
  'yaml-source': [...LEAVES, 'core'],
  'policy-file': [...LEAVES, 'core', 'yaml-source'],
  config: [...LEAVES, 'core', 'yaml-source'],
  starter: [],
  'device-sim': ['vocabulary', 'yaml-source'],
}
/** Rooms that compose others; only they and each other may import them. */
const COMPOSERS = [
  'main', 'door-material', 'cli', 'cli-verb', 'cli-policy', 'cli-live', 'cli-operator', 'commands', 'desk', 'home', 'bundle', 'demo', 'foreign', 'fleet', 'detection', 'held-sessions',
  'policies', 'policy-apply', 'policy-desk', 'policy-history',
  'ca-desk', 'enrollment-desk', 'claim-desk', 'operator-desk', 'certificate-door', 'enrollments', 'renewal', 'renewal-desk', 'renewal-hints', 'expiry', 'public-pki', 'mass-revocation', 'shipped-profiles', 'signing', 'signer-process',
  'reloading', 'log-levels', 'cli-config', 'backup', 'restore', 'restore-swap', 'restore-replay',
  'est-request', 'device-certificates', 'enrollment-approval', 'unspent-use', 'lines', 'observing', 'upkeep',
  'console-desk', 'audit-desk', 'ready', 'reports',
  'feed', 'feed-desk', 'connections', 'overview', 'live', 'webhook-desk',
]

/** Third-party package → the only rooms that may know it. */
const PACKAGE_ROOMS: Readonly<Record<string, readonly string[]>> = {
  aedes: ['broker'],
  'mqtt-packet': ['broker', 'commands', 'device-sim'],
  mqtt: ['device-sim'],
  ws: ['broker'],
  pkijs: ['x509', 'device-sim'],
  asn1js: ['x509', 'device-sim'],
  fastify: ['http'],
  zod: ['http', 'commands', 'policy-history', 'backup', 'restore', 'restore-swap', 'device-sim'],
  yaml: ['yaml-source'],
  re2js: ['policy-file'],
  pino: ['observe'],
  '@prometheus-io/client': ['observe'],
  '@opentelemetry/api': ['observe'],
  commander: ['cli', 'cli-verb', 'cli-policy', 'cli-live', 'cli-config', 'cli-operator', 'commands', 'device-sim'],
  'csv-parse': ['commands', 'desk'],
  fflate: ['commands'],
  uqr: ['commands'],
  preact: ['console'],
  'node:sqlite': ['store'],
}

const files = [...sources('src'), ...sources('device-sim')]
const imports = files.flatMap(importsOf)

describe('the import table', () => {
  test('a room imports only what the table allows', () => {
    const wrong = imports.filter(({ from, specifier }) => {
      if (!specifier.startsWith('.')) return false
      const room = roomOf(from)
      const target = roomOf(path.join(path.dirname(from), specifier))
      if (target === room) return false
      const allowed = MAY_IMPORT[room]
      return allowed !== undefined && !allowed.includes(target)
    })
    expect(wrong).toEqual([])
  })

  test('nobody imports a composer but composers', () => {
    const wrong = imports.filter(({ from, specifier }) => {
      if (!specifier.startsWith('.')) return false
      const target = roomOf(path.join(path.dirname(from), specifier))
      return COMPOSERS.includes(target) && !COMPOSERS.includes(roomOf(from)) && !from.endsWith('.cjs')
    })
    expect(wrong).toEqual([])
  })

  test('every file of src is in a room that the table knows', () => {
    const unknown = files.filter((f) => f.startsWith('src') && !f.endsWith('.cjs')).map(roomOf).filter((r) => MAY_IMPORT[r] === undefined && !COMPOSERS.includes(r))
    expect([...new Set(unknown)]).toEqual([])
  })

  test('a third-party package is known in its room only', () => {
    const wrong = imports.filter(({ from, specifier }) => {
      if (specifier.startsWith('.')) return false
      const name = specifier.startsWith('node:') ? specifier : specifier.split('/').slice(0, specifier.startsWith('@') ? 2 : 1).join('/')
      if (name.startsWith('node:')) return PACKAGE_ROOMS[name] !== undefined && !PACKAGE_ROOMS[name].includes(roomOf(from))
      return PACKAGE_ROOMS[name]?.includes(roomOf(from)) !== true
    })
    expect(wrong).toEqual([])
  })

  test('core imports no built-in and mentions no clock, chance, process or console', () => {
    const core = files.filter((f) => roomOf(f) === 'core')
    expect(core.length).toBeGreaterThan(5)
    const impure = core.flatMap((f) => {
      const code = codeOf(f)
      return ['Date.now', 'new Date()', 'Math.random', 'process.', 'console.', "'node:"].filter((word) => code.includes(word)).map((word) => `${f}: ${word}`)
    })
    expect(impure).toEqual([])
  })

  test('relative imports name their extension', () => {
    expect(imports.filter(({ specifier }) => specifier.startsWith('.') && !/\.(ts|tsx|json|cjs)$/.test(specifier))).toEqual([])
  })
})

describe('names and sizes', () => {
  const BANNED = new Set(['utils', 'helpers', 'common', 'manager', 'service', 'misc', 'types', 'index'])

  test('no file is named after nothing', () => {
    expect(files.filter((f) => BANNED.has(path.basename(f).replace(/\.(ts|tsx|cjs)$/, '')))).toEqual([])
  })

  test('file names are kebab-case', () => {
    expect(files.filter((f) => !/^[a-z0-9]+(-[a-z0-9]+)*\.(ts|tsx|cjs)$/.test(path.basename(f)))).toEqual([])
  })

  test('no file has grown past one idea', () => {
    const LINES_MAX = 350
    const long = files.map((f) => ({ f, lines: readFileSync(path.join(ROOT, f), 'utf8').split('\n').length })).filter(({ lines }) => lines > LINES_MAX)
    expect(long).toEqual([])
  })

  test('every file says on top what it owns', () => {
    const silent = files.filter((f) => !/^(#!.*\n)?('use strict'\n+)?\/\/ \S/.test(readFileSync(path.join(ROOT, f), 'utf8')))
    expect(silent).toEqual([])
  })

  test('there is no default export, no any and no switched-off check in src and device-sim', () => {
    const wrong = files.filter((f) => /\.tsx?$/.test(f)).flatMap((f) => {
      const code = codeWithoutTexts(f)
      return [/^export default/m, /: any\b/, /\bas any\b/, /<any>/, /@ts-(ignore|expect-error|nocheck)/, /oxlint-disable|eslint-disable/].filter((p) => p.test(code)).map((p) => `${f}: ${p.source}`)
    })
    expect(wrong).toEqual([])
  })
})

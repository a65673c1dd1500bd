// Compiles the program into dist/: types stripped, one file to one file, with source maps, since Node strips no types below node_modules.
// Nothing is bundled: what runs is what stands in the repository. npm runs it before it packs.

import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import path from 'node:path'

const ROOT = path.resolve(import.meta.dirname, '..')
const DIST = path.join(ROOT, 'dist')
const ROOMS = ['src', 'device-sim']
/** dist/console is built by itself; what is in these folders alone is not left from another version. */
const MADE = [...ROOMS, 'types']

const tsc = path.join(ROOT, 'node_modules/.bin/tsc')
for (const name of MADE) rmSync(path.join(DIST, name), { recursive: true, force: true })
execFileSync(tsc, ['-p', path.join(ROOT, 'build/tsconfig.json')], { stdio: 'inherit' })
execFileSync(tsc, ['-p', path.join(ROOT, 'build/tsconfig.client.json')], { stdio: 'inherit' })

/** Everything that is no TypeScript is there at run time as it is: migrations, scenarios, the files that start the rest. */
const isCopied = (name) => !/\.(ts|tsx)$/.test(name) && !name.startsWith(`src${path.sep}console${path.sep}`)
for (const room of ROOMS) {
  const files = readdirSync(path.join(ROOT, room), { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  for (const { parentPath, name } of files) {
    const file = path.relative(ROOT, path.join(parentPath, name))
    if (isCopied(file)) cpSync(path.join(ROOT, file), path.join(DIST, file))
  }
}

// What is imported and is not there would be found by whoever installs this.
const compiled = readdirSync(DIST, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.js') && !name.startsWith('console'))
const missing = compiled.flatMap((name) => {
  const text = readFileSync(path.join(DIST, name), 'utf8')
  const imported = [...text.matchAll(/(?:from|import\()\s*'(\.[^']+)'/g)].map(([, at = '']) => path.join(path.dirname(name), at))
  return imported.filter((at) => !existsSync(path.join(DIST, at))).map((at) => `${name} imports ${at}`)
})
if (missing.length > 0) throw new Error(`dist/ is not whole:\n${missing.join('\n')}`)
process.stderr.write(`dist/: ${compiled.length} modules\n`)

// The package as somebody who has no clone gets it: packed, installed into an empty folder with the machine's own Node and npm, and used. It
// needs the npm registry, or a cache that has what is asked of it. `npm run test:package`; exit code 1 at the first thing that is not so.

import { execFileSync, spawn, type ExecFileSyncOptions } from 'node:child_process'
import { strict as assert } from 'node:assert'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

const ROOT = path.resolve(import.meta.dirname, '../..')
const READY_MS = 60_000
/** What npm scripts put in front is ours: the machine's own Node and npm come after it. */
const OWN_PATH = (process.env['PATH'] ?? '').split(path.delimiter).filter((folder) => !folder.includes('node_modules')).join(path.delimiter)
const ENVIRONMENT = { ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(npm_|NODE_|SALLYPORT_)/i.test(name))), PATH: OWN_PATH }
const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-package-'))
const place = path.join(folder, 'place')
mkdirSync(place)

function run(command: string, args: readonly string[], options: ExecFileSyncOptions = {}): string {
  return execFileSync(command, args, { cwd: place, env: ENVIRONMENT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], ...options }) as string
}

function step(what: string): void {
  process.stdout.write(`ok  ${what}\n`)
}

try {
  const tarball = packed()
  install(tarball)
  await use()
  types()
  publishable(tarball)
} finally {
  rmSync(folder, { recursive: true, force: true })
}

function packed(): string {
  const name = run('npm', ['pack', '--pack-destination', folder, '--loglevel', 'error'], { cwd: ROOT }).trim().split('\n').at(-1) ?? ''
  const tarball = path.join(folder, name)
  const files = run('tar', ['tzf', tarball]).trim().split('\n').map((file) => file.replace(/^package\//, ''))
  const allowed = /^(bin\/[a-z-]+\.cjs|dist\/(src|device-sim|types|console)\/.+|certs\/profiles\/[a-z-]+\.yaml|docs\/.+|deploy\/.+|README\.md|CHANGELOG\.md|LICENSE|package\.json)$/
  assert.deepEqual(files.filter((file) => !allowed.test(file)), [], 'files that do not belong into a package')
  assert.deepEqual(files.filter((file) => /(^|\/)(test|local|node_modules)\/|\.test\.|(?<!\.d)\.ts$|\.(pem|key|db)$/.test(file)), [], 'tests, sources or secrets')
  assert.equal(files.some((file) => file.startsWith('dist/src/store/sqlite/migrations/')), true, 'migrations')
  // Without development dependencies the build of the console leaves it out, with a word that nobody reads who packs.
  assert.deepEqual(['index.html', 'index.html.br'].filter((name) => !files.includes(`dist/console/${name}`)), [], 'the console')
  step(`${name}: ${files.length} files, none of them a source, a test or a secret`)
  return tarball
}

function install(tarball: string): void {
  writeFileSync(path.join(place, 'package.json'), '{ "name": "place", "version": "1.0.0", "private": true }')
  run('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', '--loglevel', 'error', tarball])
  const { version } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as { readonly version: string }
  assert.equal(run('npx', ['sallyport', '--version']).trim(), version)
  step(`installed with Node ${run('node', ['--version']).trim()} and npm ${run('npm', ['--version']).trim()}; npx sallyport runs`)
}

async function use(): Promise<void> {
  const home = path.join(place, 'home')
  const own = { env: { ...ENVIRONMENT, SALLYPORT_HOME: home } }
  const server = spawn('npx', ['sallyport', 'serve', '--ports', 'auto'], { cwd: place, ...own, stdio: ['ignore', 'pipe', 'pipe'] })
  const ended = new Promise<number | null>((resolve) => server.once('exit', resolve))
  let output = ''
  try {
    await new Promise<void>((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`not ready:\n${output}`)), READY_MS)
      const hear = (chunk: Buffer): void => {
        output += chunk.toString()
        if (!output.includes('"msg":"ready"')) return
        clearTimeout(late)
        resolve()
      }
      server.stdout.on('data', hear)
      server.stderr.on('data', hear)
      server.once('exit', (code) => reject(new Error(`ended with ${code}:\n${output}`)))
    })
    step('npx sallyport serve is ready: database, signer, enrollment door and policy run compiled')
    run('npx', ['sallyport', 'device', 'add', 'sensor-1', '--group', 'sensors'], own)
    run('npx', ['sallyport', 'device', 'bundle', 'sensor-1', '--out', 'bundle'], own)
    assert.match(run('npx', ['sallyport', 'doctor', 'connect', '--cert', 'bundle/device.pem', '--key', 'bundle/device.key'], own), /^ok {3}connect: accepted$/m)
    step('a device is provisioned and connects')
    // A policy is parsed and compiled on a thread of its own.
    assert.match(run('npx', ['sallyport', 'reload'], own), /^reloaded: policy generation 1/)
    step('a reload is answered')
    const { admin } = JSON.parse(readFileSync(path.join(home, 'data/endpoints.json'), 'utf8')) as { readonly admin: { readonly url: string } }
    const script = `import { openClient } from 'sallyport/client'
      import { readFileSync } from 'node:fs'
      const file = (name) => readFileSync(process.env.SALLYPORT_HOME + '/certs/local/operator/' + name, 'utf8')
      const api = openClient({ url: ${JSON.stringify(admin.url)}, key: file('key.pem'), cert: file('cert.pem'), ca: file('ca.pem') })
      console.log((await api.device({ id: 'sensor-1' })).state); api[Symbol.dispose]()`
    assert.equal(run('npx', ['node', '--input-type=module', '-e', script], own).trim(), 'active')
    step('sallyport/client asks it')
  } finally {
    const file = path.join(home, 'data/endpoints.json')
    if (existsSync(file)) process.kill((JSON.parse(readFileSync(file, 'utf8')) as { readonly pid: number }).pid, 'SIGTERM')
    else server.kill('SIGKILL')
  }
  assert.equal(await ended, 0)
  step('SIGTERM ends it with 0')
  run('npx', ['sallyport-sim', 'attack', '--case', 'T01,T27,T36'], own)
  // Its devices are on threads.
  run('npx', ['sallyport-sim', 'load', '--devices', '20', '--rate', '50', '--seconds', '2'], own)
  step('npx sallyport-sim attacks a server of its own, and loads another')
}

/** As a program that is written in TypeScript sees the client. */
function types(): void {
  writeFileSync(path.join(place, 'program.ts'), `import { openClient, type Client } from 'sallyport/client'
export async function states(api: Client): Promise<readonly string[]> {
  const { items } = await api.devices({ limit: 10 })
  return items.map(({ state }) => state)
}
// @ts-expect-error A device has no such field.
export const wrong = async (api: Client): Promise<unknown> => (await api.device({ id: 'x' })).nonsense
export const open = (): Client => openClient({ url: '', key: '', cert: '', ca: '' })
`)
  writeFileSync(path.join(place, 'tsconfig.json'), JSON.stringify({ compilerOptions: { module: 'nodenext', target: 'es2024', lib: ['es2024', 'esnext.disposable'], strict: true, noEmit: true, types: ['node'], typeRoots: ['node_modules/@types'] }, files: ['program.ts'] }))
  mkdirSync(path.join(place, 'node_modules/@types'), { recursive: true })
  if (!existsSync(path.join(place, 'node_modules/@types/node'))) symlinkSync(path.join(ROOT, 'node_modules/@types/node'), path.join(place, 'node_modules/@types/node'))
  run(path.join(ROOT, 'node_modules/.bin/tsc'), ['-p', place], { stdio: 'inherit' })
  step('its types are those of a program that imports it')
}

/** Once nobody says private, npm would take it as it is. */
function publishable(tarball: string): void {
  run('tar', ['xzf', tarball, '-C', folder])
  const copy = path.join(folder, 'publish')
  cpSync(path.join(folder, 'package'), copy, { recursive: true })
  run('npm', ['pkg', 'delete', 'private', 'scripts'], { cwd: copy })
  const said = execFileSync('sh', ['-c', 'npm publish --dry-run --loglevel warn 2>&1'], { cwd: copy, env: ENVIRONMENT, encoding: 'utf8' })
  // Who it is published as is the only thing that is missing.
  assert.doesNotMatch(said.replace(/^npm warn publish This command requires you to be logged in.*$/m, ''), /npm (warn|error)/i, said)
  step('npm publish --dry-run has nothing to say against it')
}

// docs/ca.md, run: every command that stands in it, in its order, against a server with devices connected; and what it prints is
// what the page says. With UPDATE_DOCS=1 the page is written instead.

import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { connect, type MqttClient } from 'mqtt'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { loadConfig } from '../../src/config.ts'
import { serve, type Ready } from '../../src/main.ts'
import { has } from '../e2e/program.ts'
import { sallyport, temporary } from './shell.ts'

const PAGE = path.resolve(import.meta.dirname, '../../docs/ca.md')

/** The commands of each place of the page, in their order. */
const RUNS: Readonly<Record<string, readonly string[]>> = {
  rotate: ['sallyport ca rotate', 'sallyport ca rotate start --dry-run', 'sallyport ca rotate start', 'sallyport ca rotate trust', 'sallyport ca rotate switch'],
  move: ['sallyport device bundle sensor-1 --out sensor-1 --force', 'sallyport ca rotate status'],
  retire: ['sallyport ca rotate retire --dry-run', 'sallyport ca rotate retire', 'sallyport ca rotate retire --force --yes'],
  root: ['sallyport ca rotate start --root', 'sallyport ca rotate trust', 'sallyport ca rotate cross-sign', 'openssl verify -CAfile old-root.pem -untrusted home/certs/local/server/cert.pem home/certs/local/server/cert.pem', 'sallyport ca rotate switch', 'openssl verify -CAfile old-root.pem -untrusted home/certs/local/server/cert.pem home/certs/local/server/cert.pem'],
  'root-retire': ['sallyport device bundle sensor-1 --out sensor-1 --force', 'sallyport ca rotate retire --force --yes', 'sallyport ca rotate status'],
  export: ['sallyport ca export-root-key --out root-2.key --passphrase-file root.pass', 'sallyport ca remove-root-key --exported root-2.key --passphrase-file root.pass --yes', 'sallyport device bundle sensor-3 --out sensor-3'],
  lend: ['sallyport ca rotate start', 'sallyport ca rotate start --root-key root-2.key --root-key-passphrase-file root.pass', 'sallyport ca rotate abort'],
  import: ['sallyport ca csr --out next.csr', 'openssl x509 -req -in next.csr -CA corporate.pem -CAkey corporate.key -extfile issuing.ext -days 365 -out next.pem', 'sallyport ca import --cert next.pem --chain corporate.pem', 'sallyport ca rotate trust', 'sallyport ca rotate switch', 'sallyport ca show'],
}

const place = temporary()
const home = place.at('home')
const ending = new AbortController()
let served: Promise<void>
let ready: Ready
let dropped = 0
const clients: MqttClient[] = []

const shell = (line: string): string => {
  const { status, stdout, stderr } = spawnSync('sh', ['-c', line], { cwd: place.folder, encoding: 'utf8' })
  if (status !== 0) throw new Error(`${line}: ${stderr}`)
  return stdout
}

beforeAll(async () => {
  const readiness = Promise.withResolvers<Ready>()
  served = serve({ home, config: () => loadConfig(home, { SALLYPORT_LOG_LEVEL: 'error' }, { portsAuto: true }), signal: ending.signal, onReady: readiness.resolve, onReload: () => {}, version: '0.0.0' })
  ready = await Promise.race([readiness.promise, served.then(() => Promise.reject(new Error('it ended')))])
  writeFileSync(place.at('old-root.pem'), readFileSync(path.join(home, 'certs/local/root.pem')))
  for (const id of ['sensor-1', 'sensor-2', 'sensor-3']) await sallyport(['device', 'add', id, '--group', 'sensors'], { home, cwd: place.folder })
  for (const id of ['sensor-1', 'sensor-2']) await sallyport(['device', 'bundle', id, '--out', id], { home, cwd: place.folder })
  await session('sensor-1')
  writeFileSync(place.at('root.pass'), 'of the ceremony\n', { mode: 0o600 })
  writeFileSync(place.at('issuing.ext'), 'basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid:always\n')
  if (has('openssl')) shell('openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj "/O=Corporate/CN=Corporate Root" -addext keyUsage=critical,keyCertSign -keyout corporate.key -out corporate.pem 2>/dev/null')
})
afterAll(async () => {
  for (const client of clients) client.end(true)
  ending.abort()
  await served
  place[Symbol.dispose]()
})

async function session(id: string): Promise<void> {
  const file = (name: string): Buffer => readFileSync(place.at(`${id}/${name}`))
  const client = connect({ protocol: 'mqtts', host: 'localhost', port: ready.mqtt.port, clientId: `${id}:${clients.length}`, reconnectPeriod: 0, ca: readFileSync(place.at('old-root.pem')), cert: file('device.pem'), key: file('device.key') })
  clients.push(client)
  await new Promise<void>((resolve, reject) => void client.once('connect', () => resolve()).once('error', reject).once('close', () => reject(new Error('closed'))))
  client.on('close', () => dropped++)
}

/** What a command prints, without what differs from day to day. */
async function run(line: string): Promise<string> {
  const [program, ...args] = line.split(' ')
  if (program !== 'sallyport') return shell(line)
  const { status, stdout, stderr } = await sallyport(args, { home, cwd: place.folder })
  return `${stdout}${stderr}${status === 0 ? '' : `[exit ${status}]\n`}`
}

function plain(text: string): string {
  return text
    .replaceAll(place.folder, '')
    .replaceAll(/\b[0-9a-f]{64}\b/g, '…')
    .replaceAll(/\b[0-9a-f]{32}\b/g, '…')
    .replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g, 'YYYY-MM-DDThh:mm:ssZ')
    .replaceAll(/ +$/gm, '')
}

describe.skipIf(!has('openssl'))('docs/ca.md (needs openssl)', () => {
  test('does what it says, command by command', async () => {
    const page = readFileSync(PAGE, 'utf8')
    const blocks: Record<string, string> = {}
    const drops: Record<string, number> = {}
    for (const [name, lines] of Object.entries(RUNS)) {
      const said: string[] = []
      for (const line of lines) {
        said.push(`$ ${line}\n${plain(await run(line))}`)
        // The device that moved speaks with what it has now.
        if (line.startsWith('sallyport device bundle sensor-1')) await session('sensor-1')
      }
      blocks[name] = `<!-- run: ${name} -->\n\`\`\`text\n${said.join('').trimEnd()}\n\`\`\`\n`
      drops[name] = dropped
    }
    // Sessions end with the CA of their certificate, and at no other step.
    expect(drops).toEqual({ rotate: 0, move: 0, retire: 1, root: 1, 'root-retire': 2, export: 2, lend: 2, import: 2 })
    const written = Object.entries(blocks).reduce((text, [name, block]) => text.replace(new RegExp(`<!-- run: ${name} -->\n(?:\`\`\`text\n[^]*?\n\`\`\`\n)?`), () => block), page)
    if (process.env['UPDATE_DOCS'] !== undefined) writeFileSync(PAGE, written)
    expect(page).toBe(written)
  }, 120_000)
})

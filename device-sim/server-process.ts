// The simulator's own home and server: a temporary folder whose CA the forge has made, and a child process that serves
// it. It starts, waits, stops and removes. What the server does in between is not its business.

import { spawn, type ChildProcess } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { openAdmin, type Admin } from './admin.ts'
import type { EstDoor } from './est.ts'
import { SimError } from './failure.ts'
import { forgeIssuing, forgeRoot, type ForgedAuthority } from './forge/authority.ts'
import { pem, unpem } from './forge/certificate.ts'
import { keyPem } from './forge/keys.ts'
import { SIM_LIMITS } from './limits.ts'
import type { Target } from './target.ts'

const LAUNCHER = fileURLToPath(new URL('../src/launch.cjs', import.meta.url))

/** A home that somebody serves, seen from outside. */
export interface OpenedHome {
  readonly directory: string
  readonly target: Target
  readonly admin: Admin
  /** The enrollment door. */
  readonly enroll: EstDoor
  /** Where it serves MQTT over WebSocket. */
  readonly websocket?: WebSocketDoor
  /** Where CRLs and OCSP are. */
  readonly pki?: { readonly host: string; readonly port: number }
  /** DER: the root, and the issuing certificate as it stands in the operator's chain. */
  readonly root: Buffer
  readonly issuing: Buffer
  /** Only of a home that the simulator made. */
  readonly issuingAuthority?: ForgedAuthority
  readonly factoryAuthority?: ForgedAuthority
  /** Trusted for the same names as the factory. */
  readonly secondFactoryAuthority?: ForgedAuthority
  /** Trusted for enrollment alone: the CA of a manufacturer. */
  readonly makerAuthority?: ForgedAuthority
  /** The file with the root's key, which is kept out of the home as a careful operator does. */
  readonly rootKey?: string
  /** The process that serves now; undefined when nobody does. */
  pid(): Promise<number | undefined>
  /** Runs a command of the sallyport CLI on this home; its standard output. */
  command(...args: readonly string[]): Promise<string>
}

export interface WebSocketDoor {
  readonly host: string
  readonly port: number
  readonly path: string
}

const Door = z.looseObject({ host: z.string(), port: z.number() })
const Endpoints = z.looseObject({
  pid: z.number(),
  mqtt: Door,
  websocket: Door.optional(),
  admin: z.looseObject({ url: z.string() }),
  enroll: Door,
  pki: Door.optional(),
})

/** A server that listens on every address, or on a name of this machine, is reached by IPv4 loopback. */
function reachable(host: string): string {
  return ['::', '0.0.0.0', '::1', 'localhost'].includes(host) ? '127.0.0.1' : host
}

async function readEndpoints(directory: string): Promise<z.infer<typeof Endpoints> | undefined> {
  try {
    return Endpoints.parse(JSON.parse(await readFile(path.join(directory, 'data/endpoints.json'), 'utf8')))
  } catch {
    return undefined // Not there yet, or half written: the caller asks again.
  }
}

/** A clean environment: nothing of the caller's shell may change what the server does. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  const { PATH, HOME, TMPDIR } = process.env
  return { NO_COLOR: '1', ...(PATH === undefined ? {} : { PATH }), ...(HOME === undefined ? {} : { HOME }), ...(TMPDIR === undefined ? {} : { TMPDIR }) }
}

function start(args: readonly string[]): ChildProcess {
  return spawn(process.execPath, [LAUNCHER, ...args], { env: cleanEnvironment(), stdio: ['ignore', 'pipe', 'pipe'] })
}

function keepTail(child: ChildProcess): () => string {
  let tail = ''
  const keep = (chunk: Buffer): void => {
    tail = (tail + chunk.toString()).slice(-SIM_LIMITS.serverLogCharsMax)
  }
  child.stdout?.on('data', keep)
  child.stderr?.on('data', keep)
  return () => tail
}

/** Runs one command to its end; its standard output. A command that fails is a SimError with its last words. */
async function run(args: readonly string[]): Promise<string> {
  const child = start(args)
  const timer = setTimeout(() => child.kill('SIGKILL'), SIM_LIMITS.commandMs)
  let output = ''
  let errors = ''
  child.stdout?.on('data', (chunk: Buffer) => {
    output += chunk.toString()
  })
  child.stderr?.on('data', (chunk: Buffer) => {
    errors = (errors + chunk.toString()).slice(-SIM_LIMITS.serverLogCharsMax)
  })
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  clearTimeout(timer)
  if (code !== 0) throw new SimError('failed', `sallyport ${args.slice(0, 2).join(' ')} ended with ${code ?? 'a signal'}: ${errors.trim()}`)
  return output
}

/** Opens a home that is being served, with its operator credential. Failure: 'unreachable', with what is missing. */
export async function openHome(directory: string, address?: { readonly host: string; readonly port: number }, forged: Pick<OpenedHome, 'issuingAuthority' | 'factoryAuthority' | 'secondFactoryAuthority' | 'makerAuthority' | 'rootKey'> = {}): Promise<OpenedHome> {
  const endpoints = await readEndpoints(directory)
  if (endpoints === undefined) throw new SimError('unreachable', `No server is running in ${directory}: it has no data/endpoints.json.`)
  const operator = path.join(directory, 'certs/local/operator')
  const [cert, key, ca] = await Promise.all(['cert.pem', 'key.pem', 'ca.pem'].map((file) => readFile(path.join(operator, file), 'utf8').catch(() => undefined)))
  if (cert === undefined || key === undefined || ca === undefined) throw new SimError('unreachable', `${operator} holds no operator credential that can be read.`)
  const root = unpem(ca)[0]
  const issuing = unpem(cert)[1]
  if (root === undefined || issuing === undefined) throw new SimError('unreachable', `${operator} holds no certificate chain.`)
  const host = address?.host ?? reachable(endpoints.mqtt.host)
  const serverName = /^[\d.]+$|:/.test(host) ? 'localhost' : host
  return {
    directory,
    target: { host: address?.host === 'localhost' ? '127.0.0.1' : host, port: address?.port ?? endpoints.mqtt.port, serverName, ca },
    enroll: { host: reachable(endpoints.enroll.host), port: endpoints.enroll.port, ca },
    admin: openAdmin({ url: endpoints.admin.url, cert, key, ca }),
    ...(endpoints.websocket === undefined ? {} : { websocket: { host: reachable(endpoints.websocket.host), port: endpoints.websocket.port, path: '/mqtt' } }),
    ...(endpoints.pki === undefined ? {} : { pki: { host: reachable(endpoints.pki.host), port: endpoints.pki.port } }),
    root,
    issuing,
    ...forged,
    pid: async () => (await readEndpoints(directory))?.pid,
    command: (...args) => run([...args, '--home', directory]),
  }
}

export interface OwnServer extends AsyncDisposable {
  readonly home: OpenedHome
}

/** The ids that certificates of the factory's CA may bear: what the simulator's own home trusts it for. */
export const FACTORY_ID_PREFIX = 'factory-'

/** Resumption is on, though a server's default is off: T11 needs sessions that are really resumed. WebSocket is, for Q43. */
const OWN_CONFIG = 'listen:\n  websocket: {}\ntls:\n  resumption: on\ntrust:\n  - { name: factory, file: factory.pem }\n  - { name: second-factory, file: second-factory.pem }\n  - { name: maker, file: maker.pem, only: enrollment }\n'

/** The starter policy, and in it the factory's devices, ears that may hear everything that is not reserved, and two more groups. */
async function extendPolicy(file: string): Promise<void> {
  const starter = await readFile(file, 'utf8')
  const grants = [
    '{ id: ears, to: { group: ears }, subscribe: ["#"] }',
    '{ id: keeper, to: { group: keepers }, publish: [{ topic: "t/${device.id}/#", retain: true }], subscribe: ["t/${device.id}/#"] }',
    '{ id: metered, to: { group: metered }, publish: [{ topic: "t/${device.id}/#", rate: 20/s }], subscribe: ["t/${device.id}/#"] }',
  ]
  const rules = ['factory', 'second-factory'].map((ca) => `  - { ca: ${ca}, device: "\${cert.subject.CN}", idPattern: "${FACTORY_ID_PREFIX}[0-9a-z-]+", groups: [sensors], register: auto }\n`)
  if (starter.split('\ngrants:\n').length !== 2) throw new SimError('failed', 'The starter policy is not as the simulator knows it: it has no one list of grants.')
  await writeFile(file, starter.replace('\ngrants:\n', `\ngrants:\n${grants.map((grant) => `  - ${grant}\n`).join('')}`) + `\nidentity:\n${rules.join('')}`)
}

/**
 * Makes a home in a temporary folder and serves it on free ports. The forge holds the key of its issuing CA, and that of a
 * factory's CA that it trusts: whose certificates nobody records before they come.
 */
export async function startOwnServer(signal: AbortSignal): Promise<OwnServer> {
  const directory = await mkdtemp(path.join(tmpdir(), 'sallyport-sim-'))
  let child: ChildProcess | undefined
  try {
    const root = forgeRoot('Simulated fleet')
    const issuing = forgeIssuing(root, 'Simulated fleet')
    const factory = forgeRoot('Simulated factory')
    const second = forgeRoot('Second simulated factory')
    const maker = forgeRoot('Simulated maker')
    await importAuthority(directory, root, issuing)
    await writeFile(path.join(directory, 'factory.pem'), pem('CERTIFICATE', factory.certificate))
    await writeFile(path.join(directory, 'second-factory.pem'), pem('CERTIFICATE', second.certificate))
    await writeFile(path.join(directory, 'maker.pem'), pem('CERTIFICATE', maker.certificate))
    await writeFile(path.join(directory, 'sallyport.yaml'), OWN_CONFIG)
    await extendPolicy(path.join(directory, 'policy.yaml'))
    signal.throwIfAborted()
    child = start(['serve', '--ports', 'auto', '--home', directory])
    const tail = keepTail(child)
    await ready(directory, child, tail, signal)
    const home = await openHome(directory, undefined, { issuingAuthority: issuing, factoryAuthority: factory, secondFactoryAuthority: second, makerAuthority: maker, rootKey: path.join(directory, 'import/root.key') })
    const running = child
    return {
      home,
      async [Symbol.asyncDispose]() {
        home.admin.close()
        await stop(running)
        await rm(directory, { recursive: true, force: true })
      },
    }
  } catch (failure) {
    if (child !== undefined) await stop(child)
    await rm(directory, { recursive: true, force: true })
    throw failure
  }
}

async function importAuthority(directory: string, root: ForgedAuthority, issuing: ForgedAuthority): Promise<void> {
  const imports = path.join(directory, 'import')
  await mkdir(imports, { mode: 0o700 })
  const at = (file: string): string => path.join(imports, file)
  await writeFile(at('issuing.pem'), pem('CERTIFICATE', issuing.certificate))
  await writeFile(at('issuing.key'), keyPem(issuing.key), { mode: 0o600 })
  await writeFile(at('root.pem'), pem('CERTIFICATE', root.certificate))
  await writeFile(at('root.key'), keyPem(root.key), { mode: 0o600 })
  await run(['ca', 'init', '--home', directory, '--import-cert', at('issuing.pem'), '--import-key', at('issuing.key'), '--import-chain', at('root.pem')])
}

async function ready(directory: string, child: ChildProcess, tail: () => string, signal: AbortSignal): Promise<void> {
  const deadline = performance.now() + SIM_LIMITS.serverReadyMs
  while ((await readEndpoints(directory)) === undefined) {
    if (child.exitCode !== null || child.signalCode !== null) throw new SimError('failed', `The server did not start: ${tail().trim()}`)
    if (performance.now() > deadline) throw new SimError('failed', `The server was not ready in ${SIM_LIMITS.serverReadyMs} ms: ${tail().trim()}`)
    await delay(SIM_LIMITS.readyPollMs, undefined, { signal })
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = new Promise<void>((resolve) => void child.once('exit', () => resolve()))
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), SIM_LIMITS.serverStopMs)
  await gone
  clearTimeout(timer)
}

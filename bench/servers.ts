// The servers that are measured, each a process of its own on loopback: Sallyport as a user starts it, the bare TLS server,
// and mosquitto. It starts and stops them; what is asked of them is elsewhere.

import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { createWriteStream, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import net from 'node:net'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { cpuMsOf } from './process-cpu.ts'
import { pinned } from './pinned.ts'

const ROOT = path.resolve(import.meta.dirname, '..')
/** Not a package of ours: it is measured where the machine has it. */
const MOSQUITTO = 'mosquitto'
const POLL_MS = 5
const MOSQUITTO_READY_MS = 5_000

export interface Served {
  readonly home: string
  readonly pid: number
  readonly port: number
  readonly adminUrl: string
  /** From the command to the file that says where it listens. */
  readonly readyMs: number
  /** What it had spent by then, all threads. */
  readonly readyCpuMs: number
  stop(): Promise<void>
}

export interface Target {
  readonly name: string
  readonly pid: number
  readonly port: number
}

/** What a TLS server of these benchmarks shows and trusts: files in PEM. */
interface ServerFiles {
  readonly key: string
  /** The leaf and its issuing certificate. */
  readonly cert: string
  /** What it trusts: the root, alone or with the issuing certificate. */
  readonly ca: string
}

interface Start {
  /** Without the compile cache, as on a machine that has never started it. */
  readonly cold?: boolean
  /** Writes a CPU profile into this folder when it ends. What is measured beside it is not the product. */
  readonly profile?: string | undefined
  /** It, and every thread of it, runs on this core only. */
  readonly core?: number | undefined
  /** A module that is loaded before everything else. */
  readonly preload?: string | undefined
}

/** mosquitto beyond what all its uses here have in common. */
interface MosquittoStart {
  readonly core?: number | undefined
  /** The text of an ACL file. Without one whoever has a certificate may do everything. */
  readonly acl?: string
  /** Further lines of its configuration; they win over ours. */
  readonly settings?: readonly string[]
  /** Further lines of its listener. */
  readonly listener?: readonly string[]
}

export interface Mosquitto extends Target {
  /** The text of its configuration file. */
  readonly configuration: string
  stop(): Promise<void>
}

export interface Servers {
  serve(home: string, how?: Start): Promise<Served>
  bare(files: ServerFiles): Promise<Target>
  /** The engine without Sallyport. */
  engine(files: ServerFiles): Promise<Target>
  /** Undefined where there is no mosquitto. */
  mosquitto(files: ServerFiles, work: string, how?: MosquittoStart): Promise<Mosquitto | undefined>
  /** Ends whatever is still running. */
  killAll(): void
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

export function openServers(): Servers {
  const children = new Set<ChildProcess>()
  const started = (child: ChildProcess): void => {
    children.add(child)
    child.once('exit', () => children.delete(child))
  }

  /** A server of this folder, which says on its first line where it listens. */
  async function reported(name: string, file: string, { key, cert, ca }: ServerFiles): Promise<Target> {
    const child = spawn(process.execPath, [fileURLToPath(import.meta.resolve(file)), key, cert, ca], { stdio: ['ignore', 'pipe', 'inherit'] })
    started(child)
    const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string]
    return { name, ...(JSON.parse(line) as { pid: number; port: number }) }
  }

  return {
    async serve(home, { cold = false, profile, core, preload } = {}) {
      mkdirSync(home, { recursive: true })
      const log = path.join(home, 'serve.log')
      const since = performance.now()
      const profiling = profile === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', profile]
      const watching = preload === undefined ? [] : ['--import', preload]
      const [command, ...args] = pinned(core, [process.execPath, ...profiling, ...watching, path.join(ROOT, 'src/launch.cjs'), 'serve', '--ports', 'auto', '--home', home])
      const child = spawn(command, args, {
        stdio: ['ignore', 'ignore', 'pipe'],
        env: { ...process.env, ...(cold ? { NODE_DISABLE_COMPILE_CACHE: '1' } : {}) },
      })
      started(child)
      child.stderr.pipe(createWriteStream(log))
      const endpoints = path.join(home, 'data/endpoints.json')
      while (!existsSync(endpoints)) {
        if (child.exitCode !== null) throw new Error(`serve ended with ${child.exitCode}: ${readFileSync(log, 'utf8')}`)
        await pause(POLL_MS)
      }
      const readyMs = performance.now() - since
      const { pid, mqtt, admin } = JSON.parse(readFileSync(endpoints, 'utf8')) as { pid: number; mqtt: { port: number }; admin: { url: string } }
      return {
        home, pid, port: mqtt.port, adminUrl: admin.url, readyMs, readyCpuMs: cpuMsOf(pid),
        async stop() {
          const exit = once(child, 'exit')
          process.kill(pid, 'SIGTERM')
          await exit
        },
      }
    },

    bare: (files) => reported('bare tls.createServer', './bare-server.ts', files),
    engine: (files) => reported('aedes as published', './engine-server.ts', files),

    async mosquitto(files, work, { core, acl, settings = [], listener = [] } = {}) {
      if (mosquittoVersion() === undefined) return undefined
      const port = await freePort()
      const [conf, aclFile] = [path.join(work, `mosquitto-${port}.conf`), path.join(work, `mosquitto-${port}.acl`)]
      if (acl !== undefined) writeFileSync(aclFile, acl, { mode: 0o600 })
      const configuration = mosquittoConf(port, files, [...settings, ...(acl === undefined ? [] : [`acl_file ${aclFile}`])], listener)
      writeFileSync(conf, configuration)
      const [command, ...args] = pinned(core, [MOSQUITTO, '-c', conf])
      const child = spawn(command, args, { stdio: 'ignore' })
      started(child)
      const { pid } = child
      const until = performance.now() + MOSQUITTO_READY_MS
      while (!(await isListening(port))) {
        if (child.exitCode !== null || performance.now() > until) throw new Error(`mosquitto does not start with ${readFileSync(conf, 'utf8')}`)
        await pause(POLL_MS)
      }
      if (pid === undefined) return undefined
      return {
        name: 'mosquitto', pid, port, configuration,
        async stop() {
          const exit = once(child, 'exit')
          child.kill('SIGTERM')
          await exit
        },
      }
    },

    killAll() {
      for (const child of children) child.kill('SIGKILL')
    },
  }
}

/** "mosquitto version 2.0.11" and the OpenSSL it was linked with, as far as it says so. */
export function mosquittoVersion(): string | undefined {
  const said = spawnSync(MOSQUITTO, ['-h'], { encoding: 'utf8' })
  return said.error === undefined ? (said.stdout.split('\n')[0] ?? '') : undefined
}

/** Everything that costs it CPU and that the others do not do is off: no log, no persistence, no delay. */
function mosquittoConf(port: number, { key, cert, ca }: ServerFiles, settings: readonly string[], listener: readonly string[]): string {
  const isSet = (line: string): boolean => settings.some((s) => s.split(' ')[0] === line.split(' ')[0])
  return [
    ...['user root', 'log_type none', 'connection_messages false', 'persistence false', 'set_tcp_nodelay true', 'allow_anonymous false'].filter((line) => !isSet(line)),
    ...settings,
    `listener ${port} 127.0.0.1`, `cafile ${ca}`, `certfile ${cert}`, `keyfile ${key}`,
    'require_certificate true', 'use_identity_as_username true', 'ciphers_tls1.3 TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384', ...listener, '',
  ].join('\n')
}

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}

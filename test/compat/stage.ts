// A server with the devices that a client needs to be admitted and refused, and what the client is asked to do. Shared by the compatibility
// tests; of a client it knows only that it is run to its end and shows something.

import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { connectAsync, type MqttClient } from 'mqtt'
import { client, Program } from '../e2e/program.ts'

export type Version = '3.1.1' | '5'

/** `exchange` subscribes to the topic, publishes to it with QoS 1 and hears itself. */
export type Action = 'exchange' | 'publish' | 'subscribe'

export interface Task {
  readonly action: Action
  readonly version: Version
  readonly port: number
  readonly home: string
  readonly ca: string
  /** Empty: the client shows no certificate. */
  readonly cert: string
  readonly key: string
  readonly clientId: string
  readonly topic: string
  /** Of the device: its bundle, and what the client was prepared with. */
  readonly folder: string
}

/** What a person sees of it. */
export interface Shown {
  readonly status: number | null
  readonly output: string
}

export interface RealClient {
  readonly name: string
  /** Begins the ids of its devices, and names the file of what it shows. */
  readonly slug: string
  readonly versions: readonly Version[]
  /** A program of other people, whose exit code says something. */
  readonly isTool?: boolean
  /** What is not on this machine; undefined: all of it is. */
  readonly missing: string | undefined
  /** Of the client, as it says it itself or its package does. */
  version(): string
  /** Its group; that of a device which has no grant for what it asks is 'sensors'. */
  readonly group?: string
  /** Before a device is revoked. */
  prepare?(program: Program, id: string, folder: string): void
  run(task: Task): Promise<Shown>
  /** What of its output is about the refusal, where not all is, or not always the same. */
  plain?(output: string): string
  /** What it does not even try, so that the server has nothing to refuse. */
  readonly ownRefusals?: readonly Refusal[]
  /** Refusals of which it shows nothing, and why: what the version has no word for, or what the library keeps to itself. */
  readonly silent: Readonly<Record<string, string>>
}

/** What every client is refused for; the code is what `why` says, and who is not known by a certificate stands in the list of refusals. */
export const REFUSALS = {
  'no certificate': 'tls-no-certificate',
  'a revoked certificate': 'certificate-revoked',
  'a client id of its own': 'client-id-mismatch',
  'a filter without grant': 'subscribe-not-granted',
  'a topic without grant': 'publish-not-granted',
} as const
export type Refusal = keyof typeof REFUSALS

const AZURE_GRANTS = `
  - id: azure
    to: { group: azure }
    publish:
      - "devices/\${device.id}/messages/events/#"
    subscribe:
      - "devices/\${device.id}/messages/devicebound/#"
  - id: azure-backend
    to: { group: backend }
    publish:
      - "devices/+/messages/devicebound/#"
    subscribe:
      - "devices/+/messages/events/#"
`

export interface Wanted {
  readonly id: string
  readonly group: string
}

/** A server that has the starter policy, and grants for the topics of the Azure SDK. */
export async function openCompatProgram(): Promise<Program> {
  const program = new Program()
  await program.serve()
  const file = path.join(program.home, 'policy.yaml')
  writeFileSync(file, readFileSync(file, 'utf8').replace(/^grants:\n/m, (line) => line + AZURE_GRANTS.slice(1)))
  succeed(program, 'policy', 'apply')
  return program
}

/** Registers them all and puts a bundle into a folder for each, by its id. */
export function register(program: Program, devices: readonly Wanted[]): (id: string) => string {
  const file = path.join(program.home, `devices-${devices[0]?.id ?? ''}.csv`)
  const out = path.join(program.home, 'bundles')
  writeFileSync(file, ['id,group', ...devices.map(({ id, group }) => `${id},${group}`), ''].join('\n'))
  succeed(program, 'device', 'import', file, '--bundle', 'pem', '--out', out)
  return (id) => path.join(out, id)
}

export function succeed(program: Program, ...args: readonly string[]): void {
  const { status, stderr } = program.run(...args)
  if (status !== 0) throw new Error(`${args.join(' ')} ended with ${status}: ${stderr}`)
}

/** Why this device was refused the last time; that of nobody in particular, where there is no id. */
export function lastReason(program: Program, id?: string): string | undefined {
  const found = id === undefined
    ? (program.json('refusal', 'list') as { readonly items: readonly { readonly reason: string }[] }).items
    : (program.json('why', id) as { readonly refusals: readonly { readonly reason: string }[] }).refusals
  return found[0]?.reason
}

/** The options of a task, in the order in which all programs in programs/ take them. */
export const argumentsOf = ({ action, version, port, ca, cert, key, clientId, topic }: Task): readonly string[] => [action, version, 'localhost', String(port), ca, cert, key, clientId, topic]

export async function ran(command: string, args: readonly string[]): Promise<Shown> {
  const child = client(command, args)
  const status = await child.ended
  return { status, output: child.output() }
}

/** What a program of ours prints on its way; the rest is what the library has handed on. */
const PROGRESS = /^(connected.*|subscribed|published|on_publish|granted|done|no answer|received .*)$/

/** Stacks and the insides of objects. */
export const withoutInsides = (output: string): string => output.split('\n').filter((line) => !/^[ \t}\]]/.test(line)).join('\n')

/** The lines that are about a refusal, without what differs from run to run. */
export function plain({ output }: Shown, task: Task): string {
  return output
    .split('\n')
    .filter((line) => line.trim() !== '' && !PROGRESS.test(line))
    .map((line) => line
      .replaceAll(task.folder, 'bundle').replaceAll(String(task.port), 'PORT').replaceAll(task.clientId, 'ID')
      .replaceAll(/\b[0-9A-F]{12,16}:(?=error:)/g, '').replaceAll(/ \(_ssl\.c:\d+\)|:\.\.\/.*\.c:\d+(?=:)/g, '').trimEnd())
    .join('\n')
}

/** The next message that it is sent: topic and text. */
export const nextMessage = (of: MqttClient): Promise<readonly [string, string]> => new Promise((resolve) => void of.once('message', (topic, payload) => resolve([topic, payload.toString()])))

/** The service that hears all devices and commands each, as the first start makes it. */
export function openBackend({ home, port }: Pick<Task, 'home' | 'port'>): Promise<MqttClient> {
  const file = (name: string): Buffer => readFileSync(path.join(home, 'demo/demo-backend', name))
  return connectAsync(`mqtts://localhost:${port}`, { clientId: 'demo-backend', ca: file('ca.pem'), cert: file('device.pem'), key: file('device.key') }, false)
}

/** Where the npm clients are installed; undefined where they are not. */
export const PACKAGES: string | undefined = process.env['COMPAT_PACKAGES']

export function packageVersion(name: string, folder = PACKAGES ?? ''): string {
  return (JSON.parse(readFileSync(path.join(folder, 'node_modules', name, 'package.json'), 'utf8')) as { readonly version: string }).version
}

export const debianVersion = (name: string): string => execFileSync('dpkg-query', ['-W', '-f', '${source:Upstream-Version}', name], { encoding: 'utf8' }).replace(/^\d+:/, '')
export const missingFile = (file: string): boolean => !existsSync(file)

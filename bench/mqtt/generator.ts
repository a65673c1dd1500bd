// The program that loads the brokers: compiled where the machine has a C compiler and OpenSSL's headers, or else the same
// thing in TypeScript, which is slower and more often the bottleneck. Both take the same options and commands, which
// generator/generator.c describes; what they answer is read here.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { usageOf, usedBetween, type Usage } from '../process-cpu.ts'
import { pinned } from '../pinned.ts'

const FOLDER = path.resolve(import.meta.dirname, '../generator')
/** A broker's timers and a closing socket's clean-up belong to what was done: they may still run. */
const SETTLE_MS = 20

export interface Generator {
  readonly language: 'C' | 'TypeScript'
  /** How it was made, or why it could not be. */
  readonly note: string
  readonly program: readonly [string, ...string[]]
}

export interface LoadOptions {
  readonly port: number
  readonly speakers: number
  readonly listeners: number
  readonly present?: 'both' | 'speakers' | 'listeners'
  /** Whom a listener hears: the speaker of its own number, or all. */
  readonly filter?: 'own' | 'all'
  readonly qos: 0 | 1
  readonly clean?: boolean
  /** TLS only, until `drain`. */
  readonly hold?: boolean
  /** From how many loopback addresses it connects. */
  readonly sources?: number
}

/** The answer to a phase. Times in seconds; `waitSeconds` is how long it was ready to run and another program had its core. */
export interface Answer {
  readonly sent: number
  readonly acked: number
  readonly delivered: number
  readonly missing: number
  readonly repeated: number
  /** Sessions that the broker had kept. */
  readonly resumed: number
  readonly seconds: number
  readonly cpuSeconds: number
  readonly waitSeconds: number
}

export interface Phase extends Answer {
  /** What the broker spent, from before the first message until after the last acknowledgement. */
  readonly broker: Usage
}

export interface Load {
  /** Connects everybody. */
  open(): Promise<void>
  /** Runs one phase to its end. */
  run(command: string): Promise<Phase>
  /** Lets everybody say good-bye. */
  end(): Promise<void>
}

/** Compiles it into the folder `work`. */
export function buildGenerator(work: string, language: 'C' | 'TypeScript' | undefined): Generator {
  const binary = path.join(work, 'generator')
  const command = ['cc', '-O2', '-o', binary, path.join(FOLDER, 'generator.c'), '-lssl', '-lcrypto']
  const [cc = '', ...args] = command
  const built = language === 'TypeScript' ? undefined : spawnSync(cc, args, { encoding: 'utf8' })
  if (built?.status === 0) return { language: 'C', note: command.join(' '), program: [binary] }
  const why = built === undefined ? 'asked for' : (built.error?.message ?? built.stderr.split('\n')[0] ?? '')
  if (language === 'C') throw new Error(`the generator cannot be compiled: ${why}`)
  return { language: 'TypeScript', note: `no generator in C: ${why}`, program: [process.execPath, path.join(FOLDER, 'generator.ts')] }
}

export interface LoadPlace {
  readonly generator: Generator
  readonly core: number | undefined
  readonly ca: string
  readonly certs: string
}

/** Starts one against the broker of that pid. Whatever stops it is thrown by the call that waits for it. */
export function startLoad({ generator, core, ca, certs }: LoadPlace, brokerPid: number, options: LoadOptions): Load {
  const { port, speakers, listeners, qos, sources = 1, present = 'both', filter = 'own', clean = true, hold = false } = options
  const flag = (is: boolean): number => (is ? 1 : 0)
  const settings = {
    ca, certs, port, speakers, listeners, qos, sources, clean: flag(clean), hold: flag(hold), all: flag(filter === 'all'),
    with_speakers: flag(present !== 'listeners'), with_listeners: flag(present !== 'speakers'),
  }
  const [program, ...args] = pinned(core, [...generator.program, ...Object.entries(settings).map(([name, value]) => `${name}=${value}`)])
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
  // It may end, with its reason on stderr, while a command is being written to it.
  child.stdin.on('error', () => {})
  const ended = once(child, 'close')
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const ask = async (command: string): Promise<unknown> => {
    child.stdin.write(`${command}\n`)
    const line = await lines.next()
    if (line.done === true) {
      await ended
      throw new Error(said.trim() === '' ? `the generator ended at: ${command}` : said.trim())
    }
    return JSON.parse(line.value)
  }
  return {
    async open() {
      await ask('open')
    },
    async run(command) {
      const before = usageOf(brokerPid)
      const answer = (await ask(command)) as Answer
      await new Promise((resolve) => setTimeout(resolve, SETTLE_MS))
      return { ...answer, broker: usedBetween(before, usageOf(brokerPid)) }
    },
    async end() {
      child.stdin.end()
      await ended
    },
  }
}

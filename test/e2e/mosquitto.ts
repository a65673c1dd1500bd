// Mosquitto itself with an ACL file, on a socket of its own in a folder of its own, and clients of it that say what it allows them.

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { MqttClient, type IClientOptions } from 'mqtt'

const REFUSED = 0x80
/** Who may write everything. */
const HERALD = 'the-herald'

export class Mosquitto implements AsyncDisposable {
  readonly #folder: string
  readonly #process: ChildProcess
  readonly #clients: MqttClient[] = []

  private constructor(folder: string, child: ChildProcess) {
    this.#folder = folder
    this.#process = child
  }

  /** `settings`: further lines of its configuration. Fails with what it says when it does not start. */
  static async start(acl: string, settings: readonly string[] = []): Promise<Mosquitto> {
    const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-mosquitto-'))
    const file = (name: string): string => path.join(folder, name)
    writeFileSync(file('acl'), `${acl}\nuser ${HERALD}\ntopic write #\n`)
    const asRoot = process.getuid?.() === 0 ? ['user root'] : []
    writeFileSync(file('mosquitto.conf'), ['listener 0 ' + file('socket'), 'allow_anonymous true', `acl_file ${file('acl')}`, ...asRoot, ...settings, ''].join('\n'))
    const child = spawn('mosquitto', ['-c', file('mosquitto.conf')], { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/usr/local/sbin` } })
    const broker = new Mosquitto(folder, child)
    let said = ''
    try {
      await new Promise<void>((resolve, reject) => {
        child.stderr.on('data', (chunk: Buffer) => {
          said += chunk.toString()
          if (/ running\n/.test(said)) resolve()
        })
        child.once('error', reject)
        child.once('exit', () => reject(new Error(`mosquitto ended:\n${said}`)))
      })
      return broker
    } catch (error) {
      await broker[Symbol.asyncDispose]()
      throw error
    }
  }

  async client(username: string, clientId = username, will?: IClientOptions['will']): Promise<MqttClient> {
    const client = new MqttClient(() => connect(path.join(this.#folder, 'socket')), { protocolVersion: 5, reconnectPeriod: 0, clientId, username, ...(will === undefined ? {} : { will }) })
    this.#clients.push(client)
    await new Promise<void>((resolve, reject) => client.once('connect', () => resolve()).once('error', reject))
    return client
  }

  /** Which of these topics may it publish to? Asked with QoS 1, whose answer says so. */
  async publishable(client: MqttClient, topics: readonly string[], retain = false): Promise<readonly string[]> {
    const answers = await Promise.all(topics.map(async (topic) => {
      try {
        await client.publishAsync(topic, '', { qos: 1, retain })
        return true
      } catch (error) {
        if ((error as { code?: number }).code !== undefined && Number((error as { code?: number }).code) >= REFUSED) return false
        throw error
      }
    }))
    return topics.filter((_, i) => answers[i])
  }

  /** Which of these topics are delivered to it by this filter? Everybody may subscribe to everything. */
  async delivered(client: MqttClient, filter: string, topics: readonly string[]): Promise<readonly string[]> {
    const heard = new Set<string>()
    client.on('message', (topic) => heard.add(topic))
    // With QoS 0 a message is on its way before its sender has an answer, and so before what is answered to its reader later.
    await client.subscribeAsync(filter, { qos: 0 })
    const herald = await this.client(HERALD, `${HERALD}-${this.#clients.length}`)
    await Promise.all(topics.map((topic) => herald.publishAsync(topic, 'x', { qos: 1 })))
    await client.unsubscribeAsync(filter)
    client.removeAllListeners('message')
    await herald.endAsync()
    return topics.filter((topic) => heard.has(topic))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.endAsync(true)))
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      const exited = once(this.#process, 'exit')
      this.#process.kill('SIGTERM')
      await exited
    }
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

// A device as devices are: MQTT.js with its own certificate, trusting only the fleet's CA and only a server of the right
// name. The one place where the simulated device's trust is set up; family D attacks exactly this.

import mqtt, { type IClientOptions, type IClientPublishOptions, type MqttClient } from 'mqtt'
import { SIM_LIMITS } from './limits.ts'
import type { MqttVersion } from './oracle.ts'
import type { Credentials } from './raw-peer.ts'
import type { Target } from './target.ts'

export interface DeviceOptions {
  readonly target: Target
  readonly id: string
  readonly credentials: Credentials
  readonly version: MqttVersion
  readonly source?: string | undefined
}

export interface Message {
  readonly topic: string
  readonly payload: Buffer
}

export interface Device {
  readonly id: string
  readonly version: MqttVersion
  /** Resolves when every filter is granted; rejects when one is not, or when the connection ends. */
  subscribe(...filters: readonly string[]): Promise<void>
  /** Resolves when it is acknowledged; rejects when it is refused, with the code, or when the connection ends. */
  publish(topic: string, payload: string, options?: IClientPublishOptions): Promise<void>
  onMessage(listener: (message: Message) => void): void
  /** The connection is over, whoever ended it. */
  onEnd(listener: () => void): void
  close(): Promise<void>
}

/** What a device trusts: nothing but the fleet's CA, and only for the name that it was told to connect to. */
function deviceTrust(target: Target): Pick<IClientOptions, 'ca' | 'rejectUnauthorized' | 'servername'> {
  return { ca: target.ca, rejectUnauthorized: true, servername: target.serverName }
}

function clientOptions(options: DeviceOptions): IClientOptions {
  return {
    protocol: 'mqtts',
    host: options.target.host,
    port: options.target.port,
    ...deviceTrust(options.target),
    cert: options.credentials.cert,
    key: options.credentials.key,
    clientId: options.id,
    protocolVersion: options.version,
    clean: true,
    connectTimeout: SIM_LIMITS.connectMs,
    // A refusal is a result here, not something to be tried again.
    reconnectPeriod: 0,
    ...(options.source === undefined ? {} : { localAddress: options.source }),
  }
}

/** Connects; rejects with what MQTT.js says when it is refused or refuses. */
export async function connectDevice(options: DeviceOptions): Promise<Device> {
  await options.target.turn?.()
  const client = mqtt.connect(clientOptions(options))
  await connected(client)
  // After the connection is made, its end is seen by whoever misses messages. A TLS alert is an error that leaves the socket of Node as it is:
  // one with a write that waits then never closes, though the server is gone.
  client.on('error', () => client.stream.destroy())
  return {
    id: options.id,
    version: options.version,
    async subscribe(...filters) {
      await client.subscribeAsync([...filters], { qos: 1 })
    },
    async publish(topic, payload, publishOptions = { qos: 1 }) {
      await client.publishAsync(topic, payload, publishOptions)
    },
    onMessage(listener) {
      client.on('message', (topic, payload) => listener({ topic, payload }))
    },
    onEnd: (listener) => void client.once('close', listener),
    close: () => client.endAsync(),
  }
}

function connected(client: MqttClient): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => {
      client.end(true)
      reject(error)
    }
    client.once('connect', () => {
      client.removeListener('error', fail)
      resolve()
    })
    client.once('error', fail)
    client.once('close', () => fail(new Error('closed before CONNACK')))
  })
}

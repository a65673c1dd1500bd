// A device of a console's test: a real MQTT client with a bundle that the program has made, whole or broken.

import { readFileSync } from 'node:fs'
import path from 'node:path'
import { connectAsync, type IClientOptions, type MqttClient } from 'mqtt'

export interface Bundle {
  readonly cert: string
  readonly key: string
  readonly ca: string
}

export function readBundle(folder: string): Bundle {
  const file = (name: string): string => readFileSync(path.join(folder, name), 'utf8')
  return { cert: file('device.pem'), key: file('device.key'), ca: file('ca.pem') }
}

/** The same certificate with one bit of its signature turned. */
export function broken(bundle: Bundle): Bundle {
  const [leaf = '', ...chain] = bundle.cert.split(/(?<=-----END CERTIFICATE-----\n?)/)
  const der = Buffer.from(leaf.replaceAll(/-----[A-Z ]+-----|\s/g, ''), 'base64')
  der.writeUInt8(der.readUInt8(der.length - 1) ^ 1, der.length - 1)
  return { ...bundle, cert: `-----BEGIN CERTIFICATE-----\n${der.toString('base64').replaceAll(/(.{64})/g, '$1\n')}\n-----END CERTIFICATE-----\n${chain.join('')}` }
}

/** Rejects when the door says no. */
export function connectDevice(port: number, id: string, bundle: Bundle, options: IClientOptions = {}): Promise<MqttClient> {
  return connectAsync(`mqtts://localhost:${port}`, { clientId: id, ...bundle, protocolVersion: 5, reconnectPeriod: 0, connectTimeout: 10_000, ...options }, false)
}

/** Resolves when its connection is over, whoever ends it. */
export function closing(client: MqttClient): Promise<void> {
  return new Promise((resolve) => client.once('close', () => resolve()))
}

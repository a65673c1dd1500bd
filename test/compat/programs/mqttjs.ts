// What a program on the MQTT.js library sees of a server: it connects, subscribes, publishes, and prints what the library hands on.
// mqttjs.ts ACTION VERSION HOST PORT CA CERT KEY CLIENT-ID TOPIC; CERT and KEY may be empty.

import { readFileSync } from 'node:fs'
import { connectAsync, type MqttClient } from 'mqtt'

const [action, version, host, port, ca = '', cert = '', key = '', clientId = '', topic = ''] = process.argv.slice(2)

let client: MqttClient | undefined
try {
  client = await connectAsync(`mqtts://${host ?? ''}:${port ?? ''}`, {
    protocolVersion: version === '5' ? 5 : 4, clientId, ca: readFileSync(ca),
    ...(cert === '' ? {} : { cert: readFileSync(cert), key: readFileSync(key) }),
    // Its default is to try again and again, and to say why to nobody but 'error'.
    reconnectPeriod: 0, connectTimeout: 10_000,
  }, false)
  console.log('connected')
  const received = new Promise<string>((resolve) => client?.once('message', (name, payload) => resolve(`received ${name} ${payload.toString()}`)))
  if (action !== 'publish') {
    await client.subscribeAsync(topic, { qos: 1 })
    console.log('subscribed')
  }
  if (action !== 'subscribe') {
    await client.publishAsync(topic, 'hello', { qos: 1 })
    console.log('published')
  }
  if (action === 'exchange') console.log(await received)
} catch (error) {
  const { code, message } = error as { readonly code?: number | string; readonly message: string }
  console.log(`error ${code}: ${message}`)
  process.exitCode = 1
} finally {
  await client?.endAsync(true)
}

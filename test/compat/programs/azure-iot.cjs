// What a program on the Azure IoT device SDK sees of a server: it connects with its certificate, sends a message and hears one, and prints what
// the SDK hands on. Its topics are fixed: it sends to devices/ID/messages/events/ and hears devices/ID/messages/devicebound/#.
// azure-iot.cjs ACTION VERSION HOST PORT CA CERT KEY DEVICE-ID; CERT and KEY may be empty. COMPAT_PACKAGES is where the SDK is installed.
'use strict'
const { readFileSync } = require('node:fs')
const { createRequire } = require('node:module')
const from = createRequire(`${process.env.COMPAT_PACKAGES}/package.json`)
const { Client, Message } = from('azure-iot-device')
const { NoRetry } = from('azure-iot-common')
const { Mqtt } = from('azure-iot-device-mqtt')

const [action, , host, port, ca, cert, key, id] = process.argv.slice(2)
const TIMEOUT_MS = 5_000

/** The end of a program: what was seen last, and whether it is what was wanted. */
function end(text, status) {
  console.log(text)
  process.exit(status)
}
setTimeout(() => end('no answer', 1), TIMEOUT_MS)

const read = (file) => readFileSync(file, 'utf8')
const client = Client.fromConnectionString(`HostName=${host}:${port};DeviceId=${id};x509=true`, Mqtt)
// Its default is to try again for four minutes before it says anything.
client.setRetryPolicy(new NoRetry())

async function speak() {
  await client.setOptions({ ca: read(ca), cert: cert === '' ? '' : read(cert), key: key === '' ? '' : read(key) })
  client.on('error', (error) => end(`error: ${error}`, 1))
  client.on('disconnect', (error) => end(`disconnect: ${error?.transportObj ?? error}`, 1))
  const heard = new Promise((resolve) => {
    if (action !== 'publish') client.on('message', resolve)
  })
  await client.open()
  console.log('connected')
  if (action !== 'subscribe') {
    await client.sendEvent(new Message('hello'))
    console.log('published')
  }
  if (action !== 'publish') {
    const message = await heard
    await client.complete(message)
    console.log(`received ${message.getData().toString()}`)
  }
  end('done', 0)
}

process.on('uncaughtException', (error) => end(`${error.name}: ${error.message}`, 1))
speak().catch((error) => end(`${error.name}: ${error.message}${error.transportError === undefined ? '' : ` (${error.transportError.message})`}${error.responseBody === undefined ? '' : ` ${error.responseBody}`}`, 1))

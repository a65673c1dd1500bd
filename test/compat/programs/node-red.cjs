// What the log of Node-RED shows: a flow with an http node, mqtt in and out, and a tls-config, without its editor. A message that is posted to
// it goes out, and comes in again. node-red.cjs ACTION VERSION HOST PORT CA CERT KEY CLIENT-ID TOPIC; CERT and KEY may be empty.
// COMPAT_PACKAGES is where Node-RED is installed; its folder is the one of the certificate authority's file, with the client id.
'use strict'
const { mkdtempSync, readFileSync, writeFileSync } = require('node:fs')
const http = require('node:http')
const { createRequire } = require('node:module')
const path = require('node:path')
const RED = createRequire(`${process.env.COMPAT_PACKAGES}/package.json`)('node-red')

const [action, version, host, port, ca, cert, key, clientId, topic] = process.argv.slice(2)
const TIMEOUT_MS = 15_000
/** What is not said by then is not said: a subscription that is refused is one of those. */
const SILENCE_MS = 3_000
const folder = mkdtempSync(path.join(path.dirname(ca), 'node-red-'))

/** The nodes that docs/clients.md has for this, with the files and names of here. */
const page = readFileSync(path.join(__dirname, '../../../docs/clients.md'), 'utf8')
const [tls, broker] = JSON.parse(/```json\n([\s\S]+?)```/.exec(page)[1])

/** As the editor exports it. */
const flows = [
  { ...tls, ca, cert, key },
  { ...broker, broker: host, port, clientid: clientId, protocolVersion: version === '5' ? '5' : '4' },
  { id: 'flow', type: 'tab', label: 'flow' },
  { id: 'asked', z: 'flow', x: 100, y: 100, type: 'http in', url: '/say', method: 'post', wires: [['out', 'answer']] },
  { id: 'answer', z: 'flow', x: 100, y: 100, type: 'http response', statusCode: '204', wires: [] },
  { id: 'out', z: 'flow', x: 100, y: 100, type: 'mqtt out', name: 'out', topic, qos: '1', retain: 'false', broker: 'broker', wires: [] },
  { id: 'sent', z: 'flow', x: 100, y: 100, type: 'complete', scope: ['out'], wires: [['said']] },
  { id: 'said', z: 'flow', x: 100, y: 100, type: 'debug', name: 'sent', active: true, tosidebar: false, console: true, complete: 'payload', targetType: 'msg', wires: [] },
  { id: 'heard', z: 'flow', x: 100, y: 100, type: 'debug', name: 'heard', active: true, tosidebar: false, console: true, complete: 'payload', targetType: 'msg', wires: [] },
  ...(action === 'publish' ? [] : [{ id: 'in', z: 'flow', x: 100, y: 100, type: 'mqtt in', name: 'in', topic, qos: '1', datatype: 'utf8', broker: 'broker', inputs: 0, wires: [['heard']] }]),
]
writeFileSync(path.join(folder, 'flows.json'), JSON.stringify(flows))

function end(text, status) {
  if (text !== '') console.log(text)
  process.exit(status)
}

/** One line of its log, told apart by who says it. */
function hear({ level, type, name, id, msg }) {
  const text = `[${{ 20: 'error', 30: 'warn', 40: 'info' }[level] ?? level}] [${type ?? ''}:${name ?? id ?? ''}] ${msg?.message ?? msg}`
  if (type === undefined) return
  if (type === 'mqtt-broker' && String(msg).startsWith('Connected to broker')) {
    console.log('connected')
    if (action === 'subscribe') setTimeout(() => end('', 0), SILENCE_MS)
    else http.request({ port: server.address().port, host: '127.0.0.1', path: '/say', method: 'POST', headers: { 'content-type': 'text/plain' } }).end('hello')
    return
  }
  if (name === 'sent') {
    console.log('published')
    if (action === 'publish') end('done', 0)
    return
  }
  if (name === 'heard') end(`received ${topic} ${msg}`, 0)
  if (level <= 30 || type.startsWith('mqtt')) end(text, 1)
}

const server = http.createServer((request, response) => RED.httpNode(request, response))
server.listen(0, '127.0.0.1', async () => {
  RED.init(server, {
    httpAdminRoot: false, httpNodeRoot: '/', userDir: folder, flowFile: 'flows.json', credentialSecret: false, disableEditor: true, telemetry: { enabled: false, updateNotification: false },
    logging: { heard: { level: 'info', metrics: false, audit: false, handler: () => hear } },
  })
  await RED.start()
})
setTimeout(() => end('no answer', 1), TIMEOUT_MS)

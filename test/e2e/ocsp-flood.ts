// A crowd of OCSP clients in a process of its own: so many addresses, a connection each, one request after the other for a while. It
// checks every answer and prints what it saw, as JSON. Arguments: port, ms, and the requests as base64 with the status that is right.

import { Agent, request } from 'node:http'
import { readDer, type DerNode } from '../../src/x509/der.ts'

const [port = '', ms = '', ...asked] = process.argv.slice(2)
const SOURCES = 60
/** Within the rate of one address. */
const PACE_MS = 6

/** 'unauthorized', 'tryLater', or the CertStatus of the first answer. */
function verdictOf(body: Buffer): string {
  const child = (node: DerNode | undefined, ...path: readonly number[]): DerNode | undefined => path.reduce((at, i) => at?.children[i], node)
  const read = readDer(body)
  const root = read.allow ? read.value : undefined
  const status = child(root, 0)?.contents[0]
  if (status !== 0) return status === 6 ? 'unauthorized' : status === 3 ? 'tryLater' : `status ${status}`
  const basic = readDer(child(root, 1, 0, 1)?.contents ?? new Uint8Array())
  const list = basic.allow ? child(basic.value, 0)?.children.find(({ children }) => children[0]?.children.length === 4 || children[0]?.children.length === 3) : undefined
  const tag = child(list, 0, 1)?.tag
  return tag === 0x80 ? 'good' : tag === 0x82 ? 'unknown' : tag === 0xa1 ? 'revoked' : 'nothing'
}

const seen: Record<string, number> = {}
let answers = 0

function ask(agent: Agent, localAddress: string, body: Buffer): Promise<string> {
  return new Promise((resolve) => {
    const sent = request({ host: '127.0.0.1', port: Number(port), path: '/ocsp', method: 'POST', agent, localAddress, headers: { 'content-type': 'application/ocsp-request', 'content-length': String(body.length) } }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () => resolve(response.statusCode === 200 ? verdictOf(Buffer.concat(chunks)) : `HTTP ${response.statusCode}`))
    })
    sent.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'an error'))
    sent.end(body)
  })
}

async function client(i: number, until: number): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  for (let n = i; performance.now() < until; n++) {
    const [body = '', right = ''] = (asked[n % asked.length] ?? '').split(',')
    const since = performance.now()
    const verdict = await ask(agent, `127.0.1.${i + 1}`, Buffer.from(body, 'base64'))
    answers += 1
    const key = verdict === right ? `right: ${right}` : `wrong: ${verdict} for ${right}`
    seen[key] = (seen[key] ?? 0) + 1
    const rest = PACE_MS - (performance.now() - since)
    if (rest > 0) await new Promise((resolve) => setTimeout(resolve, rest))
  }
  agent.destroy()
}

const since = performance.now()
await Promise.all(Array.from({ length: SOURCES }, (_, i) => client(i, since + Number(ms))))
process.stdout.write(JSON.stringify({ answers, perSecond: Math.round((answers * 1_000) / (performance.now() - since)), seen }))

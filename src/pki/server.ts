// The public door: CRLs, OCSP and CA certificates for anybody, over plain HTTP as RFC 5280 §4.2.1.13 and RFC 6960 appendix A
// have it: everything that is said here is signed. It takes little, bounds everything, and knows no secret.

import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import { SallyportError } from '../core/errors.ts'
import type { EpochMs } from '../core/ids.ts'
import type { CaRecord } from '../core/registry.ts'
import { sourceAddress, sourceKey } from '../core/source.ts'
import { openSourceRates } from '../core/source-rates.ts'
import { PKI_LIMITS } from '../pki-limits.ts'
import { encodePem } from '../x509/pem.ts'
import type { Publisher } from './publisher.ts'
import type { Responder } from './responder.ts'

export interface PkiPorts {
  readonly listen: { readonly host: string; readonly port: number }
  /** Our own CAs. */
  readonly cas: () => readonly CaRecord[]
  readonly publisher: Pick<Publisher, 'file'>
  readonly responder: Pick<Responder, 'answer'>
  readonly clock: () => EpochMs
  readonly log: (level: 'debug' | 'warn' | 'error', facts: Readonly<Record<string, unknown>>, message: string) => void
}

export interface PkiServer extends AsyncDisposable {
  readonly address: { readonly host: string; readonly port: number }
}

const MEDIA = { crl: 'application/pkix-crl', cer: 'application/pkix-cert', pem: 'application/x-pem-file', ocsp: 'application/ocsp-response', ocspRequest: 'application/ocsp-request' } as const
/** A cache may give it again for so long: a revocation is seen that much later. */
const CACHE = 'public, max-age=60, no-transform'
const NO_CACHE = 'no-store'
const RATE = { perSecond: PKI_LIMITS.sourceRatePerSecond, burst: PKI_LIMITS.sourceBurst }

interface Said {
  readonly status: number
  readonly type: string
  readonly body: Uint8Array | string
  readonly headers?: Readonly<Record<string, string>>
}

const said = (status: number, sentence: string, headers: Readonly<Record<string, string>> = {}): Said => ({ status, type: 'text/plain; charset=utf-8', body: `${sentence}\n`, headers: { 'cache-control': NO_CACHE, ...headers } })
const NOT_FOUND = said(404, 'There is no such thing here. There are /crl/NAME.crl, /ca/NAME.cer, /ca/NAME.pem, /chain.pem and /ocsp.')

/** Opens the port. Failure: 'port-in-use'. */
export async function openPkiServer(ports: PkiPorts): Promise<PkiServer> {
  const withinRate = openSourceRates(RATE, PKI_LIMITS.sourcesTrackedMax)

  async function answerTo(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (!withinRate(sourceAddress(request.socket.remoteAddress), ports.clock())) return send(request, response, said(429, 'Too many requests came from this address.', { 'retry-after': '1' }))
    const [pathname = ''] = (request.url ?? '').split('?')
    const isRead = request.method === 'GET' || request.method === 'HEAD'
    if (pathname === '/ocsp' || pathname === '/ocsp/') {
      if (request.method === 'POST') return send(request, response, await posted(ports, request))
      if (pathname === '/ocsp') return send(request, response, said(405, 'Ask with POST, or with GET /ocsp/BASE64.', { allow: 'POST' }))
    }
    if (!isRead) return send(request, response, said(405, 'Only GET is served here.', { allow: 'GET, HEAD' }))
    if (pathname.startsWith('/ocsp/')) return send(request, response, await inPath(ports, pathname.slice('/ocsp/'.length)))
    if (pathname.startsWith('/crl/')) return sendFile(request, response, ports.publisher.file(pathname.slice('/crl/'.length)))
    return send(request, response, certificateAt(ports.cas(), pathname))
  }

  const server = createServer({ maxHeaderSize: PKI_LIMITS.pathBytesMax, headersTimeout: PKI_LIMITS.headerMs, requestTimeout: PKI_LIMITS.requestMs, keepAliveTimeout: PKI_LIMITS.idleMs, connectionsCheckingInterval: PKI_LIMITS.headerMs }, (request, response) => {
    // Asked now: a request whose body was not read to its end has no socket any more when its answer is out.
    const address = request.socket.remoteAddress
    response.once('finish', () => ports.log('debug', { method: request.method, path: request.url, status: response.statusCode, address }, 'asked'))
    void (async () => {
      try {
        await answerTo(request, response)
      } catch (error) {
        // A client that hangs up in the middle of a large CRL is no failure of ours.
        if (!response.destroyed) ports.log('error', { error: error instanceof Error ? error.message : 'unknown' }, 'a request for public PKI data failed')
        if (response.headersSent) response.destroy()
        else send(request, response, said(500, 'This could not be answered. It may be tried again.'))
      }
    })()
  })
  server.maxConnections = PKI_LIMITS.connectionsMax
  boundSources(server)
  const { host } = ports.listen
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => reject(new SallyportError('port-in-use', `Cannot listen on ${host}:${ports.listen.port} for CRLs and OCSP (${cause.code ?? ''}).`, { fix: 'Stop the program that has the port, set listen.pki in sallyport.yaml, or start with --ports auto.', cause })))
    server.listen(ports.listen.port, host, resolve)
  })
  const bound = server.address() as { address: string; port: number }
  return {
    address: { host: bound.address, port: bound.port },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** Counts the connections of each source: beyond its share the next is closed as it comes. */
function boundSources(server: Server): void {
  const counts = new Map<string, number>()
  server.on('connection', (socket) => {
    const source = sourceKey(sourceAddress(socket.remoteAddress))
    const count = (counts.get(source) ?? 0) + 1
    if (count > PKI_LIMITS.sourceConnectionsMax) return void socket.destroy()
    counts.set(source, count)
    socket.once('close', () => {
      const left = (counts.get(source) ?? 1) - 1
      if (left > 0) counts.set(source, left)
      else counts.delete(source)
    })
  })
}

function send(request: IncomingMessage, response: ServerResponse, { status, type, body, headers }: Said): void {
  // What is left of a body that nobody reads would be taken for the next request.
  const rest = request.complete || request.method === 'GET' || request.method === 'HEAD' ? {} : { connection: 'close' }
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body), 'x-content-type-options': 'nosniff', ...headers, ...rest })
  response.end(request.method === 'HEAD' ? undefined : body)
}

const ocspSaid = (der: Uint8Array, isShared: boolean): Said => ({ status: 200, type: MEDIA.ocsp, body: der, headers: { 'cache-control': isShared ? CACHE : NO_CACHE } })

async function posted(ports: PkiPorts, request: IncomingMessage): Promise<Said> {
  if (request.headers['content-type']?.split(';')[0]?.trim().toLowerCase() !== MEDIA.ocspRequest) return said(415, `Send ${MEDIA.ocspRequest}.`)
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > PKI_LIMITS.ocspRequestBytesMax) return said(413, `An OCSP request has at most ${PKI_LIMITS.ocspRequestBytesMax} bytes here.`)
    chunks.push(chunk)
  }
  const { der } = await ports.responder.answer(Buffer.concat(chunks))
  return ocspSaid(der, false)
}

/** RFC 6960 appendix A.1: base64, percent-encoded. Some clients leave slashes as they are. */
async function inPath(ports: PkiPorts, text: string): Promise<Said> {
  const request = Buffer.from(decoded(text), 'base64')
  // What is no base64 is no request either: the parser says so, in OCSP.
  const isBase64 = request.toString('base64').replaceAll('=', '') === decoded(text).replaceAll('=', '')
  const { der, isShared } = await ports.responder.answer(isBase64 ? request : new Uint8Array())
  return ocspSaid(der, isShared)
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return '' // A percent sign that encodes nothing.
  }
}

function certificateAt(cas: readonly CaRecord[], pathname: string): Said {
  const pem = (found: readonly CaRecord[]): Said => ({ status: 200, type: MEDIA.pem, body: found.map(({ der }) => encodePem('CERTIFICATE', der)).join(''), headers: { 'cache-control': CACHE } })
  if (pathname === '/chain.pem') return pem([...cas.filter(({ role }) => role === 'issuing'), ...cas.filter(({ role }) => role === 'root')])
  const [, name, form] = /^\/ca\/([A-Za-z0-9_.-]{1,64})\.(cer|pem)$/.exec(pathname) ?? []
  const ca = cas.find((each) => each.name === name)
  if (ca === undefined) return NOT_FOUND
  return form === 'pem' ? pem([ca]) : { status: 200, type: MEDIA.cer, body: ca.der, headers: { 'cache-control': CACHE } }
}

/** A CRL, from its file: a large one is never in memory for whoever reads it slowly. */
async function sendFile(request: IncomingMessage, response: ServerResponse, file: string | undefined): Promise<void> {
  if (file === undefined) return send(request, response, NOT_FOUND)
  const handle = await open(file, 'r').catch(() => undefined)
  if (handle === undefined) return send(request, response, said(503, 'This CRL is not published yet.', { 'retry-after': '5' }))
  await using opened = handle
  const { size, mtime, mtimeMs } = await opened.stat()
  const etag = `"${Math.floor(mtimeMs).toString(16)}-${size.toString(16)}"`
  const headers = { 'content-type': MEDIA.crl, etag, 'last-modified': mtime.toUTCString(), 'cache-control': CACHE, 'x-content-type-options': 'nosniff' }
  if (isUnchanged(request, etag, mtimeMs)) return void response.writeHead(304, headers).end()
  response.writeHead(200, { ...headers, 'content-length': size })
  if (request.method === 'HEAD') return void response.end()
  await pipeline(createReadStream('', { fd: opened, autoClose: false }), response)
}

/** RFC 9110 §13.1.3: where there is an ETag, it decides. */
function isUnchanged({ headers }: IncomingMessage, etag: string, mtimeMs: number): boolean {
  const tags = headers['if-none-match']
  if (tags !== undefined) return tags === '*' || tags.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag)
  const since = Date.parse(headers['if-modified-since'] ?? '')
  return Math.floor(mtimeMs / 1_000) * 1_000 <= since
}

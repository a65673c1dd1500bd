// The enrollment door with everything behind it, on a real socket: what the tests stand on that speak TLS themselves. It judges nothing.

import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { request, type IncomingMessage } from 'node:http'
import path from 'node:path'
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls'
import { DEFAULT_ENROLL, type EnrollRules } from '../../src/core/enroll-rules.ts'
import type { NewToken } from '../../src/core/enrollment-desk.ts'
import type { DeviceId } from '../../src/core/ids.ts'
import { DEFAULT_RENEWAL } from '../../src/core/renewal.ts'
import { trustOfDoors } from '../../src/door-material.ts'
import { openEnrollDoor } from '../../src/enroll/behind.ts'
import type { EnrollServer } from '../../src/enroll/server.ts'
import { openEnrollments } from '../../src/enrollments.ts'
import { openRenewal } from '../../src/renewal.ts'
import { device, openHouse, type Credential, type House } from '../http/house.ts'

const HOUR = 3_600_000

export interface Answered {
  readonly status: number
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  readonly text: string
}

export interface Door extends AsyncDisposable {
  readonly house: House
  readonly server: EnrollServer
  /** What the configuration says; what is not said is as in the defaults. */
  rulesAre(rules: Partial<EnrollRules>): Promise<void>
  /** Stops the clock of the rules at this time; without one it goes on. */
  clockAt(now?: number): void
  /** A device that is registered. */
  fresh(): Promise<DeviceId>
  tokenFor(id: DeviceId, more?: Partial<NewToken>): Promise<string>
  connect(options?: ConnectionOptions & { readonly localAddress?: string }): Promise<TLSSocket>
  /** On this connection, or on one of its own. `csr` is PEM or whatever else a body may be. */
  post(operation: string, csr: string | Buffer, how?: { readonly token?: string | undefined; readonly credential?: Omit<Credential, 'serial'>; readonly socket?: TLSSocket; readonly from?: string }): Promise<Answered>
}

export async function openDoor(): Promise<Door> {
  const house = await openHouse()
  const { home: { registry, view, audit }, organisation: { authority } } = house
  let [rules, stopped, count]: [EnrollRules, number | undefined, number] = [DEFAULT_ENROLL, undefined, 0]
  const clock = (): number => stopped ?? Date.now()
  const file = (name: string): string => readFileSync(path.join(house.folder, 'certs/local/server', name), 'utf8')
  const renewal = openRenewal({ registry, view, authority, clock, rules: () => DEFAULT_RENEWAL, log: () => {} })
  const server = await openEnrollDoor({
    listen: { host: '127.0.0.1', port: 0 }, tls: { key: file('key.pem'), cert: file('cert.pem'), anchors: [house.root] }, audit, log: () => {},
    enrollments: openEnrollments({ home: house.home, authority, renewal, trust: () => trustOfDoors(house.home, []).enrollment, rules: () => rules, clock }),
  })
  const open: Door['connect'] = async (options = {}) => {
    const socket = connect({ host: '127.0.0.1', port: server.address.port, ca: house.root, servername: 'localhost', ...options })
    await once(socket, 'secureConnect')
    return socket
  }
  return {
    house, server, connect: open,
    async rulesAre(said) {
      rules = { ...DEFAULT_ENROLL, ...said }
      await server.refresh()
    },
    clockAt: (now) => (stopped = now),
    async fresh() {
      const id = device(`e-${++count}`)
      await house.desk().addDevice({ id, groups: [], attributes: {} })
      return id
    },
    async tokenFor(id, more = {}) {
      const [made] = await house.desk().createTokens([{ target: { device: id }, register: false, groups: [], networks: [], approve: 'auto', uses: 1, lifeMs: HOUR, ...more }])
      return made!.token
    },
    async post(operation, csr, { token, credential, socket, from } = {}) {
      const line = socket ?? (await open({ ...credential, ...(from === undefined ? {} : { localAddress: from }) }))
      const answered = await exchange(line, operation, csr, token)
      if (socket === undefined) line.destroy()
      return answered
    },
    async [Symbol.asyncDispose]() {
      await server.close()
      await house[Symbol.asyncDispose]()
    },
  }
}

/** One request over a connection that goes on. */
export async function exchange(socket: TLSSocket, operation: string, body: string | Buffer, token?: string): Promise<Answered> {
  const sent = request({
    createConnection: () => socket, method: 'POST', path: `/.well-known/est/${operation}`,
    headers: { host: 'localhost', connection: 'keep-alive', 'content-length': Buffer.byteLength(body), ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) },
  })
  sent.end(body)
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  let text = ''
  for await (const chunk of response as AsyncIterable<Buffer>) text += chunk.toString()
  return { status: response.statusCode ?? 0, headers: response.headers, text }
}

/** Status and reason; a certificate has none. */
export const outcome = ({ status, headers }: Answered): string => `${status} ${String(headers['sallyport-reason'] ?? 'certificate')}`
export const CERTIFIED = '200 certificate'

/** What openssl makes of these bytes. */
export function openssl(args: readonly string[], input: string | Buffer): string {
  const { stdout, stderr, status } = spawnSync('openssl', args, { input })
  if (status !== 0) throw new Error(`openssl ${args.join(' ')}: ${stderr.toString()}`)
  return stdout.toString()
}

/** The one certificate of a certs-only answer, as openssl reads it. PEM. */
export function pemIn(base64: string): string {
  const pems = openssl(['pkcs7', '-inform', 'DER', '-print_certs'], Buffer.from(base64, 'base64')).split('-----BEGIN CERTIFICATE-----')
  if (pems.length !== 2) throw new Error(`not one certificate: ${base64}`)
  return `-----BEGIN CERTIFICATE-----${pems[1]}`
}

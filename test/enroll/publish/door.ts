// The door of HTTPS as a device sees it that publishes there: on its thread, before a broker of the tests. It judges nothing.

import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { Agent, request } from 'node:https'
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls'
import { deny } from '../../../src/core/decision.ts'
import { DEFAULT_ENROLL } from '../../../src/core/enroll-rules.ts'
import { openEnrollDoor, type Begin } from '../../../src/enroll/behind.ts'
import type { Enrollments } from '../../../src/enroll/est.ts'
import { openHouse, type House, type HouseOptions, type Identity } from '../../broker/house.ts'

export interface Answered {
  readonly status: number
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  readonly text: string
}

export interface Asked {
  readonly method?: string
  readonly body?: string | Uint8Array
  readonly headers?: Readonly<Record<string, string>>
  /** The connection; without one it is of its own. */
  readonly agent?: Agent
}

export interface Door extends AsyncDisposable {
  readonly house: House
  readonly port: number
  /** `target` as it is to stand in the request line, where HTTP's own client allows it. */
  post(identity: Pick<Identity, 'cert' | 'key'> | undefined, target: string, asked?: Asked): Promise<Answered>
  /** One connection that goes on. */
  agent(identity: Pick<Identity, 'cert' | 'key'> | undefined): Agent
  connect(identity: Pick<Identity, 'cert' | 'key'> | undefined, options?: ConnectionOptions): Promise<TLSSocket>
}

const NO_ENROLLMENT: Enrollments = { withToken: async () => deny('token-unknown'), withCertificate: async () => deny('certificate-purpose'), renew: async () => deny('certificate-superseded'), caCertificates: () => [], labels: () => [], rules: () => DEFAULT_ENROLL }

export async function openDoor(options: HouseOptions = {}, begin?: Begin): Promise<Door> {
  const house = await openHouse(options)
  const { key, cert, anchors } = house.material()
  const server = await openEnrollDoor({ listen: { host: '127.0.0.1', port: 0 }, tls: { key, cert, anchors }, enrollments: NO_ENROLLMENT, desk: house.broker.desk, audit: house.audit, log: house.log }, begin)
  const agents: Agent[] = []
  const { port } = server.address
  return {
    house, port,
    agent(identity) {
      const agent = new Agent({ ...identity && { cert: identity.cert, key: identity.key }, ca: house.root, keepAlive: true, maxSockets: 1 })
      agents.push(agent)
      return agent
    },
    async post(identity, target, { method = 'POST', body = '', headers = {}, agent = new Agent({ keepAlive: false }) } = {}) {
      const sent = request({ host: '127.0.0.1', port, servername: 'localhost', ca: house.root, path: target, method, headers, agent, ...(identity === undefined ? {} : { cert: identity.cert, key: identity.key }) })
      sent.end(body)
      const [response] = (await once(sent, 'response')) as [IncomingMessage]
      let text = ''
      for await (const chunk of response as AsyncIterable<Buffer>) text += chunk.toString()
      return { status: response.statusCode ?? 0, headers: response.headers, text }
    },
    async connect(identity, more = {}) {
      const socket = connect({ host: '127.0.0.1', port, servername: 'localhost', ca: house.root, ...(identity === undefined ? {} : { cert: identity.cert, key: identity.key }), ...more })
      await once(socket, 'secureConnect')
      return socket
    },
    async [Symbol.asyncDispose]() {
      for (const agent of agents) agent.destroy()
      await server.close()
      await house[Symbol.asyncDispose]()
    },
  }
}

/** Status and reason. */
export const outcome = ({ status, headers }: Answered): string => (status === 200 ? '200' : `${status} ${String(headers['sallyport-reason'])}`)

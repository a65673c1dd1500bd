// The operator's hand of the simulator: its own client of the admin API, over mutual TLS with an operator certificate.
// It knows the paths from the shared vocabulary and reads the answers strictly; it knows nothing of how they are judged.

import https from 'node:https'
import { z } from 'zod'
import { ADMIN_PATHS } from '../src/vocabulary.ts'
import { SimError } from './failure.ts'
import { SIM_LIMITS } from './limits.ts'
import type { RefusalRecord } from './oracle.ts'

export interface AdminOptions {
  /** https://host:port */
  readonly url: string
  /** PEM. */
  readonly cert: string
  readonly key: string
  readonly ca: string
}

export interface ApiAnswer {
  readonly status: number
  readonly body: unknown
  /** The stable code of an RFC 9457 problem. */
  readonly code: string | undefined
}

export interface NewDevice {
  readonly id: string
  readonly groups: readonly string[]
}

export interface EnrolledDevice {
  readonly serial: string
  /** PEM. */
  readonly certificate: string
  readonly chain: readonly string[]
  readonly root: string
}

export interface TokenWishes {
  readonly lifeMs?: number
  readonly networks?: readonly string[]
}

export interface RevocationAnswer {
  readonly revoked: readonly string[]
  /** Undefined where nobody counts them. */
  readonly sessionsClosed: number | undefined
}

/** What the cases need of an operator. A test may put a blind one in its place. */
export interface Admin {
  /** Where it is reached, and with what. */
  readonly options: AdminOptions
  addDevices(devices: readonly NewDevice[]): Promise<void>
  /** `source`: the loopback address to ask from. */
  tryAddDevice(device: NewDevice, source?: string): Promise<ApiAnswer>
  enroll(id: string, csr: string): Promise<EnrolledDevice>
  tryEnroll(id: string, csr: string, source?: string): Promise<ApiAnswer>
  revoke(target: { readonly device: string } | { readonly serial: string }, reason: string): Promise<RevocationAnswer>
  tryRevoke(target: { readonly device: string } | { readonly serial: string }, reason: string, source?: string): Promise<ApiAnswer>
  /** A token for this device, good once: the secret that it is given. */
  createToken(id: string, wishes?: TokenWishes): Promise<string>
  /** By its text. */
  revokeToken(token: string): Promise<void>
  /** A certificate that enrolls the devices whose ids fit the pattern. */
  createClaim(pattern: string, csr: string, uses?: number): Promise<Pick<EnrolledDevice, 'certificate' | 'chain'>>
  changeState(id: string, action: 'suspend' | 'resume' | 'retire'): Promise<void>
  /** The device is in these groups from here on, and in no others. */
  setGroups(id: string, groups: readonly string[]): Promise<void>
  /** How many certificates the registry has for this device; 0 also when there is no such device. */
  certificatesOf(id: string): Promise<number>
  /** Refusals in the newest records of the audit log with a sequence number above `after`, and the newest number. */
  refusalsAfter(after: number): Promise<{ readonly newest: number; readonly refusals: readonly RefusalRecord[] }>
  /** Whether this text stands anywhere in the newest records of the audit log. */
  auditMentions(text: string): Promise<boolean>
  /** Sessions that are connected now. */
  sessions(): Promise<number>
  close(): void
}

const Enrolled = z.looseObject({ serial: z.string(), certificate: z.string(), chain: z.array(z.string()), root: z.string() })
const Claimed = Enrolled.pick({ certificate: true, chain: true })
const Revoked = z.looseObject({ revoked: z.array(z.string()), sessionsClosed: z.number() })
const Tokens = z.looseObject({ items: z.tuple([z.looseObject({ token: z.string() })]) })
const DeviceShown = z.looseObject({ certificates: z.array(z.unknown()) })
const Records = z.union([z.array(z.record(z.string(), z.unknown())), z.looseObject({ items: z.array(z.record(z.string(), z.unknown())) }).transform((page) => page.items)])
const Status = z.looseObject({ sessions: z.number() })
const Problem = z.looseObject({ code: z.string() })

/** What `tryEnroll` answered, when it was a certificate. */
export function enrolledFrom(answer: ApiAnswer): EnrolledDevice | undefined {
  const parsed = Enrolled.safeParse(answer.body)
  return answer.status < 300 && parsed.success ? parsed.data : undefined
}

export function openAdmin(options: AdminOptions): Admin {
  const base = new URL(options.url)
  const agent = new https.Agent({ keepAlive: true, maxSockets: SIM_LIMITS.adminSocketsMax })

  function request(method: 'GET' | 'POST' | 'PATCH', path: string, body?: unknown, source?: string): Promise<ApiAnswer> {
    const payload = body === undefined ? undefined : JSON.stringify(body)
    return new Promise((resolve, reject) => {
      const sent = https.request(
        {
          method,
          // A source comes once: its connection is not kept.
          agent: source === undefined ? agent : false,
          host: base.hostname.replace(/^\[(.*)\]$/, '$1'),
          port: base.port,
          path,
          cert: options.cert,
          key: options.key,
          ca: options.ca,
          timeout: SIM_LIMITS.adminRequestMs,
          ...(source === undefined ? {} : { localAddress: source }),
          ...(payload === undefined ? {} : { headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) } }),
        },
        (response) => {
          const chunks: Buffer[] = []
          let bytes = 0
          response.on('data', (chunk: Buffer) => {
            bytes += chunk.length
            if (bytes > SIM_LIMITS.adminAnswerBytesMax) sent.destroy(new Error('answer too large'))
            else chunks.push(chunk)
          })
          response.on('end', () => resolve(parseAnswer(response.statusCode ?? 0, Buffer.concat(chunks))))
          response.on('error', reject)
        },
      )
      sent.on('timeout', () => sent.destroy(new Error('no answer in time')))
      sent.on('error', (cause: NodeJS.ErrnoException) => reject(new SimError('unreachable', `The admin API at ${options.url} did not answer ${method} ${path} (${cause.code ?? cause.message}).`)))
      sent.end(payload)
    })
  }

  // One answer holds the newest records only, and cases that run side by side write many: whoever waits for one finds it here.
  const known = new Map<number, ReadRecord>()

  async function must(method: 'GET' | 'POST' | 'PATCH', path: string, body?: unknown): Promise<unknown> {
    const answer = await request(method, path, body)
    if (answer.status >= 300) throw new SimError('failed', `${method} ${path} was answered ${answer.status}${answer.code === undefined ? '' : ` (${answer.code})`}.`)
    return answer.body
  }

  return {
    options,
    async addDevices(devices) {
      await must('POST', ADMIN_PATHS.devices, { devices: devices.map(deviceBody) })
    },
    tryAddDevice: (device, source) => request('POST', ADMIN_PATHS.devices, deviceBody(device), source),
    enroll: async (id, csr) => Enrolled.parse(await must('POST', fill(ADMIN_PATHS.deviceEnroll, id), { csr })),
    tryEnroll: (id, csr, source) => request('POST', fill(ADMIN_PATHS.deviceEnroll, id), { csr }, source),
    tryRevoke: (target, reason, source) => request('POST', ADMIN_PATHS.revocations, { ...target, reason }, source),
    revoke: async (target, reason) => Revoked.parse(await must('POST', ADMIN_PATHS.revocations, { ...target, reason })),
    async createToken(id, wishes = {}) {
      const token = { target: { device: id }, uses: 1, lifeMs: SIM_LIMITS.tokenMs, ...wishes }
      return Tokens.parse(await must('POST', ADMIN_PATHS.tokens, { tokens: [token] })).items[0].token
    },
    async revokeToken(token) {
      await must('POST', ADMIN_PATHS.tokenRevoke.replace(':token', encodeURIComponent(token.split('-')[0] ?? '')))
    },
    createClaim: async (pattern, csr, uses = 100) => Claimed.parse(await must('POST', ADMIN_PATHS.claims, { token: { target: { pattern }, uses, lifeMs: SIM_LIMITS.tokenMs }, csr })),
    async changeState(id, action) {
      await must('POST', fill(ADMIN_PATHS.deviceState, id), { action })
    },
    async setGroups(id, groups) {
      await must('PATCH', fill(ADMIN_PATHS.device, id), { groups })
    },
    async certificatesOf(id) {
      const answer = await request('GET', fill(ADMIN_PATHS.device, id))
      const parsed = DeviceShown.safeParse(answer.body)
      return parsed.success ? parsed.data.certificates.length : 0
    },
    async refusalsAfter(after) {
      const records = Records.parse(await must('GET', `${ADMIN_PATHS.audit}?count=${SIM_LIMITS.auditRecordsMax}`))
      for (const record of records.map(readRecord)) known.set(record.sequence, record)
      const read = [...known.values()].toSorted((a, b) => a.sequence - b.sequence)
      for (const { sequence } of read.slice(0, -SIM_LIMITS.auditKnownMax)) known.delete(sequence)
      return {
        newest: read.reduce((newest, record) => Math.max(newest, record.sequence), after),
        refusals: read.filter((record) => record.sequence > after && record.reason !== undefined).map((record) => ({ ...record, reason: record.reason ?? '' })),
      }
    },
    async auditMentions(text) {
      const records = Records.parse(await must('GET', `${ADMIN_PATHS.audit}?count=${SIM_LIMITS.auditRecordsMax}`))
      return records.some((record) => JSON.stringify(record).includes(text))
    },
    sessions: async () => Status.parse(await must('GET', ADMIN_PATHS.status)).sessions,
    close: () => agent.destroy(),
  }
}

function deviceBody(device: NewDevice): unknown {
  return { id: device.id, groups: device.groups, attributes: {} }
}

function fill(path: string, id: string): string {
  return path.replace(':id', encodeURIComponent(id))
}

function parseAnswer(status: number, bytes: Buffer): ApiAnswer {
  let body: unknown
  try {
    body = bytes.length === 0 ? undefined : JSON.parse(bytes.toString())
  } catch {
    body = undefined // Not JSON: the status says enough.
  }
  const problem = Problem.safeParse(body)
  return { status, body, code: problem.success ? problem.data.code : undefined }
}

/** One field of an ECS record, whether it is written nested, dotted, or a mixture of both. */
export function field(record: Readonly<Record<string, unknown>>, path: string): unknown {
  if (path in record) return record[path]
  for (let dot = path.indexOf('.'); dot !== -1; dot = path.indexOf('.', dot + 1)) {
    const inner = record[path.slice(0, dot)]
    if (!isRecord(inner)) continue
    const found = field(inner, path.slice(dot + 1))
    if (found !== undefined) return found
  }
  return undefined
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined)
const number = (value: unknown): number | undefined => (typeof value === 'number' ? value : undefined)

type ReadRecord = Omit<RefusalRecord, 'reason'> & { readonly reason: string | undefined }

/** The kinds of record that say no; a session that ended for a reason is history of the session, not a refusal. */
const REFUSAL_KINDS = new Set(['refusal', 'refusals-suppressed'])

export function readRecord(record: Readonly<Record<string, unknown>>): ReadRecord {
  const action = text(field(record, 'event.action')) ?? text(record['kind'])
  const refusal = action !== undefined && REFUSAL_KINDS.has(action)
  return {
    sequence: number(field(record, 'sallyport.seq')) ?? 0,
    reason: refusal ? text(field(record, 'event.reason')) ?? text(record['reason']) : undefined,
    count: number(field(record, 'detail.count')) ?? number(record['count']) ?? 1,
    address: text(field(record, 'source.ip')),
    port: number(field(record, 'source.port')),
    device: text(field(record, 'device.id')),
    topic: text(field(record, 'mqtt.topic')) ?? text(record['topic']),
  }
}

// sallyport token create | list | suspend | resume | revoke, and enrollment list | approve | reject.

import type { NewToken, TokenShown } from '../core/enrollment-desk.ts'
import { SallyportError } from '../core/errors.ts'
import { parseDeviceId, parseGroupName, parseTokenName } from '../core/ids.ts'
import { parsePattern, type EnrollmentState, type TokenTarget } from '../core/token.ts'
import { TOKEN_LIMITS } from '../enrollment-limits.ts'
import { networkOf } from '../policy-file.ts'
import { print, required, table, time, withDesk, type CommonOptions } from './context.ts'
import { limitOf } from './page.ts'
import { readDuration } from './duration.ts'
import { admitManufacturer, createClaim, proofOf, proofText, targetText, type ProofOptions } from './token-proof.ts'

const DAY = 86_400_000

interface PageOptions extends CommonOptions {
  readonly after?: string
  readonly limit?: string
}

export interface CreateOptions extends CommonOptions, ProofOptions {
  readonly id?: string
  readonly pattern?: string
  readonly register?: boolean
  readonly group?: readonly string[]
  readonly uses?: string
  readonly expires?: string
  readonly cidr?: readonly string[]
  readonly approve: NewToken['approve']
}

/** How long, and how often, where nothing is said: a line of production has more devices than a person, and a manufacturer more than both. */
const PRESETS = {
  secret: { uses: 1, lifeMs: DAY },
  claim: { uses: 1, lifeMs: 30 * DAY },
  manufacturer: { uses: TOKEN_LIMITS.usesMax, lifeMs: TOKEN_LIMITS.lifeMaxMs },
} as const

export async function create(options: CreateOptions): Promise<void> {
  const proof = proofOf(options)
  const preset = PRESETS[proof]
  const token: NewToken = {
    target: targetOf(options),
    register: options.register === true,
    groups: (options.group ?? []).map((name) => required(parseGroupName(name))),
    networks: (options.cidr ?? []).map(parseNetwork),
    approve: options.approve,
    uses: options.uses === undefined ? preset.uses : usesOf(options.uses),
    lifeMs: options.expires === undefined ? preset.lifeMs : durationOf(options.expires),
  }
  if (token.groups.length > 0 && !token.register) throw new SallyportError('usage', '--group is for devices that the token registers.', { fix: 'Give --register, too; the groups of a device that is registered are set with device set.' })
  if (proof === 'claim') return createClaim(token, options)
  if (proof === 'manufacturer') return admitManufacturer(token, options)
  await withDesk(options, async (desk) => {
    const [made] = await desk.createTokens([token])
    if (made === undefined) throw new SallyportError('internal', 'no token was made')
    print(options, made, () => `${made.token}\nThe token for ${targetText(token.target)}, ${token.uses === 1 ? 'good once' : `good ${token.uses} times`}, until ${time(made.expiresAt)}. It is shown now and never again; its name is ${made.name}.`)
  })
}

function targetOf({ id, pattern }: CreateOptions): TokenTarget {
  if ((id === undefined) === (pattern === undefined)) throw new SallyportError('usage', 'Say for whom: --id ID or --pattern PATTERN.')
  return id === undefined ? { pattern: required(parsePattern(pattern ?? '')) } : { device: required(parseDeviceId(id)) }
}

function parseNetwork(text: string): string {
  const test = networkOf(text)
  if (typeof test === 'string') throw new SallyportError('usage', `--cidr: ${test}`, { fix: 'Write an address or a network: 10.0.0.0/8, 2001:db8::/32.' })
  return text
}

function usesOf(text: string): number {
  const uses = Number(text)
  if (!Number.isInteger(uses) || uses < 1 || uses > TOKEN_LIMITS.usesMax) throw new SallyportError('usage', `--uses takes a number from 1 to ${TOKEN_LIMITS.usesMax}.`)
  return uses
}

export const durationOf = (text: string): number => readDuration('--expires', text, TOKEN_LIMITS.lifeMaxMs)

export async function list(options: PageOptions): Promise<void> {
  const limit = limitOf(options.limit)
  await withDesk(options, async (desk) => {
    const page = await desk.tokens({ after: options.after, limit })
    print(options, page, () => `${table([['TOKEN', 'FOR', 'PROVEN BY', 'USED', 'STATE', 'EXPIRES'], ...page.items.map((t) => [t.name, targetText(t.target), proofText(t.proof), `${t.uses} of ${t.usesMax}`, stateOf(t, Date.now()), time(t.expiresAt)])])}${page.next === undefined ? '' : `\nmore: --after ${page.next}`}`)
  })
}

function stateOf(token: TokenShown, now: number): string {
  if (token.revokedAt !== undefined) return 'revoked'
  if (token.expiresAt <= now) return 'expired'
  if (token.suspendedAt !== undefined) return 'suspended'
  return token.uses < token.usesMax ? 'open' : 'used up'
}

export async function revoke(name: string, options: CommonOptions): Promise<void> {
  const token = required(parseTokenName(name))
  await withDesk(options, async (desk) => {
    const revoked = await desk.revokeToken(token)
    print(options, revoked, () => `${revoked.name} is revoked. ${revoked.uses === 0 ? 'Nobody has used it.' : `It was used ${revoked.uses} times; who has a certificate keeps it.`}`)
  })
}

export async function suspend(name: string, suspended: boolean, options: CommonOptions): Promise<void> {
  const token = required(parseTokenName(name))
  await withDesk(options, async (desk) => {
    const now = await desk.suspendToken(token, suspended)
    print(options, now, () => (suspended ? `${now.name} is suspended: refused until it is resumed. Who has a certificate keeps it.` : `${now.name} may be used again.`))
  })
}

interface EnrollmentsOptions extends PageOptions {
  readonly state: EnrollmentState
}

export async function enrollments(options: EnrollmentsOptions): Promise<void> {
  const limit = limitOf(options.limit)
  await withDesk(options, async (desk) => {
    const page = await desk.enrollments({ after: options.after, limit, state: options.state })
    print(options, page, () => `${table([['ENROLLMENT', 'DEVICE', 'FROM', 'SINCE', 'KEY (SHA-256)'], ...page.items.map((e) => [e.id, e.device, e.source, time(e.createdAt), e.spkiSha256])])}${page.next === undefined ? '' : `\nmore: --after ${page.next}`}`)
  })
}

export async function decide(id: string, state: Exclude<EnrollmentState, 'pending'>, options: CommonOptions): Promise<void> {
  await withDesk(options, async (desk) => {
    const decided = await desk.decideEnrollment(id, state)
    print(options, decided, () => `${decided.id} is ${decided.state}. ${decided.state === 'approved' ? `${decided.device} gets its certificate when it asks again.` : `${decided.device} gets no certificate with this key and token.`}`)
  })
}

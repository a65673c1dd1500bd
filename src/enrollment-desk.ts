// Tokens in an open home: made, used up and revoked in the registry. The operator's part is in the Desk; the other one is for the
// enrollment door, which has parsed nothing yet: it hands over what a stranger sent.

import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Authority } from './ca/issue.ts'
import type { Actor, AuditEvent, Source } from './core/audit.ts'
import { attributesOf, type CsrFacts } from './core/certificate.ts'
import { allow, deny, type Decision } from './core/decision.ts'
import type { Device } from './core/device.ts'
import { judgeEnrollment } from './core/enrollment.ts'
import type { EnrollmentDesk, NewToken, TokenMade, TokenShown } from './core/enrollment-desk.ts'
import { failureOf } from './core/errors.ts'
import { DEFAULT_TENANT, parseDeviceId, parseTokenName, type DeviceId, type EpochMs, type TokenName } from './core/ids.ts'
import { openRates } from './core/rates.ts'
import type { CertificateRecord, Change, Page, Registry } from './core/registry.ts'
import { enrollmentId, judgeToken, type EnrollmentRecord, type TokenRecord, type TokenUse } from './core/token.ts'
import { ENROLL_LIMITS } from './enrollment-limits.ts'
import { readRequest, type AskedHow } from './est-request.ts'
import { REGISTRY_LIMITS } from './limits.ts'
import { networkOf } from './policy-file.ts'
import { underKey } from './x509/csr.ts'
import { generateKeyAside, privateKeyDer } from './x509/keys.ts'

export interface EnrollmentPorts {
  readonly registry: Registry
  readonly authority: Authority
  readonly clock: () => EpochMs
}

/** Crockford's base 32. */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const NAME_CHARS = 8
/** 130 bits. */
const SECRET_CHARS = 26

const letters = (count: number): string => Array.from(randomBytes(count), (byte) => ALPHABET[byte & 31]).join('')
const hashOf = (secret: string): Buffer => createHash('sha256').update(secret).digest()
/** What is compared when there is no token of that name: it takes as long, and never fits. */
const NOBODY = Buffer.alloc(32).toString('hex')

export function openEnrollmentDesk({ registry, clock }: EnrollmentPorts, actor: Actor): EnrollmentDesk {
  const knownToken = (name: TokenName): TokenRecord => registry.token(name) ?? refuse('token-not-found', name)

  return {
    async createTokens(tokens) {
      const at = clock()
      const made = tokens.map((token) => ({ secret: letters(SECRET_CHARS), record: recordOf(token, at) }))
      const records = made.map(({ secret, record }): TokenRecord => ({ ...record, secretSha256: hashOf(secret).toString('hex') }))
      const committed = await registry.commit(records.map((token) => ({ kind: 'token-added', token })), [], records.map(({ name }) => ({ kind: 'token-created', at, token: name, actor })))
      if (!committed.allow) throw failureOf(committed)
      return made.map(({ secret, record: { name, target, expiresAt } }): TokenMade => ({ name, token: `${name}-${secret}`, target, expiresAt }))
    },
    tokens: (query) => {
      const { items, ...rest } = registry.tokens(query)
      return Promise.resolve({ items: items.map(shown), ...rest })
    },
    async revokeToken(name) {
      const token = knownToken(name)
      if (token.revokedAt === undefined) {
        const committed = await registry.commit([{ kind: 'token-revoked', name, at: clock() }], [], [{ kind: 'token-revoked', at: clock(), token: name, actor }])
        if (!committed.allow) throw failureOf(committed)
      }
      return shown(knownToken(name))
    },
    enrollments: (query) => Promise.resolve(registry.enrollments(query)),
    async decideEnrollment(id, state) {
      const { device } = registry.enrollment(id) ?? refuse('enrollment-not-found', id)
      const at = clock()
      const committed = await registry.commit([{ kind: 'enrollment-decided', id, state, at }], [], [{ kind: 'enrollment-decided', at, enrollment: id, device, state, actor }])
      if (!committed.allow) throw failureOf(committed)
      return registry.enrollment(id) ?? refuse('enrollment-not-found', id)
    },
  }
}

function refuse(reason: 'token-not-found' | 'enrollment-not-found', detail: string): never {
  throw failureOf({ allow: false, reason, detail })
}

function shown(token: TokenRecord): TokenShown {
  const { secretSha256: _, ...rest } = token
  return rest
}

function recordOf({ uses, lifeMs, ...token }: NewToken, at: EpochMs): Omit<TokenRecord, 'secretSha256'> {
  return { ...token, name: letters(NAME_CHARS) as TokenName, usesMax: uses, uses: 0, createdAt: at, expiresAt: at + lifeMs }
}

/** A request as a stranger brought it. */
export interface TokenRequest extends AskedHow {
  /** Name and secret, as they were sent. */
  readonly token: string
  /** The id that the request says besides, outside the certificate request. */
  readonly device?: string | undefined
  readonly csr: Uint8Array
  readonly source: Source
}

/** A certificate, DER; and its key, PKCS#8, where that was made here. It is kept nowhere: this is all there is of it. */
export interface Certified {
  readonly certificate: Uint8Array
  readonly key?: Uint8Array
}

export interface EnrollmentDoor {
  /**
   * Reasons: token-unknown, token-rate, those of `readRequest`, `judgeToken` and `judgeEnrollment`, those of `Authority.issue`, device-unknown,
   * enrollment-pending, enrollment-rejected. With a key that is made here every answer is another key, and another use.
   */
  withToken(request: TokenRequest): Promise<Decision<Certified>>
}

const TOKEN_RATE = { perSecond: ENROLL_LIMITS.tokenPerSecond, burst: ENROLL_LIMITS.tokenBurst }

export function openEnrollmentDoor({ registry, authority, clock }: EnrollmentPorts): EnrollmentDoor {
  const withinRate = openRates(TOKEN_RATE, ENROLL_LIMITS.tokensRememberedMax)

  return {
    async withToken({ token: text, device: said, csr: der, source, ...how }) {
      const token = openToken(registry, text)
      if (token === undefined) return deny('token-unknown')
      const now = clock()
      // Of who has the secret alone: whoever only knows the name of a token could otherwise keep its device waiting.
      if (!withinRate(token.name, now)) return deny('token-rate')
      const csr = readRequest(der, how)
      if (!csr.allow) return csr
      const id = deviceOf(said, csr.value)
      if (!id.allow) return id
      const asked: TokenUse = { device: id.value, spkiSha256: csr.value.key.spkiSha256 }
      const usedBefore = how.serverKey === undefined && registry.tokenUsed(token.name, asked)
      const fits = judgeToken({ token, device: id.value, usedBefore, sourceFits: isFrom(token, source.address), now })
      if (!fits.allow) return fits
      // A lost answer is asked for again; a certificate that was replaced, or has ended, is not made anew by an old token.
      if (usedBefore && isOver(asked, now)) return deny('token-used-up', 'its certificate is over')
      const known = registry.device(id.value)
      if (known === undefined && !token.register) return deny('device-unknown', id.value)
      const key = how.serverKey === undefined ? undefined : await generateKeyAside(how.serverKey)
      const plan = judgeEnrollment(key === undefined ? csr.value : underKey(csr.value, key), known ?? newDevice(id.value, token, now))
      if (!plan.allow) return plan
      const approved = await approval({ registry, token, use: asked, source, now })
      if (!approved.allow) return approved
      const use: TokenUse = { device: id.value, spkiSha256: plan.value.spkiSha256 }
      const certified = await issue({ token, use, source, now, usedBefore, known, spki: plan.value.spki, isKeyOurs: key !== undefined })
      return certified.allow && key !== undefined ? allow({ ...certified.value, key: privateKeyDer(key) }) : certified
    },
  }

  /** There was a certificate of this key, and none is in force. All are looked at: the view does not hold those that have ended. */
  function isOver({ device, spkiSha256 }: TokenUse, now: EpochMs): boolean {
    const ofKey = [...certificatesOf(device)].filter((c) => c.spkiSha256 === spkiSha256 && c.state !== 'planned')
    return ofKey.length > 0 && !ofKey.some((c) => (c.state === 'active' || c.state === 'issued') && c.notAfter > now)
  }

  function* certificatesOf(device: DeviceId): Generator<CertificateRecord> {
    let after: string | undefined
    do {
      const page: Page<CertificateRecord> = registry.certificates({ device, after, limit: REGISTRY_LIMITS.pageSizeMax })
      yield* page.items
      after = page.next
    } while (after !== undefined)
  }

  async function issue({ token, use, source, now, usedBefore, known, spki, isKeyOurs }: Issuing): Promise<Decision<Certified>> {
    const actor: Actor = { kind: 'token', name: token.name }
    const used: Change = { kind: 'token-used', name: token.name, ...use, at: now }
    const audit: AuditEvent = { kind: 'token-used', at: now, token: token.name, device: use.device, source }
    if (known === undefined) {
      // A use with a device that is new: what is planned for it next can be asked for again by whoever has token and key.
      const added = await registry.commit(
        [{ kind: 'device-added', device: newDevice(use.device, token, now) }, used],
        [{ kind: 'key-free', spkiSha256: use.spkiSha256, device: use.device }],
        [{ kind: 'device-added', at: now, device: use.device, actor }, audit],
      )
      if (!added.allow && added.reason !== 'device-exists') return added
    }
    const isCounted = usedBefore || registry.tokenUsed(token.name, use)
    const made: readonly AuditEvent[] = isKeyOurs ? [{ kind: 'server-key-made', at: now, device: use.device, source, actor }] : []
    const along = { changes: isCounted ? [] : [used], audit: [...(isCounted ? [] : [audit]), ...made] }
    // A key whose answer was lost is gone: its certificate waits for a first use that never comes, and ends with the next one's plan.
    const waiting = isKeyOurs ? { state: 'issued' as const, ends: [...certificatesOf(use.device)].filter((c) => c.state === 'issued' && c.profile === 'device') } : {}
    const issued = await authority.issue({ profile: 'device', commonName: use.device, device: use.device, spki, along, ...waiting }, actor)
    return issued.allow ? allow({ certificate: issued.value.der }) : issued
  }
}

interface Issuing {
  readonly token: TokenRecord
  readonly use: TokenUse
  readonly source: Source
  readonly now: EpochMs
  readonly usedBefore: boolean
  readonly known: Device | undefined
  readonly spki: Uint8Array
  readonly isKeyOurs: boolean
}

/** The token whose secret this is. As long for a name that nobody has as for a secret that is wrong. */
function openToken(registry: Registry, text: string): TokenRecord | undefined {
  // A person who types it from a sheet groups it as he likes.
  const letters = text.replaceAll(/[- ]/g, '')
  const name = parseTokenName(letters.slice(0, NAME_CHARS))
  const record = name.allow ? registry.token(name.value) : undefined
  const right = timingSafeEqual(hashOf(letters.slice(NAME_CHARS)), Buffer.from(record?.secretSha256 ?? NOBODY, 'hex'))
  return right ? record : undefined
}

/** The id that was said, or that of the request; which of two that differ is meant nobody knows. */
function deviceOf(said: string | undefined, csr: CsrFacts): Decision<DeviceId> {
  const named = attributesOf(csr.subject, 'CN')[0]?.value ?? undefined
  const text = said === undefined || said === '' ? named : said
  return text === undefined ? deny('device-id-invalid', 'neither the user name nor the request names the device') : parseDeviceId(text)
}

function isFrom(token: TokenRecord, address: string): boolean {
  return token.networks.length === 0 || token.networks.some((text) => {
    const test = networkOf(text)
    return typeof test !== 'string' && test(address)
  })
}

function newDevice(id: DeviceId, token: TokenRecord, now: EpochMs): Device {
  return { id, tenant: DEFAULT_TENANT, groups: token.groups, attributes: {}, state: 'active', createdAt: now, revision: 1 }
}

/** Where a token asks for an operator: what one has said, or that one is waited for. */
async function approval({ registry, token, use, source, now }: { readonly registry: Registry; readonly token: TokenRecord; readonly use: TokenUse; readonly source: Source; readonly now: EpochMs }): Promise<Decision<void>> {
  if (token.approve === 'auto') return allow(undefined)
  const id = enrollmentId(token.name, use)
  const before = registry.enrollment(id)
  // The id is short: another key that begins alike is another request, which nobody approved.
  if (before !== undefined && (before.spkiSha256 !== use.spkiSha256 || before.device !== use.device)) return deny('enrollment-rejected', 'another request has this id')
  if (before?.state === 'approved') return allow(undefined)
  if (before?.state === 'rejected') return deny('enrollment-rejected', id)
  if (before === undefined) {
    const enrollment: EnrollmentRecord = { id, token: token.name, ...use, state: 'pending', source: source.address, createdAt: now }
    const asked = await registry.commit([{ kind: 'enrollment-requested', enrollment }], [], [{ kind: 'enrollment-requested', at: now, enrollment: id, device: use.device, source, actor: { kind: 'token', name: token.name } }])
    if (!asked.allow) return asked
  }
  return deny('enrollment-pending', id)
}

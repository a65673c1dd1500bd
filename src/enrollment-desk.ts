// Tokens in an open home: made, used up and revoked in the registry. The operator's part is in the Desk, that about certificates as
// proof in claim-desk.ts; the other one is for the enrollment door, which has parsed nothing yet: it hands over what a stranger sent.

import { createHash, timingSafeEqual, type KeyObject } from 'node:crypto'
import type { Authority } from './ca/issue.ts'
import type { Actor, AuditEvent, Presented, Source } from './core/audit.ts'
import { attributesOf, type CsrFacts } from './core/certificate.ts'
import { isShared, judgeTakeover } from './core/claim.ts'
import { allow, deny, type Decision } from './core/decision.ts'
import type { NewDevice } from './core/desk.ts'
import type { Device } from './core/device.ts'
import { judgeEnrollment, type EnrollmentPlan } from './core/enrollment.ts'
import type { EnrollmentDesk, NewToken, TokenMade } from './core/enrollment-desk.ts'
import { failureOf } from './core/errors.ts'
import { DEFAULT_TENANT, parseDeviceId, parseTokenName, type DeviceId, type EpochMs, type KeyHash, type TokenName } from './core/ids.ts'
import { parseDevicePassword } from './core/password.ts'
import { openRates } from './core/rates.ts'
import type { CertificateRecord, Change, Expectation, Registry } from './core/registry.ts'
import { planRevocation } from './core/revocation.ts'
import { enrollmentId, judgeToken, type EnrollmentRecord, type TokenRecord, type TokenUse } from './core/token.ts'
import { newTokenName, openClaimDesk, shownToken, tokenLetters } from './claim-desk.ts'
import { allCertificatesOf } from './device-certificates.ts'
import { ENROLL_LIMITS } from './enrollment-limits.ts'
import { readRequest, type AskedHow } from './est-request.ts'
import { REGISTRY_LIMITS } from './limits.ts'
import { networkOf } from './policy-file.ts'
import { underKey } from './x509/csr.ts'
import { generateKey, generateKeyAside, privateKeyDer, type KeyKind } from './x509/keys.ts'

export interface EnrollmentPorts {
  readonly registry: Registry
  readonly authority: Authority
  readonly clock: () => EpochMs
}

/** 130 bits. */
const SECRET_CHARS = 26
const NAME_CHARS = 8

const hashOf = (secret: string): Buffer => createHash('sha256').update(secret).digest()
/** What is compared when there is no token of that name: it takes as long, and never fits. */
const NOBODY = Buffer.alloc(32).toString('hex')

/** Salted with the device, so that one guess is a guess at one device. */
const hashOfPassword = (device: string, password: string): Buffer => hashOf(`${device}\0${password}`)

/** The token that the password of a device is: good once, for this device. Reason: password-weak. */
export function passwordToken(device: DeviceId, { text, lifeMs }: NonNullable<NewDevice['password']>, at: EpochMs): Decision<TokenRecord> {
  const password = parseDevicePassword(text, device)
  if (!password.allow) return password
  const token: NewToken = { target: { device }, register: false, groups: [], networks: [], approve: 'auto', uses: 1, lifeMs }
  return allow({ ...recordOf(token, at), proof: { kind: 'secret', sha256: hashOfPassword(device, password.value).toString('hex') }, password: true })
}

export function openEnrollmentDesk(ports: EnrollmentPorts, actor: Actor): EnrollmentDesk {
  const { registry, clock } = ports
  const knownToken = (name: TokenName): TokenRecord => registry.token(name) ?? refuse('token-not-found', name)

  return {
    ...openClaimDesk(ports, actor),
    async createTokens(tokens) {
      const at = clock()
      const made = tokens.map((token) => ({ secret: tokenLetters(SECRET_CHARS), record: recordOf(token, at) }))
      const records = made.map(({ secret, record }): TokenRecord => ({ ...record, proof: { kind: 'secret', sha256: hashOf(secret).toString('hex') } }))
      const committed = await registry.commit(records.map((token) => ({ kind: 'token-added', token })), [], records.map(({ name }) => ({ kind: 'token-created', at, token: name, actor })))
      if (!committed.allow) throw failureOf(committed)
      return made.map(({ secret, record: { name, target, expiresAt } }): TokenMade => ({ name, token: `${name}-${secret}`, target, expiresAt }))
    },
    tokens: (query) => {
      const { items, ...rest } = registry.tokens(query)
      return Promise.resolve({ items: items.map(shownToken), ...rest })
    },
    token: async (name) => shownToken(knownToken(name)),
    async revokeToken(name) {
      const token = knownToken(name)
      if (token.revokedAt === undefined) {
        const at = clock()
        // Whoever else asks, a CRL or OCSP, is to be told of a claim, too.
        const claims = token.proof.kind === 'claim' ? registry.certificates({ through: name, profile: 'claim', limit: REGISTRY_LIMITS.pageSizeMax }).items : []
        const plan = planRevocation(claims, 'cessationOfOperation', at)
        const revocations = plan.allow ? plan.value.changes : []
        const committed = await registry.commit(
          [{ kind: 'token-revoked', name, at }, ...revocations], [],
          [{ kind: 'token-revoked', at, token: name, actor }, ...revocations.map(({ issuer, serial, reason }): AuditEvent => ({ kind: 'certificate-revoked', at, issuer, serial, revocationReason: reason, actor }))],
        )
        if (!committed.allow) throw failureOf(committed)
      }
      return shownToken(knownToken(name))
    },
    enrollments: (query) => Promise.resolve(registry.enrollments(query)),
    enrollment: async (id) => registry.enrollment(id) ?? refuse('enrollment-not-found', id),
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

function recordOf({ uses, lifeMs, ...token }: NewToken, at: EpochMs): Omit<TokenRecord, 'proof'> {
  return { ...token, name: newTokenName(), usesMax: uses, uses: 0, createdAt: at, expiresAt: at + lifeMs }
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

/** A token that was proven, and what it is to be used for. */
export interface ProvenRequest {
  readonly token: TokenRecord
  readonly device: DeviceId
  readonly csr: CsrFacts
  readonly source: Source
  /** The certificate that proved it. */
  readonly presented?: Presented
  /** What must hold, besides, at the moment at which the certificate is planned. */
  readonly expected?: readonly Expectation[]
  /** As in `AskedHow`. */
  readonly serverKey?: KeyKind | undefined
}

export interface EnrollmentDoor {
  /**
   * Reasons: token-unknown, token-rate, those of `readRequest`, `judgeToken` and `judgeEnrollment`, those of `Authority.issue`, device-unknown,
   * enrollment-pending, enrollment-rejected. With a key that is made here every answer is another key, and another use.
   */
  withToken(request: TokenRequest): Promise<Decision<Certified>>
  /** The same for a token that a certificate has proven. Reasons: those of `withToken` but the first, device-enrolled. */
  withProven(request: ProvenRequest): Promise<Decision<Certified>>
  /** May this token be used so, as far as the token itself says? */
  fits(token: TokenRecord, use: TokenUse, source: Source): Decision<{ readonly usedBefore: boolean }>
}

/** A request is judged with it before a key of its own is made. It certifies nothing. */
const STAND_IN = generateKey('P-256')

const TOKEN_RATE = { perSecond: ENROLL_LIMITS.tokenPerSecond, burst: ENROLL_LIMITS.tokenBurst }

export function openEnrollmentDoor({ registry, authority, clock }: EnrollmentPorts): EnrollmentDoor {
  const withinRate = openRates(TOKEN_RATE, ENROLL_LIMITS.tokensRememberedMax)

  return {
    async withToken({ token: text, device: said, csr: der, source, ...how }) {
      const token = openToken(registry, text, said)
      if (token === undefined) return deny('token-unknown')
      const now = clock()
      // Of who has the secret alone: whoever only knows the name of a token could otherwise keep its device waiting.
      if (!withinRate(token.name, now)) return deny('token-rate')
      const csr = readRequest(der, how)
      if (!csr.allow) return csr
      const id = deviceOf(said, csr.value)
      return id.allow ? withProven({ token, device: id.value, csr: csr.value, source, serverKey: how.serverKey }) : id
    },
    withProven, fits,
  }

  function fits(token: TokenRecord, use: TokenUse, source: Source, isKeyOurs = false): Decision<{ readonly usedBefore: boolean }> {
    // A key that is made here is another one every time, and so is its use.
    const usedBefore = !isKeyOurs && registry.tokenUsed(token.name, use)
    const judged = judgeToken({ token, device: use.device, usedBefore, sourceFits: isFrom(token, source.address), now: clock() })
    return judged.allow ? allow({ usedBefore }) : judged
  }

  async function withProven({ token, device, csr, source, presented, expected = [], serverKey }: ProvenRequest): Promise<Decision<Certified>> {
    const now = clock()
    // A secret has been counted before its request was parsed.
    if (presented !== undefined && !withinRate(presented.sha256 ?? token.name, now)) return deny('token-rate')
    const asked: TokenUse = { device, spkiSha256: csr.key.spkiSha256 }
    const fitting = fits(token, asked, source, serverKey !== undefined)
    if (!fitting.allow) return fitting
    const { usedBefore } = fitting.value
    // All are looked at: the view does not hold those that have ended.
    const ofDevice = usedBefore || isShared(token) || serverKey !== undefined ? allCertificatesOf(registry, device) : []
    // A lost answer is asked for again; a certificate that was replaced, or has ended, is not made anew by an old token.
    if (usedBefore && isOver(ofDevice, asked, now)) return deny('token-used-up', 'its certificate is over')
    const known = registry.device(device)
    if (known === undefined && !token.register) return deny('device-unknown', device)
    if (known !== undefined && token.tenant !== undefined && known.tenant !== token.tenant) return deny('token-device', `${device} is of another tenant`)
    // A key of ours is made when all else is said: whoever waits for an operator, or may not have it, costs none.
    const judge = (key: KeyObject | undefined): Decision<EnrollmentPlan> => judgeEnrollment(key === undefined ? csr : underKey(csr, key), known ?? newDevice(device, token, now))
    const first = judge(serverKey === undefined ? undefined : STAND_IN)
    if (!first.allow) return first
    const untaken = judgeTakeover(token, { device, spkiSha256: first.value.spkiSha256 }, ofDevice)
    if (!untaken.allow) return untaken
    const approved = await approval({ registry, token, use: serverKey === undefined ? asked : { device, spkiSha256: approvedAs(csr) }, source, now })
    if (!approved.allow) return approved
    const key = serverKey === undefined ? undefined : await generateKeyAside(serverKey)
    const plan = key === undefined ? first : judge(key)
    if (!plan.allow) return plan
    const use: TokenUse = { device, spkiSha256: plan.value.spkiSha256 }
    const certified = await issue({ token, use, source, presented, expected, now, usedBefore, known, ofDevice, spki: plan.value.spki, isKeyOurs: key !== undefined })
    return certified.allow && key !== undefined ? allow({ ...certified.value, key: privateKeyDer(key) }) : certified
  }

  async function issue({ token, use, source, presented, expected, now, usedBefore, known, ofDevice, spki, isKeyOurs }: ToIssue): Promise<Decision<Certified>> {
    const actor = actorOf(token)
    const standing: readonly Expectation[] = [{ kind: 'token-open', name: token.name }, ...expected]
    const used: Change = { kind: 'token-used', name: token.name, ...use, at: now }
    const audit: AuditEvent = { kind: 'token-used', at: now, token: token.name, device: use.device, source, ...(presented === undefined ? {} : { presented }) }
    if (known === undefined) {
      // It would be registered, and the token used, for nothing.
      const named = await authority.mayName({ commonName: use.device, device: use.device })
      if (!named.allow) return named
      // A use with a device that is new: what is planned for it next can be asked for again by whoever has token and key.
      const added = await registry.commit(
        [{ kind: 'device-added', device: newDevice(use.device, token, now) }, used],
        [...standing, { kind: 'key-free', spkiSha256: use.spkiSha256, device: use.device }],
        [{ kind: 'device-added', at: now, device: use.device, actor }, audit],
      )
      if (!added.allow && added.reason !== 'device-exists') return added
    }
    const isCounted = usedBefore || registry.tokenUsed(token.name, use)
    const made: readonly AuditEvent[] = isKeyOurs ? [{ kind: 'server-key-made', at: now, device: use.device, source, actor }] : []
    const along = { changes: isCounted ? [] : [used], audit: [...(isCounted ? [] : [audit]), ...made] }
    // A key whose answer was lost, or never came, is gone: its certificate waits for a first use that never comes, and ends with the next one's plan.
    const waiting = isKeyOurs ? { state: 'issued' as const, ends: ofDevice.filter((c) => (c.state === 'planned' || c.state === 'issued') && c.profile === 'device') } : {}
    const issued = await authority.issue({
      profile: 'device', commonName: use.device, device: use.device, spki, through: token.name, along: { ...along, expected: standing }, ...waiting,
      ...(isShared(token) ? { inForceMax: alone(token, ofDevice) } : {}),
    }, actor)
    return issued.allow ? allow({ certificate: issued.value.der }) : issued
  }
}

interface ToIssue {
  readonly token: TokenRecord
  readonly use: TokenUse
  readonly source: Source
  readonly presented: Presented | undefined
  readonly expected: readonly Expectation[]
  readonly now: EpochMs
  readonly usedBefore: boolean
  readonly known: Device | undefined
  /** Its certificates, where they matter. */
  readonly ofDevice: readonly CertificateRecord[]
  readonly spki: Uint8Array
  readonly isKeyOurs: boolean
}

/** There was a certificate of this key, and none is in force. */
function isOver(ofDevice: readonly CertificateRecord[], { spkiSha256 }: TokenUse, now: EpochMs): boolean {
  const ofKey = ofDevice.filter((c) => c.spkiSha256 === spkiSha256 && c.state !== 'planned')
  return ofKey.length > 0 && !ofKey.some((c) => (c.state === 'active' || c.state === 'issued') && c.notAfter > now)
}

/** Of two that race with a shared certificate for one device one wins. What the manufacturer certified counts beside it. */
function alone({ proof }: TokenRecord, ofDevice: readonly CertificateRecord[]): number {
  const ofFactory = proof.kind === 'manufacturer' && ofDevice.some((c) => c.issuer === proof.ca && c.state === 'active')
  return ofFactory ? 2 : 1
}

/** How a token was proven stands in its record. */
const actorOf = ({ proof, name }: TokenRecord): Actor => ({ kind: proof.kind === 'secret' ? 'token' : proof.kind, name })

/**
 * The token whose secret this is, or the password of the device that was said. Both are looked for and compared, whichever it may be: it takes as
 * long for a name, or a device, that nobody has as for a secret that is wrong.
 */
function openToken(registry: Registry, text: string, said: string | undefined): TokenRecord | undefined {
  const named = namedToken(registry, text)
  const ofDevice = passwordOf(registry, text, said)
  return named ?? ofDevice
}

function passwordOf(registry: Registry, text: string, said = ''): TokenRecord | undefined {
  const device = parseDeviceId(said)
  const password = device.allow ? registry.passwordOf(device.value) : undefined
  const right = timingSafeEqual(hashOfPassword(said, text), Buffer.from(password?.sha256 ?? NOBODY, 'hex'))
  return right && password !== undefined ? registry.token(password.name) : undefined
}

function namedToken(registry: Registry, text: string): TokenRecord | undefined {
  // A person who types it from a sheet groups it as he likes.
  const letters = text.replaceAll(/[- ]/g, '')
  const name = parseTokenName(letters.slice(0, NAME_CHARS))
  const record = name.allow ? registry.token(name.value) : undefined
  // What is proven by a key has no secret: the hash of a public key, which everybody may know, is none. A password has no name before it.
  const known = record?.proof.kind === 'secret' && record.password === undefined ? record.proof.sha256 : NOBODY
  const right = timingSafeEqual(hashOf(letters.slice(NAME_CHARS)), Buffer.from(known, 'hex'))
  return right ? record : undefined
}

/** The id that was said, or that of the request; which of two that differ is meant nobody knows. */
export function deviceOf(said: string | undefined, csr: CsrFacts): Decision<DeviceId> {
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
  return { id, tenant: token.tenant ?? DEFAULT_TENANT, groups: token.groups, attributes: {}, state: 'active', createdAt: now, revision: 1 }
}

/**
 * What stands in place of the key where that is to be made here: nobody has proven to hold the one of the request, so what was approved
 * for who holds it must not be taken for this.
 */
const approvedAs = ({ key }: CsrFacts): KeyHash => hashOf(`serverkeygen\0${key.spkiSha256}`).toString('hex') as KeyHash

/** Where a token asks for an operator: what one has said, or that one is waited for. */
async function approval({ registry, token, use, source, now }: Pick<ToIssue, 'token' | 'use' | 'source' | 'now'> & { readonly registry: Registry }): Promise<Decision<void>> {
  if (token.approve === 'auto') return allow(undefined)
  const id = enrollmentId(token.name, use)
  const before = registry.enrollment(id)
  // The id is short: another key that begins alike is another request, which nobody approved.
  if (before !== undefined && (before.spkiSha256 !== use.spkiSha256 || before.device !== use.device)) return deny('enrollment-rejected', 'another request has this id')
  if (before?.state === 'approved') return allow(undefined)
  if (before?.state === 'rejected') return deny('enrollment-rejected', id)
  if (before === undefined) {
    const enrollment: EnrollmentRecord = { id, token: token.name, ...use, state: 'pending', source: source.address, createdAt: now }
    const asked = await registry.commit([{ kind: 'enrollment-requested', enrollment }], [], [{ kind: 'enrollment-requested', at: now, enrollment: id, device: use.device, source, actor: actorOf(token) }])
    if (!asked.allow) return asked
  }
  return deny('enrollment-pending', id)
}

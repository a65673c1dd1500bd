// The CA's part of the desk over an open home: the rotation step by step, judged by core, made by ca/, recorded, and told to whoever
// has to follow. It counts who depends on which CA in slices, between which the event loop belongs to the broker.

import { setImmediate } from 'node:timers/promises'
import { issuerOfServer, isInForce, rootOf } from './ca/chains.ts'
import type { GenesisPorts } from './ca/genesis.ts'
import { toldOfIds } from './ca/ids-outside.ts'
import { crossSign, importIssuing, makeSuccessor, requestIssuing } from './ca/rotate.ts'
import { isKeyHere } from './ca/root-key.ts'
import type { Actor, AuditEvent } from './core/audit.ts'
import type { CaDesk, CaRotation, CaUse, Rotated, RotateRequest } from './core/ca-desk.ts'
import { parseCaIds, parseUnit, type CaIds } from './core/ca-names.ts'
import { deny, type Decision } from './core/decision.ts'
import { failureOf, SallyportError } from './core/errors.ts'
import { expiringSoon } from './core/expiry.ts'
import type { CaName, DeviceId, EpochMs, SerialNumber } from './core/ids.ts'
import type { CaRecord, CertificateRecord, Registry, RegistryView } from './core/registry.ts'
import { judgeStep, planStep, ROTATION_STEPS, rotationOf, type CaFacts, type Rotation, type RotationStep } from './core/rotation.ts'
import { CA_LIFE_LIMITS } from './ca-limits.ts'
import { parseCertificate } from './x509/certificate.ts'
import { encodeUnit } from './x509/names.ts'
import { permittedBase } from './x509/permitted-names.ts'

export interface CaDeskPorts {
  readonly registry: Registry
  readonly view: RegistryView
  readonly clock: () => EpochMs
  readonly genesis: (actor: Actor) => GenesisPorts
  /** One after the other. */
  readonly alone: <T>(work: () => Promise<T>) => Promise<T>
  /** The CA of each connected session. Without a server nobody is connected. */
  readonly connected?: (() => Iterable<{ readonly issuer: CaName }>) | undefined
  /** States of CAs have changed: what follows from them is put in force before it resolves. */
  readonly changed?: (() => Promise<void>) | undefined
  readonly sessions?: { /** How many sessions a recorded revocation has closed. */ closed(match: { readonly issuer: CaName; readonly serial: SerialNumber }): Promise<number> } | undefined
}

/** The sentence of a step that is next, or would be done. */
const DOES: Readonly<Record<RotationStep, string>> = {
  'start': 'A new issuing CA is made (with --root below a new root). Nobody notices.',
  'trust': 'The door takes certificates of the new CA, and devices are given both roots. Nobody notices.',
  'cross-sign': 'The two roots vouch for each other: who knows one of them verifies this server. Nobody notices.',
  'switch': 'New certificates come from the new CA, the server\'s own one, too. Who has one of the old CA keeps it.',
  'retire': 'The old CA is trusted no longer. Who has certificates of it alone is out.',
  'abort': 'The new CA is given up. Nobody has a certificate of it.',
}

export function openCaDesk(ports: CaDeskPorts, actor: Actor): CaDesk {
  const { registry, clock } = ports

  function look(): { readonly cas: readonly CaRecord[]; readonly facts: readonly CaFacts[]; readonly rotation: Rotation } {
    const cas = registry.cas().filter((ca) => ca.role !== 'trusted')
    const facts = cas.flatMap(({ name, role, state, ...ca }): readonly CaFacts[] => (role === 'trusted' ? [] : [{ name, role, state, root: role === 'issuing' ? rootOf({ name, role, state, ...ca }, cas)?.name : undefined }]))
    const nameOf = (key: string): CaName | undefined => cas.find((ca) => ca.spkiSha256 === key)?.name
    const crossed = registry.crossCertificates().filter(({ notAfter }) => notAfter > clock()).map(({ spkiSha256, issuer }) => `${nameOf(spkiSha256) ?? ''}<${issuer}`)
    const subject = (name: CaName): string => subjectOf(cas.find((ca) => ca.name === name))
    const rotation = rotationOf({ cas: facts, crossed: new Set(crossed), oneName: (a, b) => subject(a) === subject(b) })
    if (rotation === undefined) throw new SallyportError('home-empty', 'There is no certificate authority in this home yet.', { fix: 'Make one: sallyport ca init.' })
    return { cas, facts, rotation }
  }

  async function rotateCa(request: RotateRequest): Promise<Rotated> {
    const { step, dryRun = false } = request
    const { cas, facts, rotation } = look()
    const judged = judgeStep(step, rotation, { root: request.root === true })
    if (!judged.allow) throw failureOf(judged)
    const base = { step, breaks: [], breaksCount: 0, sessionsClosed: 0, revoked: 0 } as const
    const limits = limitsOf(request, cas, rotation)
    if (judged.value === 'done' && step === 'start') mustBeAsked(limits, request, cas, rotation)
    if (judged.value === 'done') return { ...base, outcome: 'done', told: ['It was done before.'], next: rotation.next }
    if (dryRun) {
      const broken = step === 'retire' ? await brokenBy(rotation) : NOBODY
      return { ...base, outcome: 'would', told: [...toldOf(step, rotation, request, broken.others), ...(await toldOfIds(registry, limits.ids))], breaks: broken.devices, breaksCount: broken.count, next: step }
    }
    const { whole, ...ended } = step === 'retire' ? await endCertificates(rotation, request.force === true) : NOTHING_ENDED
    if (!whole) return { ...base, ...ended, outcome: 'part', told: [`${ended.revoked} certificates are revoked, and there are more.`], next: step }
    await endCrosses(planStep(step, rotation, facts, clock()).changes.filter(({ state }) => state === 'retired').map(({ name }) => name))
    const made = await make(step, request, limits, cas, rotation)
    const plan = planStep(step, rotation, facts, clock())
    if (plan.changes.length > 0) {
      const committed = await registry.commit(plan.changes, plan.expected, plan.changes.map(({ name, state, at }): AuditEvent => ({ kind: 'ca-state', at, ca: name, state, actor })))
      if (!committed.allow) throw failureOf(committed)
    }
    await ports.changed?.()
    const told = [...made, ...plan.changes.map(({ name, state }) => `${name} is ${state}.`), ...(await toldOfIds(registry, limits.ids))]
    return { ...base, ...ended, outcome: 'did', told, next: look().rotation.next }
  }

  /** With start: what is asked for, or what the CA before was limited to. With switch: what the CA that comes is. */
  function limitsOf({ step, ids, unit }: RotateRequest, cas: readonly CaRecord[], { current, incoming }: Rotation): CaLimits {
    if (step === 'switch') return { ids: cas.find(({ name }) => name === incoming?.name)?.ids, permitted: undefined }
    if (step !== 'start') return NO_LIMITS
    const before = cas.find(({ name }) => name === current.name)
    return { ids: idsOf(ids, cas), permitted: unit === undefined ? before && permittedBase(before.der) : unit === EVERYWHERE ? undefined : encodeUnit(ports.genesis(actor).organization, need(parseUnit(unit))) }
  }

  /** One that is on its way already is what it is: whoever asks for another one is told. */
  function mustBeAsked({ ids, permitted }: CaLimits, request: RotateRequest, cas: readonly CaRecord[], { incoming }: Rotation): void {
    const made = cas.find(({ name }) => name === incoming?.name)
    const otherIds = request.ids !== undefined && String(made?.ids ?? []) !== String(ids ?? [])
    const otherUnit = request.unit !== undefined && Buffer.compare((made && permittedBase(made.der)) ?? new Uint8Array(), permitted ?? new Uint8Array()) !== 0
    if (otherIds || otherUnit) throw failureOf(deny('ca-step', `${incoming?.name ?? ''} is on its way with other limits: go on with it, or give it up: ca rotate abort`))
  }

  /** What a step makes beside what it says of states. */
  async function make(step: RotationStep, request: RotateRequest, limits: CaLimits, cas: readonly CaRecord[], { current, incomingRoot }: Rotation): Promise<readonly string[]> {
    const genesis = ports.genesis(actor)
    const above = cas.find(({ name }) => name === current.root)
    if (request.rootKey !== undefined && above !== undefined && !isKeyHere(genesis, above)) await note(above.name, 'lent')
    if (step === 'start') return (await makeSuccessor(genesis, { root: request.root === true, loan: request.rootKey, ...limits })).map((name) => `${name} is created.`)
    const [old, fresh] = [current.root, incomingRoot?.name].map((name) => cas.find((ca) => ca.name === name))
    if (step !== 'cross-sign' || old === undefined || fresh === undefined) return []
    await crossSign(genesis, old, fresh, request.rootKey)
    return [`${old.name} and ${fresh.name} vouch for each other.`]
  }

  async function note(ca: CaName | undefined, action: 'exported' | 'removed' | 'lent'): Promise<void> {
    if (ca === undefined || !registry.cas().some(({ name, role }) => name === ca && role === 'root')) throw failureOf(deny('ca-step', `there is no root ${ca ?? ''}`))
    const committed = await registry.commit([], [], [{ kind: 'ca-key', at: clock(), ca, action, actor }])
    if (!committed.allow) throw failureOf(committed)
  }

  /** Certificates of this CA in these states that have not expired, page by page. */
  async function* certificatesOf(issuer: CaName, states: readonly CertificateRecord['state'][]): AsyncGenerator<readonly CertificateRecord[]> {
    for (const state of states) {
      let after: string | undefined
      do {
        const page = registry.certificates({ issuer, state, after, limit: CA_LIFE_LIMITS.lookedAtOnceMax })
        const now = clock()
        yield page.items.filter(({ notAfter }) => notAfter > now)
        await setImmediate()
        after = page.next
      } while (after !== undefined)
    }
  }

  async function useOf(ca: CaRecord, cas: readonly CaRecord[], sessions: number): Promise<CaUse> {
    const counted = { certificates: 0, only: 0, others: 0 }
    const devices: DeviceId[] = []
    const inForce = new Set(cas.filter((each) => isInForce(each)).map(({ name }) => name))
    for await (const page of certificatesOf(ca.name, ca.role === 'issuing' ? ['issued', 'active'] : [])) {
      for (const { device, profile } of page) {
        // What answers for the CA itself ends with it, and concerns nobody else.
        if (profile === 'ocsp-responder') continue
        if (device === undefined) {
          counted.others++
          continue
        }
        counted.certificates++
        if (hasOther(device, ca.name, inForce)) continue
        counted.only++
        if (devices.length < CA_LIFE_LIMITS.devicesNamedMax && !devices.includes(device)) devices.push(device)
      }
    }
    const root = ca.role === 'issuing' ? rootOf(ca, cas)?.name : undefined
    const { name, state, since, der } = ca
    return { name, role: ca.role === 'root' ? 'root' : 'issuing', state, since, notAfter: notAfterOf(der), ...(root === undefined ? {} : { root }), ...counted, devices: devices.toSorted(), sessions }
  }

  function hasOther(device: DeviceId, than: CaName, inForce: ReadonlySet<CaName>): boolean {
    const now = clock()
    return ports.view.certificatesOf(device).some(({ issuer, state, notAfter }) => issuer !== than && inForce.has(issuer) && (state === 'active' || state === 'issued') && notAfter > now)
  }

  async function brokenBy({ replaced }: Rotation): Promise<Broken> {
    const cas = registry.cas()
    const gone = new Set(replaced.map(({ name }) => name))
    const uses = await Promise.all(cas.filter((ca) => gone.has(ca.name)).map((ca) => useOf(ca, cas, 0)))
    return { devices: uses.flatMap(({ devices }) => devices).slice(0, CA_LIFE_LIMITS.devicesNamedMax), count: uses.reduce((sum, { only }) => sum + only, 0), inForce: uses.reduce((sum, { certificates }) => sum + certificates, 0), others: uses.reduce((sum, { others }) => sum + others, 0) }
  }

  /**
   * What a CA that retires has signed ends with it: recorded one by one, so that the sessions end, the lists of revoked certificates
   * say so, and the next start knows. A step that is interrupted goes on where it was.
   */
  async function endCertificates(rotation: Rotation, force: boolean): Promise<Ended> {
    const broken = await brokenBy(rotation)
    if (broken.inForce > 0 && !force) throw failureOf(deny('ca-in-use', `${broken.inForce} of devices, of ${broken.count} of them the only one: ${named(broken)}`))
    const ended = { breaks: broken.devices, breaksCount: broken.count, revoked: 0, sessionsClosed: 0, whole: true }
    for (const { name } of rotation.replaced) {
      // What is revoked leaves its state: the first page is always what remains.
      for (const state of ['planned', 'issued', 'active'] as const) {
        for await (const page of certificatesOf(name, [state])) {
          const records = page.filter(({ profile }) => profile !== 'root' && profile !== 'issuing' && profile !== 'ocsp-responder')
          for (let at = 0; at < records.length; at += CA_LIFE_LIMITS.revokedPerCommitMax) ended.sessionsClosed += await revoke(records.slice(at, at + CA_LIFE_LIMITS.revokedPerCommitMax))
          ended.revoked += records.length
          if (ended.revoked >= CA_LIFE_LIMITS.revokedPerRequestMax) return { ...ended, whole: false }
        }
      }
    }
    return ended
  }

  /** No root in force vouches any longer for one that retires. That the retired one vouches for its successor harms nobody, and helps who knows it alone. */
  async function endCrosses(retiring: readonly CaName[]): Promise<void> {
    const keys = new Set(registry.cas().filter(({ name, role }) => role === 'root' && retiring.includes(name)).map(({ spkiSha256 }) => spkiSha256))
    const records = registry.crossCertificates().flatMap(({ issuer, serial, spkiSha256 }) => (keys.has(spkiSha256) ? [registry.certificate(issuer, serial)] : [])).filter((record) => record !== undefined)
    if (records.length > 0) await revoke(records)
  }

  async function revoke(records: readonly CertificateRecord[]): Promise<number> {
    const at = clock()
    const committed = await registry.commit(
      records.map(({ issuer, serial }) => ({ kind: 'certificate-revoked', issuer, serial, at, reason: 'cessationOfOperation' })),
      records.some(({ profile }) => profile === 'operator') ? [{ kind: 'operators-remain', now: at }] : [],
      records.map(({ issuer, serial, device }): AuditEvent => ({ kind: 'certificate-revoked', at, issuer, serial, revocationReason: 'cessationOfOperation', actor, ...(device === undefined ? {} : { device }) })),
    )
    if (!committed.allow) throw failureOf(committed)
    const counts = await Promise.all(records.map(({ issuer, serial }) => ports.sessions?.closed({ issuer, serial }) ?? Promise.resolve(0)))
    return counts.reduce((sum, n) => sum + n, 0)
  }

  return {
    async caRotation(): Promise<CaRotation> {
      const { cas, rotation } = look()
      const sessions = new Map<CaName, number>()
      for (const { issuer } of ports.connected?.() ?? []) sessions.set(issuer, (sessions.get(issuer) ?? 0) + 1)
      const uses: CaUse[] = []
      for (const ca of cas) uses.push(await useOf(ca, cas, sessions.get(ca.name) ?? 0))
      const own = cas.filter(({ state }) => state !== 'retired').map(({ name, der }) => ({ certificate: name, notAfter: notAfterOf(der) }))
      return {
        next: rotation.next, nextDoes: DOES[rotation.next], steps: ROTATION_STEPS.map((step) => ({ step, does: DOES[step] })), crossSigning: rotation.crossSigning, cas: uses,
        serverIssuer: (issuerOfServer(cas, registry.crossCertificates())?.name ?? rotation.current.name),
        rootKeys: cas.filter((ca) => ca.role === 'root' && isInForce(ca) && isKeyHere(ports.genesis(actor), ca)).map(({ name }) => name),
        expiring: expiringSoon(own, clock()),
      }
    },
    rotateCa: (request) => ports.alone(() => rotateCa(request)),
    requestCa: () => ports.alone(() => whileNothingIsOnItsWay(() => requestIssuing(ports.genesis(actor)))),
    importCa: (source) => ports.alone(() => whileNothingIsOnItsWay(async () => {
      const made = await imported(source)
      await ports.changed?.()
      return made
    })),
    noteCaKey: note,
  }

  /** A certificate that cannot be used was brought along: that is no fault of this server. */
  async function imported(source: Parameters<CaDesk['importCa']>[0]): Promise<readonly CaName[]> {
    try {
      return await importIssuing(ports.genesis(actor), source, idsOf(source.ids, ports.registry.cas()))
    } catch (cause) {
      if (!(cause instanceof SallyportError) || cause.code !== 'certificate-unusable') throw cause
      throw new SallyportError('refused', `${cause.message} ${cause.fix ?? ''}`.trimEnd(), { reason: 'request-invalid', cause })
    }
  }

  async function whileNothingIsOnItsWay<T>(work: () => Promise<T>): Promise<T> {
    const { incoming } = look().rotation
    if (incoming !== undefined) throw failureOf(deny('ca-step', `${incoming.name} is on its way: go on with it, or give it up: ca rotate abort`))
    return work()
  }
}

/** What the CA of this step is limited to; of steps that concern none, nothing. */
interface CaLimits {
  readonly ids: CaIds
  readonly permitted: Uint8Array | undefined
}

interface Broken {
  /** As many as are named. */
  readonly devices: readonly DeviceId[]
  readonly count: number
  /** Certificates of devices that are in force, also of those that have another one. */
  readonly inForce: number
  /** Of operators, servers and others. */
  readonly others: number
}

type Ended = Pick<Rotated, 'breaks' | 'breaksCount' | 'revoked' | 'sessionsClosed'> & { /** Nothing is left. */ readonly whole: boolean }

const NO_LIMITS: CaLimits = { ids: undefined, permitted: undefined }
const EVERYWHERE = '*'

/** Those that are asked for, or those of the CA before. */
function idsOf(texts: readonly string[] | undefined, cas: readonly CaRecord[]): CaIds {
  return texts === undefined ? cas.find(({ role, state }) => role === 'issuing' && state === 'current')?.ids : need(parseCaIds(texts))
}

function need<T>(decision: Decision<T>): T {
  if (!decision.allow) throw failureOf(decision)
  return decision.value
}

const NOBODY: Broken = { devices: [], count: 0, inForce: 0, others: 0 }
const NOTHING_ENDED: Ended = { breaks: [], breaksCount: 0, revoked: 0, sessionsClosed: 0, whole: true }

function named({ devices, count }: Broken): string {
  return count === 0 ? 'none' : `${devices.slice(0, CA_LIFE_LIMITS.devicesInSentenceMax).join(', ')}${count > CA_LIFE_LIMITS.devicesInSentenceMax ? ' …' : ''}`
}

function toldOf(step: RotationStep, rotation: Rotation, { root, force }: RotateRequest, others: number): readonly string[] {
  if (step === 'start') return [DOES.start, root === true ? 'The root is replaced, too.' : `It stands below ${rotation.current.root ?? 'the root'}.`]
  if (step === 'retire') return [DOES.retire, `It is about ${rotation.replaced.map(({ name }) => name).join(', ')}.`, ...(others > 0 ? [`${others} certificate${others === 1 ? '' : 's'} of operators and of the server end with it; this home has new ones, copies elsewhere do not.`] : []), ...(force === true ? ['What is in force is revoked, and its sessions end.'] : [])]
  return [DOES[step]]
}

function subjectOf(ca: CaRecord | undefined): string {
  const facts = ca && parseCertificate(ca.der)
  return facts?.allow === true ? facts.value.subjectDerHex : ''
}

function notAfterOf(der: Uint8Array): EpochMs {
  const facts = parseCertificate(der)
  return facts.allow ? facts.value.notAfter : 0
}

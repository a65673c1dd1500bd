// What ends, of the organisation's own and of its fleet, and who is told of it in time: the log, the audit log, the status. What was said is
// remembered in the registry, so that a start does not say it again. It decides nothing: when something is near is a rule of core/expiry.

import { closeSync, existsSync, openSync, readFileSync, readSync } from 'node:fs'
import path from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { folderOfCredential } from './ca/credentials.ts'
import type { AuditEvent } from './core/audit.ts'
import type { ExpirySeen } from './core/ca-desk.ts'
import { crlName } from './core/crl-scope.ts'
import { isNear, isOverdue, type ExpiryKind, type GroupExpiry, type OwnExpiry } from './core/expiry.ts'
import type { CaName, DeviceId, EpochMs, GroupName, SerialNumber } from './core/ids.ts'
import { FIRST_OPERATOR } from './core/operator.ts'
import type { CaRecord, CertificateRecord, Change, Registry, RegistryView } from './core/registry.ts'
import type { ForeignCa } from './foreign.ts'
import type { OpenHome } from './home.ts'
import { OPERATOR_LIMITS } from './operator-limits.ts'
import { EXPIRY_LIMITS, RENEWAL_LIMITS } from './renewal-limits.ts'
import { parseCertificate } from './x509/certificate.ts'
import { crlTimesOf, type CrlTimes } from './x509/crl-times.ts'
import { decodePem } from './x509/pem.ts'

export interface OwnExpirySources {
  readonly home: Pick<OpenHome, 'registry' | 'paths'>
  readonly foreign: readonly ForeignCa[]
}

/** Everything of the organisation's own that ends. A CA that was retired is over, but for its last CRL, which is published on. */
export function ownExpiries({ home: { registry, paths }, foreign }: OwnExpirySources): readonly OwnExpiry[] {
  const cas = registry.cas().filter(({ role, state }) => role !== 'trusted' && state !== 'created')
  const living = cas.filter(({ state }) => state !== 'retired')
  const isHere = ({ name }: Pick<CaRecord, 'name'>): boolean => living.some((ca) => ca.name === name)
  const credentials = [
    ...(['server', 'operator'] as const).map((kind) => ({ kind, name: kind, folder: kind })),
    ...living.filter(({ role }) => role === 'issuing').map(({ name }) => ({ kind: 'ocsp-responder' as const, name: `ocsp-responder ${name}`, folder: folderOfCredential('ocsp-responder', name) })),
  ]
  return [
    ...credentials.flatMap(({ kind, name, folder }) => ofFile(kind, name, path.join(paths.local, folder, 'cert.pem'))),
    ...living.flatMap(({ name, role, der }) => ofDer(role, name, der)),
    ...registry.crossCertificates().filter(({ issuer }) => isHere({ name: issuer })).flatMap(({ issuer, der }) => ofDer('cross', `cross-certificate of ${issuer}`, der)),
    ...namedOperators(registry),
    ...foreign.flatMap(({ name, der }) => ofDer('trusted', name, der)),
    ...cas.flatMap(({ name }) => firstToEnd(name, registry.crls(name).flatMap(({ scope }) => publishedTimes(path.join(paths.pki, crlName(name, scope))) ?? []))),
  ]
}

/** Of each operator who was made, the certificate that lasts longest: the machine does not renew it. Who has none any more is looked for by nobody. */
function namedOperators(registry: Pick<Registry, 'operators' | 'certificatesOfOperator'>): readonly OwnExpiry[] {
  const { items } = registry.operators({ limit: OPERATOR_LIMITS.operatorsMax })
  return items.filter(({ name, revokedAt }) => name !== FIRST_OPERATOR && revokedAt === undefined).flatMap(({ name }) => {
    const [last] = registry.certificatesOfOperator(name).filter(({ state }) => state === 'active').toSorted((a, b) => b.notAfter - a.notAfter)
    return last === undefined ? [] : [{ kind: 'named-operator' as const, name: `operator ${name}`, serial: last.serial, notBefore: last.notBefore, notAfter: last.notAfter }]
  })
}

/** Of all lists of one issuer, its shards too, the one that ends first. */
function firstToEnd(issuer: CaName, lists: readonly CrlTimes[]): readonly OwnExpiry[] {
  const [first] = lists.toSorted((a, b) => a.nextUpdate - b.nextUpdate)
  return first === undefined ? [] : [{ kind: 'crl', name: `crl ${issuer}`, notBefore: first.thisUpdate, notAfter: first.nextUpdate }]
}

/** Of the list that is there: the registry has the number of one that was perhaps never signed. Nothing was published where there is none. */
function publishedTimes(file: string): CrlTimes | undefined {
  if (!existsSync(file)) return undefined
  const head = Buffer.alloc(EXPIRY_LIMITS.crlHeadBytes)
  const fd = openSync(file, 'r')
  try {
    return crlTimesOf(head.subarray(0, readSync(fd, head)))
  } finally {
    closeSync(fd)
  }
}

function ofFile(kind: ExpiryKind, name: string, file: string): readonly OwnExpiry[] {
  const found = existsSync(file) ? decodePem(readFileSync(file, 'utf8'), 'CERTIFICATE') : undefined
  const der = found?.allow === true ? found.value[0] : undefined
  return der === undefined ? [] : ofDer(kind, name, der)
}

function ofDer(kind: ExpiryKind, name: string, der: Uint8Array): readonly OwnExpiry[] {
  const facts = parseCertificate(der)
  return facts.allow ? [{ kind, name, serial: facts.value.serial as SerialNumber, notBefore: facts.value.notBefore, notAfter: facts.value.notAfter }] : []
}

export interface ExpiryWatchPorts {
  readonly registry: Pick<Registry, 'commit' | 'expiryToldAt' | 'expiringCertificates'>
  readonly view: Pick<RegistryView, 'device' | 'certificatesOf'>
  readonly own: () => readonly OwnExpiry[]
  readonly clock: () => EpochMs
  readonly log: (level: 'warn', facts: Readonly<Record<string, unknown>>, message: string) => void
}

export interface ExpiryWatch {
  /**
   * Tells of what is near, once a day for each. `certificates`: of the organisation's own certificates alone, at once;
   * `all`: of its CRLs and of its fleet, too.
   */
  look(scope: 'certificates' | 'all'): Promise<void>
  /** What was near when it last looked. */
  readonly near: readonly ExpirySeen[]
}

const SENTENCE: Readonly<Record<'self' | 'crl' | 'other', string>> = {
  self: 'a certificate expires that should have renewed itself by now',
  crl: 'a CRL ends that should have been published anew by now',
  other: 'a certificate expires within 30 days',
}
const sentenceOf = (kind: ExpiryKind): string => SENTENCE[kind === 'crl' ? 'crl' : kind === 'server' || kind === 'operator' || kind === 'ocsp-responder' ? 'self' : 'other']

export function openExpiryWatch(ports: ExpiryWatchPorts): ExpiryWatch {
  const { registry, clock, log } = ports
  let seen: readonly ExpirySeen[] = []

  function isToldToday(what: string): boolean {
    const at = registry.expiryToldAt(what)
    return at !== undefined && Math.abs(clock() - at) < EXPIRY_LIMITS.tellEveryMs
  }

  /** What was said goes with the record of it; a registry that fails keeps nobody from reading it in the log. */
  async function tell(what: readonly string[], events: readonly AuditEvent[]): Promise<void> {
    const at = clock()
    const changes = what.map((each): Change => ({ kind: 'expiry-told', what: each, at }))
    try {
      if (changes.length > 0) await registry.commit(changes, [], events)
    } catch (cause) {
      log('warn', { error: cause instanceof Error ? cause.message : 'unknown' }, 'that it was told of what expires could not be recorded: it is told again')
    }
  }

  return {
    get near() {
      return seen
    },
    async look(scope) {
      const now = clock()
      const near = ports.own().filter((each) => (scope === 'all' || each.kind !== 'crl') && isNear(each, now))
      const untold = near.filter(({ name }) => !isToldToday(`own/${name}`))
      for (const { kind, name, notAfter } of untold) log('warn', { certificate: name, notAfter: new Date(notAfter).toISOString() }, sentenceOf(kind))
      const groups = scope === 'all' ? (await overdueGroups(ports)).filter(({ group }) => !isToldToday(`devices/${group ?? ''}`)) : []
      const shown = groups.slice(0, EXPIRY_LIMITS.groupsToldMax)
      for (const { group, devices, notAfter } of shown) log('warn', { ...(group === undefined ? {} : { group }), devices, notAfter: new Date(notAfter).toISOString() }, 'certificates of devices expire soon, and should have been renewed by now: sallyport cert expiring names them')
      if (groups.length > shown.length) log('warn', { groups: groups.length - shown.length }, 'there are devices of as many more groups whose certificates expire soon')
      await tell(
        [...untold.map(({ name }) => `own/${name}`), ...shown.map(({ group }) => `devices/${group ?? ''}`)],
        [
          ...untold.map(({ name, notAfter }): AuditEvent => ({ kind: 'expiry-near', at: now, certificate: name, notAfter })),
          ...shown.map(({ group, devices, notAfter }): AuditEvent => ({ kind: 'devices-expiring', at: now, ...(group === undefined ? {} : { group }), count: devices, notAfter })),
        ],
      )
      seen = near.map(({ name, notAfter }) => ({ certificate: name, notAfter }))
    },
  }
}

/** Devices that are overdue, by group, most first; one that is in several is counted in each. In pages, each followed by everybody else's turn. */
async function overdueGroups({ registry, view, clock }: Pick<ExpiryWatchPorts, 'registry' | 'view' | 'clock'>): Promise<readonly GroupExpiry[]> {
  const now = clock()
  const seen = new Set<DeviceId>()
  const groups = new Map<GroupName | undefined, { devices: number; notAfter: EpochMs }>()
  for await (const record of endingCertificates(registry, now, now + EXPIRY_LIMITS.warnMs)) {
    const device = record.device === undefined ? undefined : view.device(record.device)
    if (device === undefined || seen.has(device.id) || device.state === 'retired' || !isOverdue(record, now) || !isLast(record, view.certificatesOf(device.id))) continue
    seen.add(device.id)
    for (const group of device.groups.length === 0 ? [undefined] : device.groups) {
      const counted = groups.get(group)
      // They come in the order of their ends: the first one is the soonest.
      if (counted === undefined) groups.set(group, { devices: 1, notAfter: record.notAfter })
      else counted.devices += 1
    }
  }
  return [...groups].map(([group, counted]) => ({ group, ...counted })).toSorted((a, b) => b.devices - a.devices)
}

/** Certificates of devices, in force, in the order of their ends. */
export async function* endingCertificates(registry: Pick<Registry, 'expiringCertificates'>, from: EpochMs, until: EpochMs, group?: GroupName): AsyncGenerator<CertificateRecord> {
  let after: string | undefined
  do {
    const page = registry.expiringCertificates({ from, until, group, after, limit: RENEWAL_LIMITS.lookedAtOnceMax })
    yield* page.items.filter(({ state, profile }) => state === 'active' && profile === 'device')
    after = page.next
    await setImmediate()
  } while (after !== undefined)
}

/** Has the device no other certificate in force that lasts longer? */
export function isLast(record: CertificateRecord, ofDevice: readonly CertificateRecord[]): boolean {
  return !ofDevice.some((other) => other.profile === record.profile && other.state === 'active' && other.notAfter > record.notAfter)
}

// Publishes CRLs: soon after what they say has changed, and at half of their life. A list is read from the registry and
// written by pages, so that a million entries stall nobody; its number is committed before it is signed, its file replaced
// as a whole. What is listed, and until when, core/standing.ts says.

import { existsSync } from 'node:fs'
import path from 'node:path'
import { crlName, crlUrl, scopesOf, shardOf, shardsOf, WHOLE, type CrlScope } from '../core/crl-scope.ts'
import { SallyportError } from '../core/errors.ts'
import type { CaName, EpochMs } from '../core/ids.ts'
import type { Change, CrlRecord, Registry, RegistryView, RevokedEntry } from '../core/registry.ts'
import { isStillListed, outStanding } from '../core/standing.ts'
import { PKI_LIMITS } from '../pki-limits.ts'
import type { PublishedReason } from '../vocabulary.ts'
import { certificateParts, parseCertificate } from '../x509/certificate.ts'
import { crlAround, encodeTbsCrl, openCrlEntries, type CrlEntries } from '../x509/crl.ts'
import { subjectKeyId } from '../x509/template.ts'
import { sweepFolder, writeWhole } from './whole-file.ts'

/** Signs what a CA publishes. */
export interface ListSigner {
  /** AlgorithmIdentifier, DER. */
  readonly signatureIdentifier: Uint8Array
  sign(tbs: Uint8Array): Promise<Uint8Array>
}

/** A CA whose CRLs are published here. */
export interface CrlIssuer {
  readonly name: CaName
  readonly der: Uint8Array
  readonly validityMs: number
  /** Made anew at every start: who was revoked, suspended or resumed meanwhile is not asked. */
  readonly isAnewAtStart: boolean
  /** Into how many shards its list is cut besides; 1 for none. */
  readonly shards: number
  /** Undefined while its key is not at hand: what is published stays. */
  readonly signer: () => Promise<ListSigner | undefined>
}

export interface PublisherPorts {
  readonly registry: Pick<Registry, 'commit' | 'crls' | 'revokedAfter' | 'devicesOut'>
  readonly view: Pick<RegistryView, 'certificatesOf' | 'onChange'>
  /** Those of now: CAs come, and their lists stay when they are retired. */
  readonly issuers: () => readonly CrlIssuer[]
  /** The folder of the files. */
  readonly folder: string
  /** The base of our URLs; shards name theirs. */
  readonly url: string | undefined
  /** After a restore: lists that are not on record any more have had numbers, and clients that saw them take no lower one. */
  readonly skip?: { readonly at: EpochMs; readonly numbers: number } | undefined
  readonly clock: () => EpochMs
  readonly log: (level: 'info' | 'warn' | 'error', facts: Readonly<Record<string, unknown>>, message: string) => void
}

export interface Publisher extends AsyncDisposable {
  /** The file of a CRL by its name in the URL; undefined when there is no such list. It may not be written yet. */
  file(name: string): string | undefined
  /** Publishes what is due. Called by itself; resolves when the files are there, and never rejects: what fails is logged and tried again. */
  publish(): Promise<void>
}

/** Opens it. The first lists are made by the first `publish`. */
export async function openPublisher(ports: PublisherPorts): Promise<Publisher> {
  await sweepFolder(ports.folder)
  /** Lists that say what is no longer so. */
  const changed = new Set<CaName>(ports.issuers().filter((issuer) => issuer.isAnewAtStart).map(({ name }) => name))
  let running: Promise<void> = Promise.resolve()
  let closed = false
  let soon: NodeJS.Timeout | undefined

  const stopFollowing = ports.view.onChange((change) => {
    const touched = ports.issuers().filter(({ name }) => touches(change, name))
    for (const { name } of touched) changed.add(name)
    if (touched.length > 0) later(PKI_LIMITS.crlDelayMs)
  })
  const tick = setInterval(() => void publish(), PKI_LIMITS.crlCheckMs)
  tick.unref()

  function later(ms: number): void {
    if (closed || soon !== undefined) return
    soon = setTimeout(() => {
      soon = undefined
      void publish()
    }, ms)
    soon.unref()
  }

  /** One after the other: whoever asks while lists are being made gets those that are made after it asked. */
  function publish(): Promise<void> {
    running = running.then(publishDue)
    return running
  }

  async function publishDue(): Promise<void> {
    for (const issuer of ports.issuers()) {
      if (closed) return
      const wasChanged = changed.delete(issuer.name)
      if (!wasChanged && !isDue(issuer)) continue
      try {
        await publishLists(ports, issuer, () => closed)
      } catch (error) {
        // Its number is taken, so that it is not due any longer by what the registry says.
        changed.add(issuer.name)
        if (!closed) ports.log('error', { issuer: issuer.name, error: error instanceof Error ? error.message : 'unknown' }, 'a CRL could not be published')
        later(PKI_LIMITS.crlRetryMs)
      }
    }
  }

  /** Half of its life is over, or it comes from a time that the clock has not reached. */
  function isDue(issuer: CrlIssuer): boolean {
    const now = ports.clock()
    const lists = new Map(ports.registry.crls(issuer.name).map((crl) => [crl.scope, crl]))
    return [WHOLE, ...cutsOf(issuer)].some((scope) => {
      const crl = lists.get(scope)
      return crl === undefined || !existsSync(path.join(ports.folder, crlName(issuer.name, scope))) || now >= crl.thisUpdate + (crl.nextUpdate - crl.thisUpdate) / 2 || now < crl.thisUpdate - CLOCK_SLACK_MS
    })
  }

  return {
    file(name) {
      const known = ports.issuers().some((issuer) => allScopes(ports, issuer).some((scope) => crlName(issuer.name, scope) === name))
      return known ? path.join(ports.folder, name) : undefined
    },
    publish,
    async [Symbol.asyncDispose]() {
      closed = true
      stopFollowing()
      clearInterval(tick)
      clearTimeout(soon)
      await running
    },
  }
}

/** Two clocks of one machine may differ by this; thisUpdate is in whole seconds. */
const CLOCK_SLACK_MS = 2_000
const SECOND_MS = 1_000

/** Which changes a CRL of this issuer shows. Devices have certificates of any issuer. */
function touches(change: Change, issuer: CaName): boolean {
  return (change.kind === 'ca-state' && change.name === issuer) || (change.kind === 'certificate-revoked' && change.issuer === issuer) || change.kind === 'device-state'
}

const cutsOf = (issuer: CrlIssuer): readonly CrlScope[] => (issuer.shards > 1 ? scopesOf(issuer.shards) : [])

/** The whole list, the shards of now, and those of before, to which certificates may still point. */
function allScopes({ registry }: PublisherPorts, issuer: CrlIssuer): readonly CrlScope[] {
  return [...new Set([WHOLE, ...cutsOf(issuer), ...registry.crls(issuer.name).map(({ scope }) => scope)])]
}

interface ListUnderway {
  readonly scope: CrlScope
  readonly entries: CrlEntries
  readonly last: CrlRecord | undefined
}

async function publishLists(ports: PublisherPorts, issuer: CrlIssuer, isClosed: () => boolean): Promise<void> {
  const signer = await issuer.signer()
  if (signer === undefined) return
  const thisUpdate = Math.floor(ports.clock() / SECOND_MS) * SECOND_MS
  const last = new Map(ports.registry.crls(issuer.name).map((crl) => [crl.scope, crl]))
  const lists = allScopes(ports, issuer).map((scope): ListUnderway => ({ scope, entries: openCrlEntries(), last: last.get(scope) }))
  await collect(ports, issuer, lists)
  for (const list of lists) {
    if (isClosed()) return
    await writeList(ports, issuer, signer, list, thisUpdate)
  }
}

/** Reads what is revoked, page by page, each entry into the whole list and into its shard of every cut. */
async function collect(ports: PublisherPorts, issuer: CrlIssuer, lists: readonly ListUnderway[]): Promise<void> {
  const byScope = new Map(lists.map((list) => [list.scope, list]))
  const cuts = [...new Set(lists.flatMap(({ scope }) => shardsOf(scope) ?? []))]
  const before = ({ last }: ListUnderway): EpochMs | undefined => (last === undefined ? undefined : last.thisUpdate - issuer.validityMs)
  const add = ({ serial, at, reason, notAfter }: Omit<RevokedEntry, 'reason'> & { readonly reason: PublishedReason }): void => {
    for (const scope of [WHOLE, ...cuts.map((shards) => shardOf(serial, shards))]) {
      const list = byScope.get(scope)
      if (list !== undefined && isStillListed({ at, notAfter }, before(list))) list.entries.add(serial, at, reason)
    }
  }
  for (let after = ''; ; ) {
    const page = ports.registry.revokedAfter(issuer.name, after)
    for (const entry of page) add(entry)
    const end = page.at(-1)
    if (end === undefined) break
    after = end.serial
    await turn()
  }
  for (let after = ''; ; ) {
    const page = ports.registry.devicesOut(after)
    for (const out of page) {
      const { at, reason } = outStanding(out)
      for (const { serial, notAfter, issuer: by, sha256, state } of ports.view.certificatesOf(out.device)) {
        if (by === issuer.name && sha256 !== undefined && state !== 'revoked') add({ serial, at, reason, notAfter })
      }
    }
    const end = page.at(-1)
    if (end === undefined) break
    after = end.device
    await turn()
  }
}

/** Everybody else's turn of the event loop. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

async function writeList(ports: PublisherPorts, issuer: CrlIssuer, signer: ListSigner, { scope, entries, last }: ListUnderway, thisUpdate: EpochMs): Promise<void> {
  const crl: CrlRecord = { issuer: issuer.name, scope, number: numberAfter(last, ports.skip), thisUpdate, nextUpdate: thisUpdate + issuer.validityMs }
  const committed = await ports.registry.commit([{ kind: 'crl-numbered', crl }], [], [{ kind: 'crl-numbered', at: ports.clock(), issuer: issuer.name, number: crl.number, ...(scope === WHOLE ? {} : { scope }) }])
  if (!committed.allow) throw new SallyportError('internal', `the CRL number ${crl.number} was not given (${committed.reason})`)
  const tbs = encodeTbsCrl({
    ...namesOf(issuer), number: crl.number, thisUpdate, nextUpdate: crl.nextUpdate,
    signatureIdentifier: signer.signatureIdentifier,
    ...(scope === WHOLE || ports.url === undefined ? {} : { distributionPoint: crlUrl(ports.url, issuer.name, scope) }),
  }, entries)
  await turn()
  const { before, after } = crlAround(tbs, signer.signatureIdentifier, await signer.sign(tbs))
  await writeWhole(path.join(ports.folder, crlName(issuer.name, scope)), [before, tbs, after])
  ports.log('info', { issuer: issuer.name, scope, number: crl.number, entries: entries.count }, 'published a CRL')
}

/** The number of the next list. RFC 5280 §5.2.3. */
function numberAfter(last: CrlRecord | undefined, skip: PublisherPorts['skip']): number {
  const isFirstSince = skip !== undefined && (last === undefined || last.thisUpdate < Math.floor(skip.at / SECOND_MS) * SECOND_MS)
  return (last?.number ?? 0) + 1 + (isFirstSince ? skip.numbers : 0)
}

function namesOf(issuer: CrlIssuer): { readonly issuerDer: Uint8Array; readonly authorityKeyId: Uint8Array } {
  const parts = certificateParts(issuer.der)
  const facts = parseCertificate(issuer.der)
  if (!parts.allow || !facts.allow) throw new SallyportError('certificate-unusable', `The certificate of ${issuer.name} cannot be read.`)
  const { subjectKeyId: named } = facts.value
  return { issuerDer: parts.value.subject.raw, authorityKeyId: named === undefined ? subjectKeyId(parts.value.spki.raw) : Buffer.from(named, 'hex') }
}

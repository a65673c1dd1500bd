// Makes the CRLs of one CA: reads what is revoked by pages into as many lists at a time as the memory set aside for them holds, numbers
// them, has them signed, and replaces their files. When that is due the publisher says.

import path from 'node:path'
import { crlName, crlUrl, scopesOf, shardOf, shardsOf, WHOLE, type CrlScope } from '../core/crl-scope.ts'
import { SallyportError } from '../core/errors.ts'
import type { CaName, EpochMs } from '../core/ids.ts'
import type { CertificateOut, CrlRecord, RevokedEntry } from '../core/registry.ts'
import { isStillListed, outStanding } from '../core/standing.ts'
import { PKI_LIMITS } from '../pki-limits.ts'
import type { PublishedReason } from '../vocabulary.ts'
import { certificateParts, parseCertificate } from '../x509/certificate.ts'
import { crlAround, encodeTbsCrl, openCrlEntries, type CrlEntries } from '../x509/crl.ts'
import { subjectKeyId } from '../x509/template.ts'
import type { CrlIssuer, ListSigner, PublisherPorts } from './publisher.ts'
import { writeWhole } from './whole-file.ts'

const SECOND_MS = 1_000

export const cutsOf = (issuer: CrlIssuer): readonly CrlScope[] => (issuer.shards > 1 ? scopesOf(issuer.shards) : [])

/** The whole list, the shards of now, and those of before, to which certificates may still point. */
export function allScopes({ registry }: Pick<PublisherPorts, 'registry'>, issuer: CrlIssuer): readonly CrlScope[] {
  return [...new Set([WHOLE, ...cutsOf(issuer), ...registry.crls(issuer.name).map(({ scope }) => scope)])]
}

/** How large the lists of a CA were, and until when one that is larger than what is signed is not tried again. */
export interface CrlSizes {
  readonly wholeBytes: Map<CaName, number>
  readonly tooLargeUntil: Map<CaName, EpochMs>
}

interface ListUnderway {
  readonly scope: CrlScope
  readonly entries: CrlEntries
  readonly last: CrlRecord | undefined
}

/** Publishes all lists of this CA. Of ten million entries the whole list is not made: shards are. Throws what the registry and the signer throw. */
export async function publishLists(ports: PublisherPorts, issuer: CrlIssuer, sizes: CrlSizes, isClosed: () => boolean): Promise<void> {
  const signer = await issuer.signer()
  if (signer === undefined) return
  const now = ports.clock()
  const thisUpdate = Math.floor(now / SECOND_MS) * SECOND_MS
  const last = new Map(ports.registry.crls(issuer.name).map((crl) => [crl.scope, crl]))
  const isLeftOut = (sizes.tooLargeUntil.get(issuer.name) ?? 0) > now
  const bytesMax = ports.bytesMax ?? PKI_LIMITS.crlBytesMax
  for (const scopes of groupsOf(allScopes(ports, issuer).filter((scope) => scope !== WHOLE || !isLeftOut), issuer, sizes, bytesMax)) {
    const lists = scopes.map((scope): ListUnderway => ({ scope, entries: openCrlEntries(bytesMax), last: last.get(scope) }))
    await collect(ports, issuer, lists, allScopes(ports, issuer).length === 1)
    for (const list of lists) {
      if (isClosed()) return
      if (list.scope === WHOLE) sizes.wholeBytes.set(issuer.name, list.entries.bytes)
      if (!list.entries.isTooLarge) await writeList(ports, issuer, signer, list, thisUpdate)
      else {
        if (list.scope === WHOLE) sizes.tooLargeUntil.set(issuer.name, now + issuer.validityMs / 2)
        ports.log('error', { issuer: issuer.name, scope: list.scope, entries: list.entries.count }, 'a CRL is larger than what is signed, and is not published: set pki.crlShards in sallyport.yaml')
      }
    }
  }
}

/**
 * The lists that are made in one reading of the registry. Together they take no more memory than is set aside; how large they will be
 * is known from the whole list before, and where there was none, that one is made first, alone.
 */
function* groupsOf(scopes: readonly CrlScope[], { name }: CrlIssuer, { wholeBytes }: CrlSizes, bytesMax: number): Generator<readonly CrlScope[]> {
  const rest = [...scopes]
  if (!wholeBytes.has(name) && rest[0] === WHOLE) yield rest.splice(0, 1)
  const bytesOf = (scope: CrlScope): number => Math.min((wholeBytes.get(name) ?? 0) / (shardsOf(scope) ?? 1), bytesMax)
  while (rest.length > 0) {
    const group: CrlScope[] = []
    for (let bytes = 0, next = rest[0]; next !== undefined && (group.length === 0 || bytes + bytesOf(next) <= bytesMax); next = rest[0]) {
      bytes += bytesOf(next)
      group.push(next)
      rest.shift()
    }
    yield group
  }
}

/** Reads what is revoked, page by page, each entry into the whole list and into its shard of every cut. */
async function collect(ports: PublisherPorts, issuer: CrlIssuer, lists: readonly ListUnderway[], isAlone: boolean): Promise<void> {
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
    // How large it would be matters to its shards alone.
    if (isAlone && lists.every(({ entries }) => entries.isTooLarge)) return
    const page = ports.registry.revokedAfter(issuer.name, after)
    for (const entry of page) add(entry)
    const end = page.at(-1)
    if (end === undefined) break
    after = end.serial
    await turn()
  }
  for (let after: CertificateOut | undefined; ; ) {
    const page = ports.registry.certificatesOut(issuer.name, after)
    for (const out of page) add({ serial: out.serial, notAfter: out.notAfter, ...outStanding(out) })
    after = page.at(-1)
    if (after === undefined) break
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

// Publishes CRLs: soon after what they say has changed, and at half of their life; where they take long, in a tenth of the time at
// most. How they are made crl-lists.ts knows; what is listed, and until when, core/standing.ts says.

import { existsSync } from 'node:fs'
import path from 'node:path'
import { crlName, WHOLE } from '../core/crl-scope.ts'
import type { CaName, EpochMs } from '../core/ids.ts'
import type { Change, Registry, RegistryView } from '../core/registry.ts'
import { PKI_LIMITS } from '../pki-limits.ts'
import { allScopes, cutsOf, publishLists, type CrlSizes } from './crl-lists.ts'
import { sweepFolder } from './whole-file.ts'

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
  readonly registry: Pick<Registry, 'commit' | 'crls' | 'revokedAfter' | 'certificatesOut'>
  readonly view: Pick<RegistryView, 'onChange'>
  /** Those of now: CAs come, and their lists stay when they are retired. */
  readonly issuers: () => readonly CrlIssuer[]
  /** The folder of the files. */
  readonly folder: string
  /** The base of our URLs; shards name theirs. */
  readonly url: string | undefined
  /** After a restore: lists that are not on record any more have had numbers, and clients that saw them take no lower one. */
  readonly skip?: { readonly at: EpochMs; readonly numbers: number } | undefined
  /** Lists that are made at a time take no more bytes, and none that is larger is made. PKI_LIMITS.crlBytesMax where nothing is said. */
  readonly bytesMax?: number | undefined
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
  const sizes: CrlSizes = { wholeBytes: new Map(), tooLargeUntil: new Map() }
  /** On the clock of `performance`: lists that took long are not made anew before that. */
  let restUntil = 0

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
    }, Math.max(ms, restUntil - performance.now()))
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
      const since = performance.now()
      try {
        await publishLists(ports, issuer, sizes, () => closed)
      } catch (error) {
        // Its number is taken, so that it is not due any longer by what the registry says.
        changed.add(issuer.name)
        if (!closed) ports.log('error', { issuer: issuer.name, error: error instanceof Error ? error.message : 'unknown' }, 'a CRL could not be published')
        later(PKI_LIMITS.crlRetryMs)
      }
      restUntil = Math.max(restUntil, performance.now() + (performance.now() - since) * PKI_LIMITS.crlRestTimes)
    }
  }

  /** Half of its life is over, or it comes from a time that the clock has not reached. */
  function isDue(issuer: CrlIssuer): boolean {
    const now = ports.clock()
    const lists = new Map(ports.registry.crls(issuer.name).map((crl) => [crl.scope, crl]))
    const isLeftOut = (sizes.tooLargeUntil.get(issuer.name) ?? 0) > now
    return [...(isLeftOut ? [] : [WHOLE]), ...cutsOf(issuer)].some((scope) => {
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

/** Which changes a CRL of this issuer shows. Devices have certificates of any issuer. */
function touches(change: Change, issuer: CaName): boolean {
  return (change.kind === 'ca-state' && change.name === issuer) || (change.kind === 'certificate-revoked' && change.issuer === issuer) || change.kind === 'device-state'
}


// The public door of a running server: the CRLs of our CAs, the OCSP responder with a certificate of its own that is kept
// current, and the port where all of it is fetched. It composes ca/ and pki/.

import { createPrivateKey } from 'node:crypto'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { ensureCredential, folderOfCredential } from './ca/credentials.ts'
import { openListSigner, type GenesisPorts, type Organisation } from './ca/genesis.ts'
import { readSecretFile } from './ca/key-file.ts'
import { openSigner, type Signer } from './ca/signer.ts'
import type { Config } from './config.ts'
import { SallyportError } from './core/errors.ts'
import type { CaName } from './core/ids.ts'
import type { CaRecord } from './core/registry.ts'
import type { OpenHome } from './home.ts'
import { LIFE } from './limits.ts'
import { PKI_LIMITS } from './pki-limits.ts'
import { openPublisher, type CrlIssuer, type PublisherPorts } from './pki/publisher.ts'
import { openResponder, type Responder, type ResponderCredential } from './pki/responder.ts'
import { openPkiServer, type PkiPorts, type PkiServer } from './pki/server.ts'
import { restoredMark } from './restore.ts'
import { parseCertificate } from './x509/certificate.ts'
import { decodePem } from './x509/pem.ts'

export interface PublicPki extends AsyncDisposable {
  readonly address: PkiServer['address']
  /** Renews the certificate of the responder when its time has come. */
  renew(): Promise<void>
  /** Resolves when the lists that are due are published. */
  publish(): Promise<void>
}

export interface PublicPkiPorts extends Pick<PublisherPorts, 'clock'> {
  readonly log: PublisherPorts['log'] & PkiPorts['log']
  readonly home: Pick<OpenHome, 'paths' | 'registry' | 'view' | 'authorities'>
  readonly config: Pick<Config, 'listen' | 'pki'>
  readonly organisation: Organisation
  readonly genesis: GenesisPorts
}

/** One CA of ours, what answers for it, and the certificate that answers are signed with. */
interface Answering {
  readonly ca: CaRecord
  readonly responder: Responder
  credential: ResponderCredential & { readonly serial: string }
}

/** Opens the door. Failures: 'port-in-use', 'key-permissions', 'refused'. */
export async function openPublicPki(ports: PublicPkiPorts): Promise<PublicPki> {
  const { home, config, clock, log } = ports
  const { registry, view } = home
  await using opening = new AsyncDisposableStack()
  const answering = new Map<CaName, Answering>()
  opening.defer(() => {
    for (const { responder } of answering.values()) responder[Symbol.dispose]()
  })

  /** Every CA that issues has a responder with a certificate of its own: the answer of another one would be worth nothing. RFC 6960 §2.6. */
  async function renewOnce(): Promise<void> {
    for (const ca of registry.cas()) {
      if (ca.role !== 'issuing' || !ISSUES.includes(ca.state)) continue
      const made = await ensureCredential('ocsp-responder', ports.organisation, ports.genesis, (issuer) => home.authorities.of(issuer.name), ca)
      const known = answering.get(ca.name)
      if (known === undefined) {
        const entry: Answering = { ca, credential: readCredential(home.paths.local, ca.name), responder: openResponder({ issuer: ca, credential: () => entry.credential, registry, view, clock, log }) }
        answering.set(ca.name, entry)
      } else if (made === 'issued') known.credential = readCredential(home.paths.local, ca.name)
    }
  }

  /** One after the other: a switch changes two CAs, and two who look at once would each issue what is missing. */
  let renewing: Promise<void> = Promise.resolve()
  function renew(): Promise<void> {
    renewing = renewing.catch(() => {}).then(renewOnce)
    return renewing
  }

  await renew()
  const mark = restoredMark(home.paths.home)
  const skip = mark === undefined ? undefined : { at: mark.at, numbers: mark.skipNumbers }
  const publisher = opening.use(await openPublisher({ registry, view, skip, issuers: openIssuers(ports), folder: home.paths.pki, url: config.pki.url, clock, log }))
  // A CA that begins to issue, or ends, is followed; who fails now is tried again with the next look.
  opening.defer(view.onChange((change) => {
    // One whose own certificate is revoked signs with another one.
    if (change.kind === 'ca-state' || (change.kind === 'certificate-revoked' && answering.get(change.issuer)?.credential.serial === change.serial)) setImmediate(() => void renew().catch((error: unknown) => log('error', { error: error instanceof Error ? error.message : 'unknown' }, 'no OCSP responder could be had for a CA')))
  }))
  const answer: Responder['answer'] = (request) => {
    const all = [...answering.values()]
    const [first] = all
    const asked = all.length > 1 ? all.find(({ responder }) => responder.isAsked(request)) : undefined
    if (first === undefined) throw new SallyportError('internal', 'no CA issues')
    return (asked ?? first).responder.answer(request)
  }
  const server = opening.use(await openPkiServer({ listen: config.listen.pki, cas: () => registry.cas().filter(({ role, state }) => role !== 'trusted' && state !== 'created'), publisher, responder: { answer }, clock, log }))
  const stack = opening.move()
  return { address: server.address, publish: () => publisher.publish(), renew, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}

/** States in which a CA issues, be it for its own responder alone. */
const ISSUES: readonly CaRecord['state'][] = ['current', 'replaced']

/** The CAs whose lists are published. The key of one that issues is opened once; that of a root for each list, which takes its time, and not kept. */
function openIssuers({ home, config, genesis }: PublicPkiPorts): () => readonly CrlIssuer[] {
  const signers = new Map<CaName, Promise<Signer | undefined>>()
  const keep = (ca: CaRecord): Promise<Signer | undefined> => {
    const known = signers.get(ca.name) ?? openListSigner(genesis, ca)
    signers.set(ca.name, known)
    return known
  }
  return () => home.registry.cas().filter(({ role, state }) => role !== 'trusted' && state !== 'created').map((ca): CrlIssuer =>
    ca.role === 'issuing'
      ? { name: ca.name, der: ca.der, validityMs: (config.pki.crlHours / HOURS_A_DAY) * LIFE.day, shards: config.pki.crlShards, isAnewAtStart: true, signer: () => keep(ca) }
      : { name: ca.name, der: ca.der, validityMs: PKI_LIMITS.rootCrlMs, shards: 1, isAnewAtStart: false, signer: () => openListSigner(genesis, ca) })
}

const HOURS_A_DAY = 24

function readCredential(local: string, issuer: CaName): Answering['credential'] {
  const folder = path.join(local, folderOfCredential('ocsp-responder', issuer))
  const signer = openSigner(createPrivateKey(readSecretFile(path.join(folder, 'key.pem'))))
  const found = decodePem(readFileSync(path.join(folder, 'cert.pem'), 'utf8'), 'CERTIFICATE')
  const certificate = found.allow ? found.value[0] : undefined
  const facts = certificate === undefined ? undefined : parseCertificate(certificate)
  if (certificate === undefined || facts?.allow !== true) throw new SallyportError('certificate-unusable', `The certificate in ${folder} cannot be read.`, { fix: 'Remove this folder: the next start makes a new one.' })
  return { ...signer, certificate, notAfter: facts.value.notAfter, serial: facts.value.serial }
}

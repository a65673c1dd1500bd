// The public door of a running server: the CRLs of our CAs, the OCSP responder with a certificate of its own that is kept
// current, and the port where all of it is fetched. It composes ca/ and pki/.

import { createPrivateKey } from 'node:crypto'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { ensureCredential } from './ca/credentials.ts'
import type { GenesisPorts, Organisation } from './ca/genesis.ts'
import { readSecretFile } from './ca/key-file.ts'
import { openSigner } from './ca/signer.ts'
import type { Config } from './config.ts'
import { SallyportError } from './core/errors.ts'
import type { OpenHome } from './home.ts'
import { LIFE } from './limits.ts'
import { PKI_LIMITS } from './pki-limits.ts'
import { openPublisher, type CrlIssuer, type PublisherPorts } from './pki/publisher.ts'
import { openResponder, type ResponderCredential } from './pki/responder.ts'
import { openPkiServer, type PkiServer } from './pki/server.ts'
import { parseCertificate } from './x509/certificate.ts'
import { decodePem } from './x509/pem.ts'

export interface PublicPki extends AsyncDisposable {
  readonly address: PkiServer['address']
  /** Renews the certificate of the responder when its time has come. */
  renew(): Promise<void>
  /** Resolves when the lists that are due are published. */
  publish(): Promise<void>
}

export interface PublicPkiPorts extends Pick<PublisherPorts, 'clock' | 'log'> {
  readonly home: Pick<OpenHome, 'paths' | 'registry' | 'view'>
  readonly config: Pick<Config, 'listen' | 'pki'>
  readonly organisation: Organisation
  readonly genesis: GenesisPorts
}

/** Opens the door. Failures: 'port-in-use', 'key-permissions', 'refused'. */
export async function openPublicPki(ports: PublicPkiPorts): Promise<PublicPki> {
  const { home, config, organisation, clock, log } = ports
  await using opening = new AsyncDisposableStack()
  await ensureCredential('ocsp-responder', organisation, ports.genesis)
  let credential = readCredential(home.paths.local)
  const publisher = opening.use(await openPublisher({ registry: home.registry, view: home.view, issuers: issuersOf(organisation, config), folder: home.paths.pki, url: config.pki.url, clock, log }))
  const responder = opening.use(openResponder({ issuer: organisation.issuing, credential: () => credential, registry: home.registry, view: home.view, clock, log }))
  const server = opening.use(await openPkiServer({ listen: config.listen.pki, cas: () => home.registry.cas().filter(({ role }) => role !== 'trusted'), publisher, responder, clock, log }))
  const stack = opening.move()
  return {
    address: server.address,
    publish: () => publisher.publish(),
    async renew() {
      if ((await ensureCredential('ocsp-responder', organisation, ports.genesis)) === 'issued') credential = readCredential(home.paths.local)
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

function issuersOf({ root, issuing, signer, rootSigner }: Organisation, { pki }: Pick<Config, 'pki'>): readonly CrlIssuer[] {
  return [
    { name: issuing.name, der: issuing.der, validityMs: (pki.crlHours / HOURS_A_DAY) * LIFE.day, shards: pki.crlShards, isAnewAtStart: true, signer: () => Promise.resolve(signer) },
    // Its key is opened for the signature, which takes its time: not at every start.
    { name: root.name, der: root.der, validityMs: PKI_LIMITS.rootCrlMs, shards: 1, isAnewAtStart: false, signer: rootSigner },
  ]
}

const HOURS_A_DAY = 24

function readCredential(local: string): ResponderCredential {
  const folder = path.join(local, 'ocsp-responder')
  const signer = openSigner(createPrivateKey(readSecretFile(path.join(folder, 'key.pem'))))
  const found = decodePem(readFileSync(path.join(folder, 'cert.pem'), 'utf8'), 'CERTIFICATE')
  const certificate = found.allow ? found.value[0] : undefined
  const facts = certificate === undefined ? undefined : parseCertificate(certificate)
  if (certificate === undefined || facts?.allow !== true) throw new SallyportError('certificate-unusable', `The certificate in ${folder} cannot be read.`, { fix: 'Remove this folder: the next start makes a new one.' })
  return { ...signer, certificate, notAfter: facts.value.notAfter }
}

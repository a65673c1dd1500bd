// What the doors of a running server show and trust: the server's key and certificate from the home, and the CAs of ours and of others.

import { readFileSync } from 'node:fs'
import path from 'node:path'
import type { TlsMaterial } from './broker/listener.ts'
import { readSecretFile } from './ca/key-file.ts'
import type { Config } from './config.ts'
import type { ForeignCa } from './foreign.ts'
import type { OpenHome } from './home.ts'
import { openTrust, type Trust, type TrustedCa } from './x509/chain.ts'
import { encodePem } from './x509/pem.ts'

/**
 * Our own, those that are retired marked as such. One that is only made is known to nobody yet. A trusted CA that is recorded was
 * trusted once; whether it is now is said by the configuration alone.
 */
export function ownCas(home: Pick<OpenHome, 'registry'>): readonly TrustedCa[] {
  return home.registry.cas().filter((ca) => ca.role !== 'trusted' && ca.state !== 'created').map((ca) => ({ ...ca, retired: ca.state === 'retired' }))
}

/** Whose certificates are known at the port of devices, and whose at the enrollment door. */
export interface TrustOfDoors {
  readonly devices: Trust
  readonly enrollment: Trust
}

/** Throws TypeError when a certificate of a CA does not parse. */
export function trustOfDoors(home: Pick<OpenHome, 'registry'>, foreign: readonly ForeignCa[]): TrustOfDoors {
  const own = ownCas(home)
  return { devices: openTrust([...own, ...foreign.filter(connects)]), enrollment: openTrust([...own, ...foreign]) }
}

const connects = ({ enrollsOnly }: ForeignCa): boolean => !enrollsOnly

/** What the enrollment door shows: it names the CAs of manufacturers to clients, too, so that they choose a certificate of theirs. */
export interface DoorMaterial extends TlsMaterial {
  readonly enrollAnchors: readonly string[]
}

export function tlsMaterial(home: Pick<OpenHome, 'registry' | 'paths'>, config: Pick<Config, 'resumption'>, foreign: readonly ForeignCa[]): DoorMaterial {
  const anchors = (others: readonly ForeignCa[]): readonly string[] =>
    [...ownCas(home), ...others].filter((ca: TrustedCa) => ca.role !== 'issuing' && ca.retired !== true).map((ca) => encodePem('CERTIFICATE', ca.der))
  return {
    key: readSecretFile(path.join(home.paths.server, 'key.pem')).toString('utf8'),
    cert: readFileSync(path.join(home.paths.server, 'cert.pem'), 'utf8'),
    anchors: anchors(foreign.filter(connects)),
    enrollAnchors: anchors(foreign),
    resumption: config.resumption,
  }
}

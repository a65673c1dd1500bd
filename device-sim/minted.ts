// Devices of a target that the simulator has no registry of: the forge makes their certificates with the CA's own key, as the
// operator's CA would. A role that the target's access control list knows by its name gets that name.

import { forgeLeaf, type ForgedAuthority } from './forge/authority.ts'
import { pem, readCertificate } from './forge/certificate.ts'
import { keyPem } from './forge/keys.ts'
import type { Group, Identities, Identity } from './identities.ts'
import { NotOffered } from './attacks/powers.ts'

/** `chain`: what is presented behind the leaf, DER. `roles`: the names that are fixed. Ids of all others begin with `run`. */
export function mintedIdentities(issuer: ForgedAuthority, chain: readonly Buffer[], roles: Readonly<Partial<Record<Group, string>>>, run: string): Identities {
  let count = 0
  const mint = (id: string): Identity => {
    const { certificate, key } = forgeLeaf(issuer, id)
    const all = [certificate, ...chain]
    return { id, serial: readCertificate(certificate).serial.toString('hex'), cert: all.map((der) => pem('CERTIFICATE', der)).join(''), key: keyPem(key), keyObject: key, chain: all }
  }
  const next = (label: string): string => `${run}-${label}-${(count += 1)}`
  return {
    fresh: (label, group = 'sensors') => Promise.resolve(mint(roles[group] ?? next(label))),
    named: (id) => Promise.resolve(mint(id)),
    again: (id) => Promise.resolve(mint(id)),
    batch: (label, number) => Promise.resolve(Array.from({ length: number }, () => mint(next(label)))),
    all(ids, _group, each, signal) {
      for (const id of ids) if (signal?.aborted !== true) each(mint(id))
      return Promise.resolve()
    },
    registered: () => Promise.reject(new NotOffered('registry')),
  }
}

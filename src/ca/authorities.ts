// The authorities of one organisation: of its CAs the current one issues, whichever that is at the moment; the others are opened by
// name. A key is opened when it is first needed, and once.

import { SallyportError } from '../core/errors.ts'
import type { CaName } from '../core/ids.ts'
import type { CaRecord, Registry, RegistryView } from '../core/registry.ts'
import { currentCa } from './chains.ts'
import type { Authority } from './issue.ts'

export interface AuthoritiesPorts {
  readonly registry: Pick<Registry, 'cas'>
  readonly view: Pick<RegistryView, 'onChange'>
  /** Opens the authority of this CA: to stretch the passphrase takes a good part of a second. */
  readonly open: (issuer: CaRecord) => Promise<Authority>
}

export interface Authorities {
  /** The one that issues now. It follows a switch by itself. */
  readonly current: Authority
  /** That of this CA. Failures: those of opening its key, 'internal' for a CA that is not there. */
  of(name: CaName): Promise<Authority>
  /** One that is open already. */
  adopt(authority: Authority): void
}

export function openAuthorities({ registry, view, open }: AuthoritiesPorts): Authorities {
  const opened = new Map<CaName, Promise<Authority>>()
  let issuing: CaRecord | undefined
  view.onChange((change) => {
    if (change.kind === 'ca-state' || change.kind === 'ca-added') issuing = undefined
  })

  function current(): CaRecord {
    issuing ??= currentCa(registry.cas(), 'issuing')
    if (issuing === undefined) throw new SallyportError('home-empty', 'There is no certificate authority in this home yet.', { fix: 'Make one: sallyport ca init, or start the server: sallyport serve.' })
    return issuing
  }

  async function of(name: CaName): Promise<Authority> {
    const known = opened.get(name)
    if (known !== undefined) return known
    const ca = registry.cas().find((each) => each.name === name && each.role === 'issuing')
    if (ca === undefined) throw new SallyportError('internal', `There is no issuing CA ${name}.`)
    const opening = open(ca)
    opened.set(name, opening)
    try {
      return await opening
    } catch (error) {
      // What was missing may be there the next time.
      opened.delete(name)
      throw error
    }
  }

  return {
    current: {
      get issuer() {
        return current().name
      },
      get issuerDer() {
        return current().der
      },
      mayName: async (asked) => (await of(current().name)).mayName(asked),
      issue: async (request, actor) => (await of(current().name)).issue(request, actor),
    },
    of,
    adopt(authority) {
      opened.set(authority.issuer, Promise.resolve(authority))
    },
  }
}

// The desk of a home in which no server runs: the files, opened under the lock for as long as one command takes.

import type { Authority } from '../ca/issue.ts'
import type { Desk } from '../core/desk.ts'
import { SallyportError } from '../core/errors.ts'
import { openDesk } from '../desk.ts'
import { openHome, type OpenHome } from '../home.ts'
import { loadPolicy } from '../policy-file.ts'
import { configOf } from './context.ts'

/** Opens it; disposing closes the home. Failures: 'home-in-use', 'home-empty', and what is wrong with the files. */
export async function openLocalDesk(home: string): Promise<Desk> {
  const config = configOf(home)
  const { policy } = await loadPolicy(config.policyFile, 1)
  const opened = await openLocked(home)
  try {
    const desk = openDesk({ registry: opened.registry, view: opened.view, audit: opened.audit, authority: openAuthorityLate(opened), policy: () => policy, clock: Date.now }, { kind: 'local' })
    return { ...desk, async [Symbol.asyncDispose]() {
      await opened[Symbol.asyncDispose]()
    } }
  } catch (error) {
    await opened[Symbol.asyncDispose]()
    throw error
  }
}

/** Most commands sign nothing: only one that does waits for the key to be unsealed, and needs the passphrase. */
function openAuthorityLate(home: OpenHome): Authority {
  const issuing = home.registry.cas().find((ca) => ca.role === 'issuing')
  if (issuing === undefined) throw new SallyportError('home-empty', 'There is no certificate authority in this home yet.', { fix: 'Make one: sallyport ca init, or start the server: sallyport serve.' })
  let opening: Promise<Authority> | undefined
  return {
    issuer: issuing.name,
    issuerDer: issuing.der,
    async issue(request, actor) {
      opening ??= home.organisation(actor, 'open').then(({ authority }) => authority)
      return (await opening).issue(request, actor)
    },
  }
}

async function openLocked(home: string): Promise<OpenHome> {
  try {
    return await openHome(home, configOf(home))
  } catch (error) {
    if (!(error instanceof SallyportError) || error.code !== 'home-in-use') throw error
    throw new SallyportError('home-in-use', `Another Sallyport works in ${home}, and no server answers there.`, {
      fix: 'Wait for the other command, or for the server to finish starting or stopping; end a server that hangs. Nobody else may open this home until then.',
      cause: error,
    })
  }
}

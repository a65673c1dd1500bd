// The desk of a home in which no server runs: the files, opened under the lock for as long as one command takes.

import { currentCa } from '../ca/chains.ts'
import type { Authority } from '../ca/issue.ts'
import type { Desk } from '../core/desk.ts'
import { SallyportError } from '../core/errors.ts'
import type { Config } from '../config.ts'
import { openDesk } from '../desk.ts'
import { ownExpiries } from '../expiry.ts'
import { readForeignCas } from '../foreign.ts'
import { openHome, type OpenHome } from '../home.ts'
import { openWebhooksOf } from '../live.ts'
import { openPolicies, type Policies } from '../policies.ts'
import { loadPolicy, needPolicy, readTexts } from '../policy-file.ts'
import type { OwnPort } from '../renewal-desk.ts'
import { configOf } from './context.ts'

/** Opens it; disposing closes the home. Failures: 'home-in-use', 'home-empty', and what is wrong with the files. */
export async function openLocalDesk(home: string): Promise<Desk> {
  const config = configOf(home)
  const opened = await openLocked(home)
  try {
    needCa(opened)
    const authority = opened.authorities.current
    const webhooks = openWebhooksOf(opened, { tells: false, rules: () => config.webhooks, warn: (facts, message) => process.stderr.write(`sallyport: ${message}: ${JSON.stringify(facts)}\n`) })
    const desk = openDesk({ registry: opened.registry, view: opened.view, audit: opened.audit, authority, policies: await openLocalPolicies(opened, authority, config.policyFile), ca: { genesis: (actor) => opened.genesis(actor), alone: opened.alone, changed: () => opened.followCas() }, own: ownOf(opened, config), reports: opened.paths.reports, webhooks, clock: Date.now }, { kind: 'local' })
    return { ...desk, async [Symbol.asyncDispose]() {
      await webhooks[Symbol.asyncDispose]()
      await opened[Symbol.asyncDispose]()
    } }
  } catch (error) {
    await opened[Symbol.asyncDispose]()
    throw error
  }
}

function ownOf(home: OpenHome, config: Config): OwnPort {
  return {
    expiries: () => ownExpiries({ home, foreign: readForeignCas(config.trust, home.registry.cas()) }),
    renew: (credential) => home.followCas(config.hosts, credential),
  }
}

/** Without a server the policy in force is the one that the next start finds on the disk. */
async function openLocalPolicies({ paths, registry, view, audit }: OpenHome, { issuer }: Authority, policyFile: string): Promise<Policies> {
  const policies = await openPolicies({
    data: paths.data, policyFile, audit, clock: Date.now,
    fleet: () => ({ registry, view, issuer }),
    read: (file) => loadPolicy(file, 1),
    compile: async (texts, generation) => needPolicy(readTexts(texts, generation)),
    // One command asks one thing.
    serially: (work) => work(),
    warn: (message) => process.stderr.write(`sallyport: ${message}\n`),
  })
  policies.replace(await policies.load(policyFile))
  return policies
}

/** Most commands sign nothing: the key is unsealed, and the passphrase needed, when one does. */
function needCa({ registry }: OpenHome): void {
  if (currentCa(registry.cas(), 'issuing') !== undefined) return
  throw new SallyportError('home-empty', 'There is no certificate authority in this home yet.', { fix: 'Make one: sallyport ca init, or start the server: sallyport serve.' })
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

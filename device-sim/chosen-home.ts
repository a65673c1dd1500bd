// Which home a run uses: one of its own, that it makes and serves, or one that a person names because it is being served on
// this machine. It owns the rule that a home elsewhere is only attacked by its owner.

import { randomBytes } from 'node:crypto'
import { SimError } from './failure.ts'
import { openIdentities, type Identities } from './identities.ts'
import { openHome, startOwnServer, type OpenedHome } from './server-process.ts'
import { parseAddress, refuseForeignTarget } from './target.ts'

export interface HomeWishes {
  /** A folder. */
  readonly target?: string | undefined
  /** mqtts://host:port */
  readonly address?: string | undefined
  readonly iOwnThisTarget?: boolean | undefined
}

export interface ChosenHome extends AsyncDisposable {
  readonly home: OpenedHome
  readonly own: boolean
  readonly identities: Identities
  /** Begins the ids of this run's devices. */
  readonly run: string
}

export async function chooseHome(wishes: HomeWishes, signal: AbortSignal): Promise<ChosenHome> {
  // Two runs against one home must not meet each other's devices.
  const run = `sim-${randomBytes(4).toString('hex')}`
  if (wishes.target === undefined) {
    if (wishes.address !== undefined) throw new SimError('usage', '--address needs --target HOME: an operator credential enrolls the devices.')
    const server = await startOwnServer(signal)
    return { home: server.home, own: true, run, identities: openIdentities(server.home.admin, run), [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() }
  }
  if (/^[a-z][a-z\d+.-]*:\/\//i.test(wishes.target)) {
    throw new SimError('usage', '--target is a home folder, whose operator credential enrolls the devices. For another address of it: --target HOME --address mqtts://host:port.')
  }
  const address = wishes.address === undefined ? undefined : parseAddress(wishes.address)
  if (address !== undefined) refuseForeignTarget(address.host, wishes.iOwnThisTarget === true)
  const home = await openHome(wishes.target, address)
  refuseForeignTarget(home.target.host, wishes.iOwnThisTarget === true)
  return {
    home, own: false, run, identities: openIdentities(home.admin, run),
    [Symbol.asyncDispose]: () => {
      home.admin.close()
      return Promise.resolve()
    },
  }
}

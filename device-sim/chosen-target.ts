// What a run is aimed at, by what a person wrote behind --target: a home of its own, one that is being served on this machine,
// a broker that it starts itself, or any other by its address. It owns the rule that what is elsewhere is only attacked by its owner.

import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { z } from 'zod'
import { STARTER_ACL } from './acl.ts'
import { startMosquitto } from './adapters/mosquitto.ts'
import type { Aim } from './aim.ts'
import { SimError } from './failure.ts'
import { openForeign, type ForeignWishes } from './foreign-target.ts'
import { openIdentities } from './identities.ts'
import { openHome, startOwnServer, type OpenedHome } from './server-process.ts'
import { isLoopback, parseAddress, refuseForeignTarget } from './target.ts'

export interface TargetWishes extends ForeignWishes {
  /** A folder, an address, or the name of what the simulator can start. */
  readonly target?: string | undefined
  /** mqtts://host:port of that folder's home. */
  readonly address?: string | undefined
  readonly iOwnThisTarget?: boolean | undefined
  readonly floods?: boolean | undefined
}

export interface ChosenTarget extends AsyncDisposable {
  readonly aim: Aim
  /** It was made for this run, and has everything that a case can need. */
  readonly own: boolean
  /** Begins the ids of this run's devices. */
  readonly run: string
  /** Only of a home: there devices can be enrolled as people enroll them. */
  readonly home?: OpenedHome
}

/** What the simulator starts by its name. A folder of that name is written ./name. */
const STARTED_TARGETS = ['sallyport', 'mosquitto'] as const

/** Whether the simulator starts it, for this run alone. */
export const isStarted = (target: string | undefined): boolean => target === undefined || STARTED_TARGETS.some((name) => name === target)

const Package = z.looseObject({ version: z.string() })

const isUrl = (text: string): boolean => /^[a-z][a-z\d+.-]*:\/\//i.test(text)

export async function chooseTarget(wishes: TargetWishes, signal: AbortSignal): Promise<ChosenTarget> {
  // Two runs against one target must not meet each other's devices.
  const run = `sim-${randomBytes(4).toString('hex')}`
  const { target } = wishes
  refuseMisplaced(wishes)
  if (target === 'mosquitto') {
    const broker = await startMosquitto(run, signal)
    return { aim: broker.aim, own: false, run, [Symbol.asyncDispose]: () => broker[Symbol.asyncDispose]() }
  }
  if (target !== undefined && isUrl(target)) {
    const address = parseAddress(target, '--target')
    refuseForeignTarget(address.host, wishes.iOwnThisTarget === true)
    return { aim: await openForeign(address, wishes, run), own: false, run, [Symbol.asyncDispose]: () => Promise.resolve() }
  }
  if (target === undefined || target === 'sallyport') {
    const server = await startOwnServer(signal)
    return { home: server.home, own: true, run, aim: aimOfHome(server.home, await ownName(), run, wishes), [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() }
  }
  const address = wishes.address === undefined ? undefined : parseAddress(wishes.address)
  if (address !== undefined) refuseForeignTarget(address.host, wishes.iOwnThisTarget === true)
  const home = await openHome(target, address)
  refuseForeignTarget(home.target.host, wishes.iOwnThisTarget === true)
  return {
    home, own: false, run, aim: aimOfHome(home, `sallyport in ${target}`, run, wishes),
    [Symbol.asyncDispose]: () => {
      home.admin.close()
      return Promise.resolve()
    },
  }
}

/** An option that would do nothing is a mistake of whoever gives it. */
function refuseMisplaced(wishes: TargetWishes): void {
  const { target } = wishes
  const isHome = target !== undefined && !isUrl(target) && !isStarted(target)
  if (wishes.address !== undefined && !isHome) throw new SimError('usage', '--address needs --target HOME: an operator credential enrolls the devices.')
  if (target !== undefined && isUrl(target)) return
  for (const [option, value] of [['--ca', wishes.ca], ['--issuer-cert', wishes.issuerCert], ['--issuer-key', wishes.issuerKey], ['--acl', wishes.acl], ['--server-name', wishes.serverName]] as const) {
    if (value !== undefined) throw new SimError('usage', `${option} goes with --target mqtts://host:port.`)
  }
}

/** What it starts itself is this very version. */
async function ownName(): Promise<string> {
  const { version } = Package.parse(JSON.parse(await readFile(createRequire(import.meta.url).resolve('sallyport/package.json'), 'utf8')))
  return `sallyport ${version}`
}

/** The simulator's own home has ears that may hear everything; another has its starter policy. */
function aimOfHome(home: OpenedHome, name: string, run: string, { floods }: TargetWishes): Aim {
  const all = home.factoryAuthority !== undefined
  return {
    name,
    target: home.target,
    identities: openIdentities(home.admin, run),
    acl: all ? { ...STARTER_ACL, ears: { group: 'ears', filters: ['#'] } } : STARTER_ACL,
    root: home.root,
    issuing: home.issuing,
    issuingAuthority: home.issuingAuthority,
    factoryAuthority: home.factoryAuthority,
    secondFactoryAuthority: home.secondFactoryAuthority,
    doors: home,
    operator: home.admin,
    measure: 'letter',
    severalSessions: true,
    intermediate: true,
    floods: floods === true || isLoopback(home.target.host),
    pid: () => home.pid(),
  }
}

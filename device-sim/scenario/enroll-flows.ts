// How devices come to their first certificate at the enrollment door: with what somebody has given each of them, or all of them, before.
// Each flow makes ready what its devices need, as an operator or a factory would, and then asks as a device does.

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { randomBytes } from 'node:crypto'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { askEst, enrolledBy, enrolledWithKey } from '../est.ts'
import { SimError } from '../failure.ts'
import { forgeLeaf } from '../forge/authority.ts'
import { pem } from '../forge/certificate.ts'
import { keyPem, privateKey } from '../forge/keys.ts'
import { forgeRequest } from '../forge/request.ts'
import { SIM_LIMITS } from '../limits.ts'
import type { Credentials } from '../raw-peer.ts'
import { SCENARIO_LIMITS } from '../scenario-limits.ts'
import type { OpenedHome } from '../server-process.ts'
import type { Player } from './cast.ts'
import type { EnrollFlow } from './scenario.ts'

type Pair = Pick<Credentials, 'cert' | 'key'>
/** Rejects with how it was refused. */
type Ask = (player: Player) => Promise<Pair>

export function openFlow(how: Exclude<EnrollFlow, 'request'>, home: OpenedHome, players: readonly Player[]): Promise<Ask> {
  return FLOWS[how](home, players)
}

const FLOWS: Readonly<Record<Exclude<EnrollFlow, 'request'>, (home: OpenedHome, players: readonly Player[]) => Promise<Ask>>> = {
  /** Each has been given a secret of its own, good once. */
  async token(home, players) {
    await register(home, players)
    return async ({ id }) => withOwnKey(id, async (csr) => enrolledBy(home.enroll, { operation: 'simpleenroll', id, token: await home.admin.createToken(id), csr }))
  },
  /** All of a production line have the same certificate, which opens this door and no other. */
  async claim(home, players) {
    await register(home, players)
    const key = privateKey()
    const claims = await Promise.all(groupsOf(players).map(async ([group, members]) => {
      const { certificate, chain } = await home.admin.createClaim(patternOf(members), forgeRequest(key, `claim-${group}`), members.length)
      return [group, { cert: [certificate, ...chain].join(''), key: keyPem(key) }] as const
    }))
    const byGroup = new Map(claims)
    return ({ id, group }) => withOwnKey(id, (csr) => enrolledBy(home.enroll, { operation: 'simpleenroll', credentials: given(byGroup.get(group)), csr }))
  },
  /** Each was made with a certificate of its manufacturer in it, and nobody has registered any. */
  async manufacturer(home, players) {
    const maker = home.makerAuthority
    if (maker === undefined) throw new SimError('usage', 'A step that enrolls with manufacturer certificates runs only in a home that the simulator made: it has the key of such a CA.')
    for (const [, members] of groupsOf(players)) {
      await home.command('token', 'create', '--manufacturer', 'maker', '--pattern', patternOf(members), '--register', '--group', members[0]?.role ?? '', '--uses', String(members.length), '--expires', '1d')
    }
    return ({ id }) => withOwnKey(id, (csr) => {
      const { certificate, key } = forgeLeaf(maker, id)
      return enrolledBy(home.enroll, { operation: 'simpleenroll', credentials: { cert: pem('CERTIFICATE', certificate), key: keyPem(key) }, csr })
    })
  },
  /** A factory has printed a password on each, and sends the list. */
  async password(home, players) {
    const passwords = new Map(players.map(({ id }) => [id, randomBytes(12).toString('hex')]))
    const folder = await mkdtemp(path.join(tmpdir(), 'sallyport-import-'))
    try {
      for (const [group, members] of groupsOf(players)) {
        const file = path.join(folder, `${group}.csv`)
        await writeFile(file, `id,password\n${members.map(({ id }) => `${id},${passwords.get(id) ?? ''}\n`).join('')}`, { mode: 0o600 })
        await home.command('device', 'import', file, '--group', members[0]?.role ?? '', '--expires', '1d')
      }
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
    return ({ id }) => withOwnKey(id, (csr) => enrolledBy(home.enroll, { operation: 'simpleenroll', id, token: given(passwords.get(id)), csr }))
  },
  /** They cannot make keys, and have one made; each has a token. */
  async 'server-key'(home, players) {
    await register(home, players)
    await allowServerKeys(home)
    return async ({ id }) => enrolledWithKey(home.enroll, { id, token: await home.admin.createToken(id), csr: forgeRequest(privateKey(), id) })
  },
}

async function withOwnKey(id: string, ask: (csr: string) => Promise<string>): Promise<Pair> {
  const key = privateKey()
  return { cert: await ask(forgeRequest(key, id)), key: keyPem(key) }
}

async function register({ admin }: OpenedHome, players: readonly Player[]): Promise<void> {
  for (let at = 0; at < players.length; at += SIM_LIMITS.registerPerRequest) {
    await admin.addDevices(players.slice(at, at + SIM_LIMITS.registerPerRequest).map(({ id, role }) => ({ id, groups: [role] })))
  }
}

function groupsOf(players: readonly Player[]): readonly (readonly [string, readonly Player[]])[] {
  return [...Map.groupBy(players, ({ group }) => group)]
}

/** `run-group-1`, `run-group-2` → `run-group-*` */
function patternOf([first]: readonly Player[]): string {
  return (first?.id ?? '').replace(/\d+$/, '*')
}

function given<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('the device was given nothing to prove itself with')
  return value
}

/** It is off unless the operator says otherwise. Of a home that is somebody's the simulator changes nothing. */
async function allowServerKeys(home: OpenedHome): Promise<void> {
  const { directory, enroll, issuingAuthority } = home
  const isRefused = async (): Promise<boolean> => (await askEst(enroll, { operation: 'serverkeygen', csr: '-' })).reason === 'server-key-refused'
  if (issuingAuthority === undefined || !(await isRefused())) return
  const file = path.join(directory, 'sallyport.yaml')
  await writeFile(file, `${await readFile(file, 'utf8')}enroll: { serverKeys: allowed }\n`)
  const server = await home.pid()
  if (server !== undefined) process.kill(server, 'SIGHUP')
  const deadline = performance.now() + SCENARIO_LIMITS.reloadMs
  while (await isRefused()) {
    if (performance.now() > deadline) throw new SimError('failed', `The server did not read its configuration again in ${SCENARIO_LIMITS.reloadMs} ms.`)
    await delay(SIM_LIMITS.readyPollMs)
  }
}

// The proof of "a policy that can be trusted": a hundred devices over real connections, what they are granted changed ten times a second
// at random, and not one delivery that the grants of that moment forbid: live, retained, queued for who is away, sent again, shared.
// It is judged by the evaluator that was written from the manual alone. TEST_LEAK_SECONDS makes it longer.

import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { DELIVERY_KINDS, openPolicyOracle, type PolicyOracle } from '../../device-sim/policy-oracle.ts'
import { openHouse, type House } from '../broker/house.ts'
import { judge, type RefDeny, type RefGrant, type RefPolicy, type RefPrincipal, type RefTarget, type RefTopic } from '../core/policy/reference.ts'
import { openChance, type Chance } from '../faults/chance.ts'
import { Member } from './leak-crowd.ts'

const SECONDS = Number(process.env['TEST_LEAK_SECONDS'] ?? 8)
const SEED = Number(process.env['SALLYPORT_LEAK_SEED'] ?? 20_261_128)
const DEVICES = 100
const CHANGE_MS = 100
const PUBLISHES_PER_CHANGE = 40

interface World {
  readonly policy: RefPolicy
  readonly groups: ReadonlyMap<string, readonly string[]>
}

const GROUPS = ['g0', 'g1', 'g2', 'g3']
const TOPICS = ['t/0/a', 't/0/b', 't/1/a', 't/1/b', 't/2/a', 't/2/c', 't/3', 't']
const PATTERNS = ['t/#', 't/+/a', 't/0/#', 't/1/+', 't/2/c', 't/3', '+/+/b', '#']
const FILTERS = ['t/#', 't/+/a', 't/+/+', 't/0/a', 't/1/#', 't/2/c', 't/3', '#', 't/+']
const SHARES = ['$share/g/t/#', '$share/g/t/+/a', '$share/h/t/1/b']

let house: House
let oracle: PolicyOracle<World>
let members: readonly Member[]
let world: World
const chance = openChance(SEED)
const pick = <T>(from: readonly T[], by: Chance = chance): T => from[by.below(from.length)]!

const principals = new WeakMap<World, Map<string, RefPrincipal>>()
function principal(of: World, id: string): RefPrincipal {
  const known = principals.get(of) ?? new Map<string, RefPrincipal>()
  principals.set(of, known)
  const who = known.get(id) ?? { id, tenant: 'default', groups: of.groups.get(id) ?? [], attributes: [], ca: 'issuing-1', clientId: id, subject: [], dns: [], uris: [], state: 'active', attested: false }
  known.set(id, who)
  return who
}

function randomTopic(): RefTopic {
  return { topic: chance.oneIn(12) ? 't/0/${device.id}' : pick(PATTERNS), qos: pick([0, 1, 2, 2]), wildcard: pick(['contain', 'contain', 'forbid']), share: chance.oneIn(2) ? ['g', 'h'] : [] }
}
const randomTarget = (): RefTarget => (chance.oneIn(5) ? { device: pick(members).identity.id } : chance.oneIn(4) ? 'any' : { group: pick(GROUPS) })
const times = <T>(count: number, make: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i))

const randomGrant = (id: string): RefGrant => ({
  id, to: randomTarget(),
  subscribe: times(1 + chance.below(2), randomTopic),
  publish: times(1 + chance.below(2), () => ({ topic: pick(PATTERNS), qos: pick([1, 2, 2]), retain: !chance.oneIn(3) })),
})
const randomDeny = (id: string): RefDeny => ({ id, to: randomTarget(), ...pick([{ publish: [pick(PATTERNS)] }, { receive: [pick(TOPICS)] }, { subscribe: [pick(PATTERNS.slice(0, -1))] }]) })

/** Whoever is granted nothing would be disconnected: that is another test's. */
const ALWAYS: readonly RefGrant[] = [{ id: 'in', to: 'any', publish: ['base/${device.id}'] }, { id: 'speaker', to: { group: 'speakers' }, publish: ['t/#'] }]
const GRANTS = 8

/** Some rules are exchanged, the others stay: so subscriptions live for a while. */
function randomPolicy(): RefPolicy {
  const before = world.policy
  const grants = times(GRANTS, (i) => (before.grants[ALWAYS.length + i] === undefined || chance.oneIn(GRANTS) ? randomGrant(`r${i}`) : before.grants[ALWAYS.length + i]!))
  const deny = [...before.deny.filter(() => !chance.oneIn(3)), ...(chance.oneIn(3) ? [randomDeny(`d${++denies}`)] : [])]
  return { version: 1, grants: [...ALWAYS, ...grants], deny }
}
let denies = 0

/** JSON is YAML. */
const textOf = (policy: RefPolicy): string => JSON.stringify(policy)

async function change(): Promise<void> {
  if (!chance.oneIn(3)) {
    world = { ...world, policy: randomPolicy() }
    const done = oracle.change(world)
    house.policy(textOf(world.policy))
    return done()
  }
  const moved = times(5, () => pick(members).identity.id)
  for (const id of moved) {
    world = { ...world, groups: new Map(world.groups).set(id, times(chance.below(3), () => pick(GROUPS)).filter((g, i, all) => all.indexOf(g) === i)) }
    const done = oracle.change(world)
    await house.regroup(id, world.groups.get(id) ?? [])
    done()
  }
}

/** Some speak, some subscribe, some of those who are kept go or come back. */
async function stir(): Promise<void> {
  const connected = members.filter((m) => m.isConnected)
  for (let i = 0; i < PUBLISHES_PER_CHANGE; i++) pick(connected).publish(pick(TOPICS), pick([0, 1, 1, 2]), chance.oneIn(6))
  const work: Promise<unknown>[] = []
  for (let i = 0; i < 10; i++) {
    const one = pick(connected)
    work.push(one.subscribe({ topic: one.options.version === 5 && chance.oneIn(3) ? pick(SHARES) : pick(FILTERS), qos: pick([0, 1, 2]) }))
  }
  const kept = members.filter((m) => m.options.kept)
  for (let i = 0; i < 4; i++) {
    const one = pick(kept)
    work.push(one.isConnected ? one.disconnect() : one.connect())
  }
  await Promise.all(work)
}

beforeAll(async () => {
  house = await openHouse({ policy: textOf({ version: 1, grants: ALWAYS, deny: [] }) })
  const identities = []
  for (let i = 0; i < DEVICES; i++) identities.push(await house.device(`d${i}`, pick(GROUPS)))
  world = { policy: { version: 1, grants: ALWAYS, deny: [] }, groups: new Map(identities.map(({ id }) => [id, house.home.view.device(id as never)?.groups ?? []])) }
  oracle = openPolicyOracle<World>({
    mayPublish: (of, id, said) => judge(of.policy, principal(of, id), { kind: 'publish', ...said }).allow,
    mayHold: (of, id, filter) => judge(of.policy, principal(of, id), { kind: 'subscribe', filter, qos: 0 }).allow,
    mayReceive: (of, id, topic) => judge(of.policy, principal(of, id), { kind: 'receive', topic }).allow,
  }, world)
  members = identities.map((identity, i) => new Member(house, identity, oracle.receiver(identity.id), { version: i % 2 === 0 ? 4 : 5, kept: i % 5 >= 3, acknowledges: i % 10 === 8 || i % 10 === 9 ? () => !chance.oneIn(3) : () => true }))
  for (const member of members) await member.connect()
}, 60_000)
afterAll(async () => {
  await Promise.all(members.map((member) => member.disconnect()))
  await house[Symbol.asyncDispose]()
})

test(`no delivery that is forbidden, for ${SECONDS} s of changes (seed ${SEED})`, { timeout: (SECONDS + 60) * 1_000 }, async () => {
  const end = Date.now() + SECONDS * 1_000
  let changes = 0
  while (Date.now() < end) {
    const next = Date.now() + CHANGE_MS
    const asked = Promise.all(members.map((member) => member.ask()))
    await stir()
    await change()
    changes += 1
    void Promise.all(members.map((member) => member.ask()))
    await asked
    await delay(Math.max(0, next - Date.now()))
  }
  await Promise.all(members.map((member) => member.ask()))
  const { leaks, deliveries, decisive, said } = oracle.count()
  process.stdout.write(`${JSON.stringify({ seed: SEED, changes, said, deliveries, decisive, leaks: leaks.length })}\n`)
  expect(leaks.slice(0, 5)).toEqual([])
  // What never came was not tested.
  for (const kind of DELIVERY_KINDS) expect(deliveries[kind], kind).toBeGreaterThan(0)
  expect(decisive).toBeGreaterThan(deliveries.live / 100)
})

test('and when it has come to rest, everybody is granted and hears exactly what the policy says', async () => {
  const speaker = new Member(house, await house.device('speaker', 'speakers'), oracle.receiver('speaker'), { version: 5, kept: false, acknowledges: () => true })
  world = { ...world, groups: new Map(world.groups).set('speaker', ['speakers']) }
  oracle.change(world)()
  await speaker.connect()
  const crowd = members.filter(({ options }) => !options.kept)
  const held = new Map<Member, readonly string[]>()
  for (const member of crowd) {
    await member.connect(true)
    const asked = times(3, () => pick(FILTERS)).filter((f, i, all) => all.indexOf(f) === i)
    const codes = await member.subscribe(...asked.map((topic) => ({ topic, qos: 1 as const })))
    const who = principal(world, member.identity.id)
    const expected = asked.map((filter) => judge(world.policy, who, { kind: 'subscribe', filter, qos: 1 }))
    expect(codes.map((code) => (code < 0x80 ? code : undefined)), member.identity.id).toEqual(expected.map(({ allow, grantedQos }) => (allow ? grantedQos : undefined)))
    held.set(member, asked.filter((_, i) => expected[i]?.allow))
    await member.ask()
    member.heard = []
  }
  const spoken = TOPICS.filter((topic) => judge(world.policy, principal(world, 'speaker'), { kind: 'publish', topic, qos: 1, retain: false, bytes: 1 }).allow)
  for (const topic of TOPICS) speaker.publish(topic, 1, false)
  await speaker.ask()
  for (const [member, filters] of held) {
    await member.ask()
    const who = principal(world, member.identity.id)
    const due = spoken.filter((topic) => judge(world.policy, who, { kind: 'receive', topic }).allow && filters.some((filter) => filterCovers(filter, topic)))
    expect(member.heard.toSorted(), member.identity.id).toEqual(due.toSorted())
  }
  await speaker.disconnect()
})

/** As the reference matches: a filter that is granted for exactly one topic. */
function filterCovers(filter: string, topic: string): boolean {
  const one: RefPolicy = { version: 1, grants: [{ id: 'f', to: 'any', subscribe: [filter] }], deny: [] }
  return judge(one, principal(world, 'speaker'), { kind: 'receive', topic }).allow
}

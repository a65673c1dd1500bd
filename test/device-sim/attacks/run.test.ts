// One case, run: what it may take of its target, and what is said when it takes more.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { STARTER_ACL } from '../../../device-sim/acl.ts'
import type { Admin } from '../../../device-sim/admin.ts'
import { powersOf, type Aim } from '../../../device-sim/aim.ts'
import type { Arena, Bench, Runner } from '../../../device-sim/attacks/arena.ts'
import { runCase, runCases, type Contest } from '../../../device-sim/attacks/run.ts'
import { forgeRoot } from '../../../device-sim/forge/authority.ts'
import { openSources } from '../../../device-sim/target.ts'
import { tinyBroker, type TinyBroker } from '../tiny-broker.ts'

const root = forgeRoot('Run')
let broker: TinyBroker
beforeAll(async () => {
  broker = await tinyBroker()
})
afterAll(() => broker[Symbol.asyncDispose]())

async function contestWith(changes: Partial<Aim>): Promise<Contest> {
  const { target, identities } = broker
  const aim: Aim = {
    name: 'tiny', target, identities, acl: STARTER_ACL, root: root.certificate, issuing: root.certificate, operator: {}, measure: 'letter', severalSessions: true, intermediate: true, floods: true, pid: () => Promise.resolve(1), ...changes,
  }
  const canary = { roundTrip: () => Promise.resolve(1), close: () => {} }
  return { aim, powers: await powersOf(aim), ground: { target, identities, acl: aim.acl, root: aim.root, issuing: aim.issuing, issuingAuthority: aim.issuingAuthority, canary, sources: openSources(target), mosquittoSub: false, pid: () => aim.pid() } }
}

/** A case that is ok in itself, and does this besides. */
const taking = (besides: (arena: Arena) => unknown): Runner => async (arena: Arena, bench: Bench) => {
  bench.control('a good one', true, 'admitted')
  bench.attack('attack', 'a bad one', { kind: 'refused-in-tls', how: 'closed' })
  await besides(arena)
}
const registry: Partial<Admin> = { addDevices: () => Promise.resolve(), certificatesOf: () => Promise.resolve(0) }

describe('what a case takes', () => {
  test('without having named it is a fault of its row, also where the target has it', async () => {
    const contest = await contestWith({ operator: registry, issuingAuthority: root })
    expect(await runCase('T01', contest, taking(() => {}))).toMatchObject({ verdict: 'ok', notes: [] })
    expect(await runCase('T01', contest, taking((arena) => arena.admin.certificatesOf('x')))).toMatchObject({ verdict: 'FAILED', notes: ['the row does not name what the case takes: registry'] })
    expect(await runCase('T01', contest, taking((arena) => arena.take('ca-key')))).toMatchObject({ verdict: 'FAILED', notes: ['the row does not name what the case takes: ca-key'] })
    // T06 names it.
    expect(await runCase('T06', contest, taking((arena) => arena.take('ca-key')))).toMatchObject({ verdict: 'ok' })
  })

  test('and has asked for before is a part that can be left out', async () => {
    const politely = taking(async (arena) => (arena.offers('registry') ? arena.admin.certificatesOf('x') : undefined))
    expect(await runCase('T01', await contestWith({ operator: registry }), politely)).toMatchObject({ verdict: 'ok', notes: [] })
    expect(await runCase('T01', await contestWith({}), politely)).toMatchObject({ verdict: 'ok', notes: [] })
  })

  test('and the target does not have is not run, never passed', async () => {
    expect(await runCase('T01', await contestWith({}), taking((arena) => arena.admin.auditMentions('x')))).toMatchObject({ verdict: 'not run', notes: ['this target has no audit log that can be read'] })
    expect(await runCase('I18', await contestWith({}))).toMatchObject({ verdict: 'not run', notes: ['this target has no registry of devices'], seen: '' })
  })
})

test('where there is an audit log it is judged, and where there is none the outcome is judged all the same', async () => {
  const located: Runner = (_arena, bench) => {
    bench.control('a good one', true, 'admitted')
    bench.attack('attack', 'a bad one', { kind: 'refused-in-tls', how: 'closed' }, { address: '127.64.0.1', port: 1 })
    return Promise.resolve()
  }
  const log = (reason: string): Partial<Admin> => ({ refusalsAfter: (after) => Promise.resolve({ newest: 0, refusals: after === 0 ? [{ sequence: 1, reason, count: 1, address: '127.64.0.1', port: 1 }] : [] }) })
  expect(await runCase('T01', await contestWith({ operator: log('tls-no-certificate') }), located)).toMatchObject({ verdict: 'ok', reasons: ['tls-no-certificate'] })
  expect(await runCase('T01', await contestWith({ operator: log('tls-malformed') }), located)).toMatchObject({ verdict: 'FAILED', notes: ['a bad one: the audit log has tls-malformed'] })
  expect(await runCase('T01', await contestWith({}), located)).toMatchObject({ verdict: 'ok', reasons: [] })
})

test('after the time that a target elsewhere is given nothing more begins', async () => {
  const results = await runCases(['T01', 'T46', 'Q37'], await contestWith({}), { lanes: 1, until: performance.now() - 1 }, { onBegin: () => {}, onResult: () => {} }, new AbortController().signal)
  expect(results.map(({ verdict, notes }) => [verdict, ...notes])).toEqual(Array.from({ length: 3 }, () => ['not run', 'the time that a target elsewhere is given was over']))
})

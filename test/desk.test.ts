// The operator's desk over a real home: registry, CA, view and audit log. What a running server adds, its sessions, is a
// witness here that writes down what it finds when it is asked.

import { createPublicKey, X509Certificate } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Desk } from '../src/core/desk.ts'
import { SallyportError } from '../src/core/errors.ts'
import { openDesk } from '../src/desk.ts'
import { decodePem } from '../src/x509/pem.ts'
import { makeCsr } from '../src/x509/csr.ts'
import type { SerialNumber, TenantId } from '../src/core/ids.ts'
import type { DenyReason } from '../src/vocabulary.ts'
import { device, group, newKey, openHouse, type House } from './http/house.ts'

let house: House
let desk: Desk
beforeAll(async () => {
  house = await openHouse()
  desk = house.desk()
})
afterAll(() => house[Symbol.asyncDispose]())

async function refusal(work: Promise<unknown>): Promise<{ code: string; reason: DenyReason | undefined; fix: string | undefined }> {
  try {
    await work
  } catch (error) {
    if (error instanceof SallyportError) return { code: error.code, reason: error.reason, fix: error.fix }
    throw error
  }
  throw new Error('it was done')
}

const add = (id: string, ...groups: string[]) => desk.addDevice({ id: device(id), groups: groups.map(group), attributes: {} })

describe('devices', () => {
  test('a device is registered once, in each group once', async () => {
    expect(await add('twice', 'sensors', 'sensors')).toMatchObject({ id: 'twice', groups: ['sensors'], state: 'active', revision: 1 })
    expect(await refusal(add('twice'))).toMatchObject({ code: 'refused', reason: 'device-exists' })
  })

  test('of many who register one id at the same time, one does', async () => {
    const outcomes = await Promise.allSettled(Array.from({ length: 20 }, () => add('raced')))
    expect(outcomes.filter((o) => o.status === 'fulfilled')).toHaveLength(1)
  })

  test('16 groups are accepted and 17 are not', async () => {
    const names = Array.from({ length: 17 }, (_, i) => `g${i}`)
    expect((await add('grouped', ...names.slice(0, 16))).groups).toHaveLength(16)
    expect(await refusal(add('overgrouped', ...names))).toMatchObject({ reason: 'group-invalid' })
  })

  test('what is not there is not found, in every verb that names a device', async () => {
    const nobody = device('nobody')
    const verbs = [() => desk.device(nobody), () => desk.changeDevice(nobody, 'suspend'), () => desk.describeDevice(nobody, { groups: [] }), () => desk.enroll(nobody, makeCsr(newKey(), 'nobody')), () => desk.revoke({ device: nobody }, 'unspecified'), () => desk.why(nobody), () => desk.explain({ device: nobody, publish: 'a' })]
    for (const ask of verbs) {
      expect(await refusal(ask())).toMatchObject({ code: 'not-found', reason: 'device-not-found' })
    }
  })

  test('groups and attributes are changed together, in the registry and for whoever follows it, and by the name of who did it', async () => {
    await desk.addDevice({ id: device('described'), groups: [group('a')], attributes: { model: 'k1', site: 'north' } })
    const seen: unknown[] = []
    const stop = house.home.view.onChange((change) => void seen.push(change))
    expect(await desk.describeDevice(device('described'), { groups: [group('b'), group('c')], attributes: { model: 'k2', site: null } })).toMatchObject({ groups: ['b', 'c'], attributes: { model: 'k2' }, revision: 2, state: 'active' })
    stop()
    expect(seen).toEqual([{ kind: 'device-described', id: 'described', groups: ['b', 'c'], attributes: { model: 'k2' } }])
    expect(house.home.view.device(device('described'))).toMatchObject({ groups: ['b', 'c'], attributes: { model: 'k2' } })
    expect((await desk.auditTail(1))[0]).toMatchObject({ event: { action: 'device-changed' }, detail: { action: 'describe', state: 'active' } })
    // What changes nothing is no change.
    expect(await desk.describeDevice(device('described'), { attributes: { model: 'k2' } })).toMatchObject({ revision: 2 })
  })

  test('of two who describe a device at once, or from an old revision, one is told', async () => {
    await add('contended', 'a')
    const outcomes = await Promise.allSettled(['x', 'y'].map((name) => desk.describeDevice(device('contended'), { groups: [group(name)] })))
    expect(outcomes.map((o) => o.status).toSorted()).toEqual(['fulfilled', 'rejected'])
    expect(await refusal(desk.describeDevice(device('contended'), { groups: [], revision: 1 }))).toMatchObject({ reason: 'revision-conflict' })
    expect(await desk.describeDevice(device('contended'), { groups: [], revision: 2 })).toMatchObject({ groups: [], revision: 3 })
    expect(await refusal(desk.describeDevice(device('contended'), { attributes: { model: 'a/b' } }))).toMatchObject({ reason: 'attribute-invalid' })
  })

  test('a device belongs to the tenant that is named, or to the one that there is', async () => {
    expect(await desk.addDevice({ id: device('theirs'), groups: [], attributes: {}, tenant: 'acme' as TenantId })).toMatchObject({ tenant: 'acme' })
    expect(await add('ours')).toMatchObject({ tenant: 'default' })
    expect(await desk.device(device('theirs'))).toMatchObject({ tenant: 'acme' })
  })

  test('a change of state closes the sessions after the view has taken it in, and repeating it changes nothing', async () => {
    await add('stated', 'sensors')
    const seen: (string | undefined)[] = []
    const witnessed = house.desk({
      closed: (match) => {
        seen.push('device' in match ? house.home.view.device(match.device)?.state : undefined)
        return Promise.resolve(2)
      },
    })
    expect(await witnessed.changeDevice(device('stated'), 'suspend')).toMatchObject({ state: 'suspended', revision: 2, sessionsClosed: 2 })
    expect(await witnessed.changeDevice(device('stated'), 'suspend')).toMatchObject({ state: 'suspended', revision: 2 })
    expect(seen).toEqual(['suspended', 'suspended'])
    expect(await witnessed.changeDevice(device('stated'), 'resume')).toMatchObject({ state: 'active' })
    expect(await witnessed.changeDevice(device('stated'), 'retire')).toMatchObject({ state: 'retired' })
    expect(await refusal(desk.changeDevice(device('stated'), 'resume'))).toMatchObject({ code: 'refused', reason: 'state-transition' })
  })
})

describe('enrollment', () => {
  test('the certificate is for the key of the request, comes with its chain, and asking again gives the same', async () => {
    await add('enrolled', 'sensors')
    const key = newKey()
    const first = await desk.enroll(device('enrolled'), makeCsr(key, 'enrolled'))
    const leaf = new X509Certificate(first.certificate)
    const issuing = new X509Certificate(first.chain[0] ?? '')
    expect(leaf.publicKey.equals(createPublicKey(key))).toBe(true)
    expect(leaf.verify(issuing.publicKey) && issuing.verify(new X509Certificate(first.root).publicKey)).toBe(true)
    expect(leaf.subject).toContain('CN=enrolled')
    expect(leaf.serialNumber.toLowerCase()).toBe(first.serial)
    expect((await desk.enroll(device('enrolled'), makeCsr(key, 'enrolled'))).serial).toBe(first.serial)
  })

  test.each<[string, () => string, DenyReason]>([
    ['the name of another device', () => makeCsr(newKey(), 'somebody-else'), 'csr-name-mismatch'],
    ['no request', () => 'hello', 'csr-malformed'],
    ['a request with one bit turned', () => {
      const parsed = decodePem(makeCsr(newKey(), 'asking'), 'CERTIFICATE REQUEST')
      const der = Buffer.from(parsed.allow ? (parsed.value[0] ?? []) : [])
      der[der.length - 1]! ^= 1
      return `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString('base64').replaceAll(/.{64}/g, '$&\n')}\n-----END CERTIFICATE REQUEST-----\n`
    }, 'csr-signature-invalid'],
  ])('%s is refused', async (_, csr, reason) => {
    if (house.home.view.device(device('asking')) === undefined) await add('asking')
    expect(await refusal(desk.enroll(device('asking'), csr()))).toMatchObject({ code: 'refused', reason })
    expect((await desk.device(device('asking'))).certificates).toEqual([])
  })

  test('the key of another device is refused, and so is a suspended device; a resumed one is served', async () => {
    await add('owner')
    await add('thief')
    const key = newKey()
    await desk.enroll(device('owner'), makeCsr(key, 'owner'))
    expect(await refusal(desk.enroll(device('thief'), makeCsr(key, 'thief')))).toMatchObject({ reason: 'key-in-use' })
    await desk.changeDevice(device('thief'), 'suspend')
    expect(await refusal(desk.enroll(device('thief'), makeCsr(newKey(), 'thief')))).toMatchObject({ reason: 'device-suspended' })
    await desk.changeDevice(device('thief'), 'resume')
    expect(await desk.enroll(device('thief'), makeCsr(newKey(), 'thief'))).toMatchObject({ device: 'thief' })
  })
})

describe('revocation', () => {
  test('when the sessions are asked to close, registry and view say revoked already; the answer counts them', async () => {
    const { serial } = await house.device('cut')
    const seen: unknown[] = []
    const witnessed = house.desk({
      closed: (match) => {
        const { issuer, serial: named } = match as { issuer: never; serial: SerialNumber }
        seen.push(house.home.view.certificate(issuer, named)?.state, house.home.registry.certificate(issuer, named)?.state)
        return Promise.resolve(3)
      },
    })
    const answer = await witnessed.revoke({ device: device('cut') }, 'keyCompromise')
    expect(answer).toMatchObject({ revoked: [serial], sessionsClosed: 3 })
    expect(answer.closedMs).toBeGreaterThanOrEqual(0)
    expect(seen).toEqual(['revoked', 'revoked'])
    const record = await desk.certificate(serial)
    expect(record).toMatchObject({ state: 'revoked', revocationReason: 'keyCompromise', device: 'cut' })
    const tail = await desk.auditTail(5)
    expect(tail.at(-1)).toMatchObject({ event: { action: 'certificate-revoked' }, device: { id: 'cut' }, user: { name: 'local' } })
  })

  test('asking twice is asking once: the first reason stays, the serial is named again', async () => {
    const { serial } = await house.device('again')
    await desk.revoke({ serial }, 'keyCompromise')
    expect(await desk.revoke({ device: device('again') }, 'superseded')).toMatchObject({ revoked: [serial], sessionsClosed: 0 })
    expect(await desk.certificate(serial)).toMatchObject({ revocationReason: 'keyCompromise' })
  })

  test('of many who revoke at the same time nobody is refused, and it happens once', async () => {
    const { serial } = await house.device('stormed')
    const answers = await Promise.all(Array.from({ length: 20 }, () => desk.revoke({ device: device('stormed') }, 'keyCompromise')))
    expect(answers.every((a) => a.revoked[0] === serial)).toBe(true)
    const revoked = (await desk.auditTail(100)).filter((r) => (r['event'] as { action: string }).action === 'certificate-revoked' && (r['device'] as { id?: string } | undefined)?.id === 'stormed')
    expect(revoked).toHaveLength(1)
  })

  test('a device without certificates and a serial that nobody has are not found', async () => {
    await add('bare')
    expect(await refusal(desk.revoke({ device: device('bare') }, 'unspecified'))).toMatchObject({ code: 'not-found', reason: 'certificate-not-found' })
    expect(await refusal(desk.revoke({ serial: 'ffff' as SerialNumber }, 'unspecified'))).toMatchObject({ code: 'not-found', reason: 'certificate-not-found' })
  })

  test('the last operator in force stays; with a second one, the first may go', async () => {
    expect(await refusal(desk.revoke({ serial: house.operator.serial }, 'keyCompromise'))).toMatchObject({ code: 'refused', reason: 'last-admin' })
    const second = await house.issue('operator', 'second')
    expect((await desk.revoke({ serial: second.serial }, 'superseded')).revoked).toEqual([second.serial])
    expect(await refusal(desk.revoke({ serial: house.operator.serial }, 'keyCompromise'))).toMatchObject({ reason: 'last-admin' })
  })

  test('of the last two, revoked in one turn, one stays', async () => {
    const second = await house.issue('operator', 'third')
    const [first, last] = await Promise.allSettled([desk.revoke({ serial: second.serial }, 'keyCompromise'), desk.revoke({ serial: house.operator.serial }, 'keyCompromise')])
    expect(first).toMatchObject({ status: 'fulfilled', value: { revoked: [second.serial] } })
    expect(last).toMatchObject({ status: 'rejected', reason: { code: 'refused', reason: 'last-admin', message: expect.stringContaining('Nobody would be left') } })
    expect(await desk.certificate(house.operator.serial)).toMatchObject({ state: 'active' })
  })
})

describe('when the registry cannot record', () => {
  /** A desk whose registry fails, and what it decrees. */
  function onAFailingDisk(): { readonly desk: Desk; readonly decreed: unknown[] } {
    const decreed: unknown[] = []
    const registry = { ...house.home.registry, commit: () => Promise.reject(new SallyportError('internal', 'The file could not be written.')) }
    return {
      decreed,
      desk: openDesk({
        registry, view: house.home.view, audit: house.home.audit, authority: house.organisation.authority, policies: house.policies, ca: house.home, clock: Date.now,
        sessions: { closed: (match) => Promise.resolve(void decreed.push(['closed', match])).then(() => 1) },
        decrees: { decree: (changes) => void decreed.push(...changes), lift: (id) => void decreed.push(['lifted', id]) },
      }, { kind: 'local' }),
    }
  }

  test('a revocation is decreed and its sessions are ended; the answer is a failure that says so, and the repeat is the first of all records', async () => {
    const { serial } = await house.device('unrecorded')
    const failing = onAFailingDisk()
    expect(await refusal(failing.desk.revoke({ device: device('unrecorded') }, 'keyCompromise'))).toMatchObject({ code: 'internal', fix: expect.stringContaining('repeat') as string })
    expect(failing.decreed).toMatchObject([{ kind: 'certificate-revoked', serial }, ['closed', { serial }]])
    expect(await desk.certificate(serial)).toMatchObject({ state: 'active' })
    expect(await desk.revoke({ device: device('unrecorded') }, 'keyCompromise')).toMatchObject({ revoked: [serial] })
    expect(await desk.certificate(serial)).toMatchObject({ state: 'revoked' })
  })

  test('a suspension is decreed, and taken back by whoever resumes the device', async () => {
    await add('held')
    const failing = onAFailingDisk()
    expect(await refusal(failing.desk.changeDevice(device('held'), 'suspend'))).toMatchObject({ code: 'internal' })
    expect(await failing.desk.changeDevice(device('held'), 'resume')).toMatchObject({ state: 'active' })
    expect(failing.decreed).toMatchObject([{ kind: 'device-state', state: 'suspended' }, ['closed', { device: 'held' }], ['lifted', 'held'], ['closed', { device: 'held' }]])
  })

  test('what gives access is not decreed, and neither is the end of an operator: only the registry knows the last one', async () => {
    await add('resting')
    await desk.changeDevice(device('resting'), 'suspend')
    const failing = onAFailingDisk()
    await expect(failing.desk.changeDevice(device('resting'), 'resume')).rejects.toThrow('The file could not be written.')
    await expect(failing.desk.revoke({ serial: house.operator.serial }, 'keyCompromise')).rejects.toThrow('The file could not be written.')
    expect(failing.decreed).toEqual([])
  })
})

describe('questions', () => {
  test('explain names the rule, its place and what it was filled in with', async () => {
    await add('asked', 'sensors')
    expect(await desk.explain({ device: device('asked'), publish: 't/asked/a', qos: 1 })).toMatchObject({ effect: 'allow', reason: 'granted', rule: 'sensor', at: { file: 'policy.yaml' }, bindings: { 'device.id': 'asked' }, generation: 1 })
    expect(await desk.explain({ device: device('asked'), publish: 't/other/a' })).toMatchObject({ effect: 'deny', reason: 'publish-not-granted' })
    expect(await desk.explain({ device: device('asked'), subscribe: 't/#' })).toMatchObject({ effect: 'deny', reason: 'subscribe-not-granted' })
    expect(await refusal(desk.explain({ device: device('asked'), publish: 'a', subscribe: 'a' }))).toMatchObject({ reason: 'request-invalid' })
  })

  test('why knows what was refused in the name of somebody who was never registered, and says that it was only claimed', async () => {
    house.home.audit.record({ kind: 'refusal', at: Date.now(), step: 'tls', reason: 'tls-untrusted-issuer', claimed: 'stranger', source: { address: '192.0.2.1', port: 1 } })
    const { refusals } = await desk.why(device('stranger'))
    expect(refusals).toMatchObject([{ reason: 'tls-untrusted-issuer', step: 'tls', claimed: true, source: '192.0.2.1' }])
    expect(refusals[0]?.sentence).toMatch(/\.$/)
    expect(refusals[0]?.fix).toMatch(/\.$/)
  })

  test('why tells how often a device was refused, and a noisy neighbour behind the same address hides nobody', async () => {
    const [noisy, quiet] = [device('noisy'), device('quiet')]
    const refused = (id: typeof noisy): void => house.home.audit.record({ kind: 'refusal', at: 1, step: 'policy', reason: 'publish-denied', device: id, source: { address: '192.0.2.7', port: 1 } })
    for (let i = 0; i < 40; i++) refused(noisy)
    refused(quiet)
    expect((await desk.why(quiet)).refusals).toMatchObject([{ reason: 'publish-denied' }])
    const { refusals } = await desk.why(noisy)
    expect(refusals).toHaveLength(11)
    expect(refusals.filter((r) => r.count !== undefined)).toMatchObject([{ reason: 'publish-denied', count: 30, source: '192.0.2.7' }])
  })

  test('the pages of a list are complete and without repetition', async () => {
    const seen: string[] = []
    let after: string | undefined
    do {
      const page = await desk.devices({ limit: 3, after })
      seen.push(...page.items.map((d) => d.id))
      after = page.next
    } while (after !== undefined)
    expect(seen).toEqual([...new Set(seen)].toSorted())
    expect(seen).toHaveLength(house.home.view.size.devices)
  })

  test('the CAs are shown with their fingerprints', async () => {
    const cas = await desk.cas()
    expect(cas.map((ca) => [ca.name, ca.role])).toEqual([['root', 'root'], ['issuing-1', 'issuing']])
    expect(cas[0]?.sha256).toBe(new X509Certificate(house.root).fingerprint256.replaceAll(':', '').toLowerCase())
  })

  test('the audit log of all this verifies', async () => {
    expect(await desk.auditVerify()).toMatchObject({ intact: true })
  })
})

// Revoking by group, CA and window over a real registry: who is meant and nobody else, what a dry run tells, and the number
// that must not have grown.

import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openHouse, device, group, type House } from './http/house.ts'
import type { Desk } from '../src/core/desk.ts'
import type { CaName } from '../src/core/ids.ts'
import type { RevocationChoice } from '../src/core/mass-revocation.ts'

let house: House
let desk: Desk
beforeEach(async () => {
  house = await openHouse()
  desk = house.desk({ closed: () => Promise.resolve(1), connected: () => 1 })
})
afterEach(() => house[Symbol.asyncDispose]())

const states = async (): Promise<Record<string, string>> =>
  Object.fromEntries((await desk.certificates({ limit: 100 })).items.map((c) => [c.device ?? c.profile, c.state]))
const revoke = (choice: RevocationChoice, more: { readonly dryRun?: boolean; readonly atMost?: number } = {}): ReturnType<Desk['revokeMany']> => desk.revokeMany({ choice, reason: 'keyCompromise', dryRun: false, ...more })

async function inLab(id: string): Promise<void> {
  await house.device(id)
  await desk.describeDevice(device(id), { groups: [group('lab')] })
}

describe('revoking many', () => {
  test('a dry run counts, names the first devices, and changes nothing', async () => {
    for (let i = 0; i < 12; i++) await house.device(`d-${String(i).padStart(2, '0')}`)
    const before = await states()
    expect(await revoke({ group: group('sensors') }, { dryRun: true })).toEqual({ dryRun: true, certificates: 12, devices: 12, sessions: 12, closedMs: 0, first: Array.from({ length: 10 }, (_, i) => `d-${String(i).padStart(2, '0')}`) })
    expect(await states()).toEqual(before)
  })

  test('a group is revoked with its sessions, and nobody else is', async () => {
    await house.device('s-1')
    await inLab('l-1')
    expect(await revoke({ group: group('lab') })).toMatchObject({ certificates: 1, devices: 1, sessions: 1 })
    expect(await states()).toMatchObject({ 's-1': 'active', 'l-1': 'revoked' })
    expect(await revoke({ group: group('lab') })).toMatchObject({ certificates: 0 })
  })

  test('a CA: its devices, and not the operator or the server, who would be locked out', async () => {
    await house.device('s-1')
    const claim = await house.issue('claim', 'line-1')
    expect(await revoke({ ca: 'issuing-1' as CaName })).toMatchObject({ certificates: 2, devices: 1 })
    expect(await states()).toMatchObject({ 's-1': 'revoked', operator: 'active', server: 'active' })
    expect((await desk.certificate(claim.serial)).state).toBe('revoked')
    await expect(revoke({ ca: 'elsewhere' as CaName })).rejects.toMatchObject({ reason: 'request-invalid' })
  })

  test('a window takes its first millisecond and not its last', async () => {
    const { serial } = await house.device('s-1')
    const { createdAt } = await desk.certificate(serial)
    for (const [issuedAfter, issuedBefore, certificates] of [[createdAt + 1, createdAt + 9, 0], [createdAt - 9, createdAt, 0], [createdAt, createdAt + 1, 1]] as const) {
      expect(await revoke({ issuedAfter, issuedBefore })).toMatchObject({ certificates })
    }
  })

  test('all that is said must hold', async () => {
    await inLab('l-1')
    expect(await revoke({ group: group('lab'), issuedBefore: 1 })).toMatchObject({ certificates: 0 })
    expect(await revoke({ group: group('lab'), issuedAfter: 1 })).toMatchObject({ certificates: 1 })
  })

  test('more than was counted is refused, and nothing is revoked', async () => {
    await house.device('s-1')
    await house.device('s-2')
    await expect(revoke({ group: group('sensors') }, { atMost: 1 })).rejects.toMatchObject({ reason: 'revision-conflict' })
    expect(await states()).toMatchObject({ 's-1': 'active', 's-2': 'active' })
    expect(await revoke({ group: group('sensors') }, { atMost: 2 })).toMatchObject({ certificates: 2 })
  })

  test('twenty at once revoke each certificate once', async () => {
    for (let i = 0; i < 5; i++) await house.device(`d-${i}`)
    const answers = await Promise.all(Array.from({ length: 20 }, () => revoke({ group: group('sensors') })))
    expect(answers.reduce((sum, { certificates }) => sum + certificates, 0)).toBe(5)
  })
})

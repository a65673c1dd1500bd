import { expect, test } from 'vitest'
import { openAccount } from './account.ts'

const message = (number: number, fields: { readonly qos?: number; readonly dup?: boolean } = {}): { stream: string; number: number; qos: number; dup: boolean } => ({ stream: 's', number, qos: 1, dup: false, ...fields })

function accountOf(count: number) {
  const account = openAccount(['h'])
  for (let i = 0; i < count; i++) account.said('s')
  return account
}

test('what was acknowledged is owed until it is heard; what was not is not', () => {
  const account = accountOf(2)
  account.acknowledged('s', 1)
  expect([...account.owed('h')]).toEqual(['s 1'])
  account.heard('h', message(1))
  expect([...account.owed('h')]).toEqual([])
  // Delivery may come before the acknowledgement.
  account.heard('h', message(2))
  account.acknowledged('s', 2)
  expect([...account.owed('h')]).toEqual([])
  expect(account.faults).toEqual([])
})

test('a gap is no fault of order, a step back is', () => {
  const account = accountOf(3)
  account.heard('h', message(1))
  account.heard('h', message(3))
  expect(account.faults).toEqual([])
  account.heard('h', message(2))
  expect(account.faults).toEqual([expect.stringContaining('s 2 for the first time after 3')])
})

test('QoS 1 may come again when it is marked or was said again, QoS 2 never', () => {
  const account = accountOf(3)
  for (const number of [1, 2, 3]) account.heard('h', message(number))
  account.heard('h', message(1, { dup: true }))
  account.saidAgain('s', 2)
  account.heard('h', message(2))
  expect(account.faults).toEqual([])
  account.heard('h', message(3))
  expect(account.faults).toHaveLength(1)
  account.heard('h', message(1, { qos: 2, dup: true }))
  expect(account.faults).toHaveLength(2)
})

test('what nobody has said is a fault', () => {
  const account = accountOf(1)
  account.heard('h', message(2))
  expect(account.faults).toEqual([expect.stringContaining('nobody has said')])
})

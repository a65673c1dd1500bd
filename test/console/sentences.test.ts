import { describe, expect, test } from 'vitest'
import { commandIn, disconnects, healthOf, inside, marksIn, marksOf, placeOf, sentenceOf, standingOf, triedIn, truthOf } from '../../src/console/sentences.ts'
import { REASONS } from '../../src/vocabulary.ts'

const NOBODY = { devices: 10, concerned: 0, losing: 0, gaining: 0, shutOut: 0, letIn: 0, sessionsEnding: 0, subscriptionsLost: 0 }

describe('the search', () => {
  test('leads from a serial to its certificate, from a reason to its refusals, from anything else to devices', () => {
    expect(placeOf('49:25:E6:EF:21:17:D5:7D')).toBe('/certificates?serial=4925e6ef2117d57d')
    expect(placeOf('certificate-expired')).toBe('/refusals?reason=certificate-expired')
    expect(placeOf(' pump 7&x=1 ')).toBe('/devices?q=pump%207%26x%3D1')
  })

  test('is led by no word that every object knows', () => {
    expect(placeOf('constructor')).toBe('/devices?q=constructor')
    expect(placeOf('__proto__')).toBe('/devices?q=__proto__')
  })
})

test('the line of truth counts what there is', () => {
  const counts = { devices: { total: 4_200, byState: {} }, connected: { devices: 4_182, sessions: 4_190 }, refused: { hour: 3, day: 9, byReason: [] } }
  const said = (data: Parameters<typeof truthOf>[0]): string => truthOf(data).map(([words]) => words).join('')
  expect(said(counts)).toBe('4,182 of 4,200 devices connected; 3 connections refused in the last hour.')
  expect(said({ ...counts, refused: { ...counts.refused, hour: 0 } })).toBe('4,182 of 4,200 devices connected; nobody refused in the last hour.')
  expect(said({ ...counts, devices: { total: 0, byState: {} } })).toBe('No device is registered yet.')
})

test('the health says the worst thing first', () => {
  const well = { version: '1', sessions: 0, policyGeneration: 1, sessionStore: { ok: true }, expiring: [] }
  expect(healthOf(well)).toEqual(['good', 'Serving'])
  expect(healthOf({ ...well, expiring: [{ notAfter: 0 }] })).toEqual(['soon', "1 certificate of the server's own expires soon"])
  expect(healthOf({ ...well, expiring: [{ notAfter: 0 }], sessionStore: { ok: false } })[0]).toBe('bad')
})

test('what is disconnected is counted, and not invented', () => {
  expect([disconnects(1), disconnects(2), disconnects(0), disconnects(undefined)]).toEqual(['Disconnects 1 session now.', 'Disconnects 2 sessions now.', 'It is not connected now.', 'Disconnects whatever sessions it has now.'])
})

test('what a change of policy means is said, the worst first', () => {
  expect(sentenceOf(NOBODY)).toBe('No device loses or gains anything.')
  expect(sentenceOf({ ...NOBODY, concerned: 3, losing: 2, shutOut: 1, gaining: 1 })).toBe('Of 10 devices: 1 device lose every grant, 2 devices lose something, 1 device gain something.')
})

test('a sentence within another begins small, unless with a name', () => {
  expect([inside('The device is suspended.'), inside('No grant allows it.'), inside('MQTT was not spoken.')]).toEqual(['the device is suspended', 'no grant allows it', 'MQTT was not spoken'])
})

describe('the command of a fix', () => {
  test('is about this topic', () => {
    const { fix } = REASONS['publish-not-granted']
    expect(commandIn(fix, 'pump-7', 't/a b')).toBe("sallyport policy explain --device pump-7 --publish 't/a b'")
    expect(commandIn(fix, 'pump-7')).toBeUndefined()
  })

  test('is for this device', () => {
    expect(commandIn(REASONS['certificate-expired'].fix, 'pump-7')).toBe('sallyport device bundle pump-7')
    expect(commandIn('See the present state: sallyport device show ID.', 'PUMP')).toBe('sallyport device show PUMP')
  })

  test('is left out where nobody knows the device, or there is none', () => {
    expect(commandIn(REASONS['certificate-expired'].fix, undefined)).toBeUndefined()
    expect(commandIn('Nothing on the device; it may try again.', 'pump-7')).toBeUndefined()
  })

  test('is never one that a person has to complete', () => {
    for (const { fix } of Object.values(REASONS)) expect(commandIn(fix, 'pump-7') ?? '').not.toMatch(/\b(ID|NAME|DEVICE|FILE|ROLE|S)\b/)
  })
})

test('a token is open until its last use, its end, or somebody says otherwise', () => {
  const token = { uses: 0, usesMax: 1, expiresAt: 100 }
  expect(standingOf(token, 99)).toEqual(['good', 'open'])
  expect(standingOf(token, 100)[1]).toBe('expired')
  expect(standingOf({ ...token, uses: 1 }, 99)[1]).toBe('used up')
  expect(standingOf({ ...token, suspendedAt: 1 }, 99)[1]).toBe('suspended')
  expect(standingOf({ ...token, suspendedAt: 1, revokedAt: 2 }, 99)[1]).toBe('revoked')
})

test('a complaint marks the lines that it names, of files that are there', () => {
  const files = [{ name: 'policy.yaml', text: '' }]
  expect(marksIn({ title: 'The policy has 2 problems.', detail: 'policy.yaml:12:3: unknown key "publsh"\nother.yaml:1: x\npolicy.yaml:14: twice' }, files)).toEqual([
    { file: 'policy.yaml', line: 12, message: 'unknown key "publsh"', isError: true }, { file: 'policy.yaml', line: 14, message: 'twice', isError: true },
  ])
})

test('what is found in a text is marked at its lines, as a mistake or as what is hardly ever meant', () => {
  const at = { file: 'policy.yaml', line: 3, column: 5 }
  expect(marksOf({ findings: [{ severity: 'error', rule: 'r', at, message: 'm' }, { severity: 'warning', rule: 'w', at: { ...at, file: 'gone.yaml' }, message: 'm' }] }, [{ name: 'policy.yaml', text: '' }])).toEqual([{ file: 'policy.yaml', line: 3, message: 'r: m', isError: true }])
  expect(marksOf({}, [])).toEqual([])
})

test('a refusal about a topic says what was tried, and any other one says nothing', () => {
  expect(['publish-not-granted', 'subscribe-denied', 'receive-not-granted', 'will-not-granted', 'publisher', 'certificate-expired'].map(triedIn)).toEqual(['publish', 'subscribe', 'receive', 'will', undefined, undefined])
})

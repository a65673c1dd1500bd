// Passwords from a factory: what counts as chance, and what nobody would take for it.

import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { DeviceId } from '../../src/core/ids.ts'
import { estimatedBits, parseDevicePassword } from '../../src/core/password.ts'
import { detailOf, reasonOf } from './facts.ts'

const ID = 'pump-17' as DeviceId
const outcome = (text: string, id = ID): string => reasonOf(parseDevicePassword(text, id))

describe('a password of a factory', () => {
  test.each([
    ['12 random letters and digits', 'k7Qm2Rv9xLpW'], ['16 hexadecimal digits', '9f3b07d1e6a2c854'], ['22 random digits', '8304726195036274185940'], ['26 of base 32', '8DNKT53XJW87S9W1ACQKYNZD2B'],
    ['with signs, colons and slashes', 'a:b/C+d=9"x,%&'], ['128 letters', 'k7Qm2Rv9xLpW3bN8'.split('').map((c, i) => c + String.fromCharCode(33 + ((i * 37) % 90))).join('').repeat(4)],
  ])('%s is taken', (_, text) => {
    expect(outcome(text)).toBe('allowed')
  })

  test.each([
    ['nothing', '', '0 letters'], ['11 letters', 'k7Qm2Rv9xLp', '11 letters'], ['129 letters', 'k7Qm2Rv9xLpW3'.repeat(10).slice(0, 129), '129 letters'],
    ['one letter over and over', 'a'.repeat(40), 'bits'], ['a row', '0123456789abcdefghij', 'bits'], ['a row downwards', 'zyxwvutsrqponmlkjihgfedcba', 'bits'], ['a piece over and over', 'x9Qx9Qx9Qx9Qx9Qx9Qx9Q', 'bits'],
    ['12 digits', '830472619503', 'bits'], ['what people choose', 'password1234', 'bits'], ['its device', 'XyZ-Pump-17-k7Qm2', 'the device id'],
    ['a space', 'k7Qm2Rv9 xLpW', 'ASCII'], ['a NUL', 'k7Qm2Rv9\0xLpW', 'ASCII'], ['an umlaut', 'k7Qm2Rv9üxLpW', 'ASCII'], ['a line break', 'k7Qm2Rv9xLpW\n', 'ASCII'],
  ])('%s is refused, and not said again', (_, text, why) => {
    const judged = parseDevicePassword(text, ID)
    expect(reasonOf(judged)).toBe('password-weak')
    expect(detailOf(judged)).toContain(why)
    expect(text.length > 3 && (detailOf(judged) ?? '').includes(text)).toBe(false)
  })

  test('the id of another device, and one of three letters, may stand in it', () => {
    expect(outcome('XyZ-Pump-17-k7Qm2', 'pump-18' as DeviceId)).toBe('allowed')
    expect(outcome('k7Qm2Rv9xLpW', 'k7Q' as DeviceId)).toBe('allowed')
    expect(outcome('k7Qm2Rv9xLpW', 'k7Qm' as DeviceId)).toBe('password-weak')
  })

  test('an estimate is never more than all letters by chance, and a letter more is never worth less', () => {
    const printable = fc.string({ unit: fc.integer({ min: 33, max: 126 }).map((code) => String.fromCharCode(code)), maxLength: 40 })
    fc.assert(fc.property(printable, printable, (a, b) => {
      expect(estimatedBits(a)).toBeLessThanOrEqual(a.length * Math.log2(94) + 1e-9)
      expect(estimatedBits(a + b)).toBeGreaterThanOrEqual(estimatedBits(a) - 1e-9)
    }))
  })

  test('of 12 random letters and digits nearly all are taken', () => {
    const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'
    let [seed, taken] = [12_345, 0]
    const next = (): number => (seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31) >> 8
    for (let i = 0; i < 1_000; i++) if (outcome(Array.from({ length: 12 }, () => letters[next() % letters.length]).join('')) === 'allowed') taken++
    expect(taken).toBeGreaterThan(990)
  })
})

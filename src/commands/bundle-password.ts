// Passwords of PKCS#12 bundles: one that is read from a file, or one that is made here. None is ever an argument, which every user of
// the machine could read.

import { createHmac, randomBytes } from 'node:crypto'
import { readSecretFile } from '../ca/key-file.ts'
import { SallyportError } from '../core/errors.ts'
import { KEY_STORE_LIMITS } from '../bundle-limits.ts'

/** Crockford's base 32: nothing in it is taken for something else when it is typed. */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
/** 130 bits. */
const MADE_CHARS = 26
const SECRET_BYTES = 32

export interface BundlePassword {
  readonly password: string
  readonly rounds: number
  /** It was made here: whoever gets the bundle has to be told. */
  readonly isMade: boolean
}

export const newPasswordSecret = (): string => randomBytes(SECRET_BYTES).toString('hex')

/** The password of this device's bundle: of one secret for each device another one, and the same again when it is asked for again. */
export function madePassword(secret: string, device: string): BundlePassword {
  const bytes = createHmac('sha256', Buffer.from(secret, 'hex')).update(device).digest().subarray(0, MADE_CHARS)
  return { password: Array.from(bytes, (byte) => ALPHABET[byte & 31]).join(''), rounds: KEY_STORE_LIMITS.roundsOfMadePassword, isMade: true }
}

/**
 * The first line of a file that nobody else may read. ASCII alone: of other letters programs make different keys. Failures:
 * 'key-unreadable', 'key-permissions', 'refused'.
 */
export function chosenPassword(file: string): BundlePassword {
  const { passwordCharsMin: min, passwordCharsMax: max } = KEY_STORE_LIMITS
  const password = readSecretFile(file).toString('latin1').replace(/\r?\n$/, '')
  if (!/^[ -~]*$/.test(password) || password.length < min || password.length > max) {
    throw new SallyportError('refused', `The password in ${file} is not one line of ${min} to ${max} letters of ASCII.`, { fix: 'Choose a longer one, or leave --password-file out: then one is made.' })
  }
  return { password, rounds: KEY_STORE_LIMITS.roundsOfChosenPassword, isMade: false }
}

// One credential that was stolen and is shown from everywhere: it may ask as often as one address may, whoever shows it, and keeps
// neither the CA nor other devices busy. And nobody keeps a device waiting who only knows the name of its token.

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { privateKey } from '../../device-sim/forge/keys.ts'
import { forgeRequest } from '../../device-sim/forge/request.ts'
import { ENROLL_LIMITS } from '../../src/enrollment-limits.ts'
import { RENEWAL_LIMITS } from '../../src/renewal-limits.ts'
import { CERTIFIED, openDoor, outcome, pemIn, type Door } from './door.ts'

let door: Door
beforeAll(async () => {
  door = await openDoor()
})
afterEach(() => door.clockAt())
afterAll(() => door[Symbol.asyncDispose]())

const AT_ONCE = 20
const BEYOND = 20
/** So many requests with this token, each from an address of its own. */
async function everywhere(count: number, token: string, csr: string, network: number): Promise<readonly string[]> {
  const outcomes: string[] = []
  let next = 0
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    while (next < count) {
      const i = next++
      outcomes.push(outcome(await door.post('simpleenroll', csr, { token, from: `127.${network}.${i >> 7}.${(i & 127) + 1}` })))
    }
  }))
  return outcomes
}

describe('a token', () => {
  test('that is shown from everywhere is told to wait, beyond what one address may; another one is not, nor this one after a while', async () => {
    const [id, other] = [await door.fresh(), await door.fresh()]
    const token = await door.tokenFor(id, { uses: 2 })
    const stolen = forgeRequest(privateKey(), id)
    const now = Date.now()
    door.clockAt(now)
    const outcomes = await everywhere(ENROLL_LIMITS.tokenBurst + BEYOND, token, stolen, 11)
    expect(outcomes.filter((o) => o === CERTIFIED)).toHaveLength(ENROLL_LIMITS.tokenBurst)
    expect(outcomes.filter((o) => o === '429 token-rate')).toHaveLength(BEYOND)
    const refused = await door.post('simpleenroll', stolen, { token, from: '127.12.0.2' })
    expect(refused).toMatchObject({ status: 429, headers: { 'retry-after': String(ENROLL_LIMITS.rateRetrySeconds) } })
    expect(refused.text).toContain('sallyport token revoke')
    expect(outcome(await door.post('simpleenroll', forgeRequest(privateKey(), other), { token: await door.tokenFor(other) }))).toBe(CERTIFIED)
    door.clockAt(now + ENROLL_LIMITS.rateRetrySeconds * 1_000)
    expect(outcome(await door.post('simpleenroll', forgeRequest(privateKey(), id), { token, from: '127.12.0.1' }))).toBe(CERTIFIED)
  })

  test('whose name is known and whose secret is not is guessed at without end, and the device is served at once', async () => {
    const id = await door.fresh()
    const token = await door.tokenFor(id)
    door.clockAt(Date.now())
    const wrong = `${token.slice(0, -4)}${token.endsWith('0000') ? '1111' : '0000'}`
    const csr = forgeRequest(privateKey(), id)
    expect(new Set(await everywhere(ENROLL_LIMITS.tokenBurst + BEYOND, wrong, csr, 15))).toEqual(new Set(['401 token-unknown']))
    expect(outcome(await door.post('simpleenroll', csr, { token, from: '127.16.0.1' }))).toBe(CERTIFIED)
  })
})

describe('a certificate', () => {
  test('that is shown from everywhere renews a few times, and is then told to wait for a minute; after it the device is served', async () => {
    const id = await door.fresh()
    const key = privateKey()
    const first = await door.post('simpleenroll', forgeRequest(key, id), { token: await door.tokenFor(id) })
    const credential = { cert: pemIn(first.text), key: key.export({ format: 'pem', type: 'pkcs8' }).toString() }
    const now = Date.now()
    door.clockAt(now)
    const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => door.post('simplereenroll', forgeRequest(privateKey(), id), { credential, from: `127.17.0.${i + 1}` })))
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(RENEWAL_LIMITS.burst)
    for (const { status, headers } of answers.filter((a) => a.status !== 200)) expect([status, headers['sallyport-reason'], headers['retry-after']]).toEqual([429, 'renewal-rate', '60'])
    door.clockAt(now + ENROLL_LIMITS.renewalRetrySeconds * 1_000)
    expect(outcome(await door.post('simplereenroll', forgeRequest(privateKey(), id), { credential }))).toBe(CERTIFIED)
  })
})

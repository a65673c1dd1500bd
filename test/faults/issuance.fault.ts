// kill -9 at each step of issuance (E23), on the real program: at every call with which it writes to a disk or to a peer. Whatever a
// client holds is recorded and verifies, no serial number is given twice, a token is good for what it was good for, and the
// published lists are whole and their numbers rise.

import { describe, expect, test } from 'vitest'
import { has } from '../e2e/program.ts'
import { openChance, setting } from './chance.ts'
import { ACTS } from './issuing-acts.ts'
import { walk } from './issuing-walk.ts'
import { canTrace } from './storage.ts'

const SEED = setting('SEED', Date.now() % 1_000_000)
const READY = (await canTrace()) && ['curl', 'openssl'].every((tool) => has(tool))
const WALK_MS = 3_600_000

describe.skipIf(!READY)('killed at each step (needs strace, curl and openssl)', () => {
  test.each(Object.entries(ACTS))('%s', { timeout: WALK_MS }, async (name, prepare) => {
    const { places, killed, wrong } = await walk(prepare, openChance(SEED))
    console.log(`${name}: ${places} places, killed at ${killed} of them, seed ${SEED}`)
    expect(wrong).toEqual([])
    expect(killed, 'a walk on which nobody died has proved nothing').toBeGreaterThan(0)
  })
})

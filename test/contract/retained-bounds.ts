// What every session store is held to about how much a device may leave retained: a part of session-store.ts. The account is
// the device's, over all of its sessions; what goes beyond it is named in `unretained`, and nothing else is changed by it.

import { describe, expect, test } from 'vitest'
import type { SessionKey } from '../../src/core/ids.ts'
import type { Publisher } from '../../src/core/message.ts'
import type { SessionChange } from '../../src/core/session-store.ts'
import { BROKER_LIMITS } from '../../src/limits.ts'
import { cleared, message, NOTHING, publisher, retained, START } from './session-records.ts'
import type { Bench } from './session-store.ts'

const COUNT = BROKER_LIMITS.retainedMessagesPerDeviceMax
const LARGE = BROKER_LIMITS.packetBytesMax - 1_024
/** So many large ones fit, and then a few small ones. */
const LARGE_PER_DEVICE = Math.floor(BROKER_LIMITS.retainedBytesPerDeviceMax / (LARGE + 100))

export function boundsOfRetained(bench: Bench, { durable }: { readonly durable: boolean }): void {
  const leave = async (who: string | Publisher, topic: string, text = 'x'): Promise<readonly string[]> =>
    (await bench.commit(retained(message(topic, text), typeof who === 'string' ? publisher(who) : who))).unretained
  const textOf = async (topic: string): Promise<string | undefined> => {
    const [item] = (await bench.store.retained(topic, undefined, 1)).items
    return item === undefined ? undefined : new TextDecoder().decode(item.message.payload).trim()
  }
  const many = (who: string, count: number, under = who): SessionChange[] => Array.from({ length: count }, (_, i) => retained(message(`${under}/${i}`), publisher(who)))
  const large = (text: string): string => text.padEnd(LARGE)
  const fullOfBytes = (who: string) => bench.commit(...Array.from({ length: LARGE_PER_DEVICE }, (_, i) => retained(message(`${who}/${i}`, large(`${i}`)), publisher(who))))
  const rest = BROKER_LIMITS.retainedBytesPerDeviceMax - LARGE_PER_DEVICE * LARGE

  describe('how much a device may leave retained', () => {
    test('by count, over all of its sessions: what is one too many is named and not kept; of another device, or tenant, it is', async () => {
      expect(await bench.commit(...many('p', COUNT - 1), retained(message('p/last'), publisher('p:2')))).toEqual(NOTHING)
      expect(await leave('p', 'new')).toEqual(['new'])
      expect(await leave('p:2', 'new')).toEqual(['new'])
      expect(await textOf('new')).toBeUndefined()
      expect(await leave('pp', 'new', 'of another device')).toEqual([])
      expect(await leave({ ...publisher('p'), key: 'other/p/p' as SessionKey }, 'newer', 'of another tenant')).toEqual([])
      expect([await textOf('new'), await textOf('newer')]).toEqual(['of another device', 'of another tenant'])
      // What was one's own is replaced, by any of one's sessions; what was not is one more.
      expect([await leave('p:2', 'p/0', 'again'), await leave('p', 'new', 'mine')]).toEqual([[], ['new']])
      expect([await textOf('p/0'), await textOf('new')]).toEqual(['again', 'of another device'])
    })

    test('clearing always works and makes room for one, once, whoever clears and however often', async () => {
      await bench.commit(...many('p', COUNT))
      expect(await bench.commit(cleared('p/0'), cleared('p/0'), cleared('never'))).toEqual(NOTHING)
      expect(await textOf('p/0')).toBeUndefined()
      expect([await leave('p', 'new'), await leave('p', 'newer')]).toEqual([[], ['newer']])
    })

    test('changes of one commit are counted in their order, and each refused topic is named', async () => {
      await bench.commit(...many('p', COUNT - 1))
      const { unretained } = await bench.commit(
        retained(message('1')), retained(message('2'), publisher('p')), retained(message('3'), publisher('p')), cleared('2'), retained(message('4'), publisher('p')), retained(message('3', 'y'), publisher('p')),
      )
      expect(unretained).toEqual(['3', '3'])
      expect([await textOf('1'), await textOf('2'), await textOf('3'), await textOf('4')]).toEqual(['x', undefined, undefined, 'x'])
    })

    test('who replaces the topic of another has it on his account, and the other one has room again', async () => {
      await bench.commit(...many('p', COUNT), ...many('q', COUNT - 1))
      expect([await leave('q', 'p/0', 'of q'), await leave('q', 'p/1', 'of q')]).toEqual([[], ['p/1']])
      expect([await textOf('p/0'), await textOf('p/1')]).toEqual(['of q', 'x'])
      expect([await leave('p', 'new'), await leave('p', 'newer')]).toEqual([[], ['newer']])
      // Cleared, it comes off the account of who has it now.
      await bench.commit(cleared('p/0'))
      expect([await leave('p', 'newer'), await leave('q', 'newer'), await leave('q', 'newest')]).toEqual([['newer'], [], ['newest']])
    })

    test('by bytes: what replaces one\'s own needs only the difference, and what is too much leaves the old one as it was', async () => {
      expect(await fullOfBytes('p')).toEqual(NOTHING)
      expect(await leave('p', 'new', 'y'.repeat(rest))).toEqual(['new'])
      expect(await leave('q', 'new', 'y'.repeat(rest))).toEqual([])
      expect(await leave('p', 'p/0', large('again'))).toEqual([])
      expect(await textOf('p/0')).toBe('again')
      expect(await leave('p', 'p/0', 'z'.repeat(LARGE + rest))).toEqual(['p/0'])
      expect(await textOf('p/0')).toBe('again')
      // A smaller one in its place makes room, and so does taking it away.
      expect(await leave('p', 'p/0', 'small')).toEqual([])
      expect(await leave('p', 'newer', 'y'.repeat(rest))).toEqual([])
      expect(await leave('p', 'p/0', large('large again'))).toEqual(['p/0'])
      await bench.commit(cleared('newer'))
      expect(await leave('p', 'p/0', large('large again'))).toEqual([])
      expect([await textOf('p/0'), await textOf('newer')]).toEqual(['large again', undefined])
    })

    test('by bytes: who replaces the topic of another has all of it on his account', async () => {
      await fullOfBytes('p')
      await fullOfBytes('q')
      expect(await leave('q', 'p/0', large('of q'))).toEqual(['p/0'])
      expect(await leave('q', 'p/0', 'of q')).toEqual([])
      expect(await leave('p', 'new', large('new'))).toEqual([])
      expect(await leave('p', 'newer', large('newer'))).toEqual(['newer'])
    })

    test('one that expires counts, and does not any longer when a read has met it expired', async () => {
      await bench.commit(...many('p', COUNT - 1), retained(message('brief', 'x', { expiresAt: START + 10 }), publisher('p')))
      bench.now = START + 9
      expect([await textOf('brief'), await leave('p', 'new')]).toEqual(['x', ['new']])
      bench.now = START + 10
      expect(await textOf('brief')).toBeUndefined()
      expect([await leave('p', 'new'), await leave('p', 'newer')]).toEqual([[], ['newer']])
    })
  })

  describe.each(durable ? [durable] : [])('how much it may leave retained after a restart, where the store is durable', () => {
    test('is what it was', async () => {
      await bench.commit(...many('p', COUNT - 1))
      await bench.commit(retained(message('of-q', 'x'), publisher('q')))
      await bench.reopen()
      expect([await leave('p', 'p/0', 'again'), await leave('p', 'of-q'), await leave('p', 'new'), await leave('q', 'new')]).toEqual([[], [], ['new'], []])
      await bench.reopen()
      expect([await leave('p', 'newer'), await leave('q', 'of-q'), await leave('p', 'newer')]).toEqual([['newer'], [], []])
    })
  })
}

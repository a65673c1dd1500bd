// What every registry is held to about webhooks.

import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Change, Registry } from '../../src/core/registry.ts'
import type { WebhookRecord } from '../../src/core/webhook.ts'
import { WEBHOOK_LIMITS } from '../../src/feed-limits.ts'
import { NOW } from './records.ts'
import type { RegistryUnderTest } from './registry.ts'

export function registryWebhooksContract(title: string, make: () => Promise<RegistryUnderTest>): void {
  describe(`webhooks in ${title}`, () => {
    let home: RegistryUnderTest
    let registry: Registry
    beforeEach(async () => {
      home = await make()
      registry = await home.open()
    })
    afterEach(async () => {
      registry.close()
      await home.remove()
    })

    const outcome = async (...changes: readonly Change[]): Promise<string> => {
      const committed = await registry.commit(changes, [], [])
      return committed.allow ? 'allowed' : committed.reason
    }
    const hook = (name: string, facts: Partial<WebhookRecord> = {}): WebhookRecord => ({ name, url: 'https://example.org/', kinds: ['refusal', 'policy'], createdAt: NOW, from: { number: 3, offset: 700 }, ...facts })
    const add = (name: string, facts: Partial<WebhookRecord> = {}): Change => ({ kind: 'webhook-added', webhook: hook(name, facts) })
    const remove = (name: string): Change => ({ kind: 'webhook-removed', name, at: NOW })

    test('is read as it was made, through a restart, in the order of names, until it is removed', async () => {
      expect(await outcome(add('b'), add('a', { kinds: [] }))).toBe('allowed')
      registry.close()
      registry = await home.open()
      expect(registry.webhooks()).toEqual([hook('a', { kinds: [] }), hook('b')])
      expect(await outcome(remove('a'))).toBe('allowed')
      expect(registry.webhooks()).toEqual([hook('b')])
      expect(registry.changesAfter(0, 10).map(({ change }) => change)).toEqual([add('b'), add('a', { kinds: [] }), remove('a')])
    })
    test('there are no two of one name, and none is removed that is not there; the name is free then', async () => {
      expect([await outcome(add('a')), await outcome(add('a')), await outcome(remove('b')), await outcome(remove('a')), await outcome(add('a', { url: 'https://example.net/' }))]).toEqual(['allowed', 'webhook-exists', 'webhook-not-found', 'allowed', 'allowed'])
    })
    test('there are as many as may be', async () => {
      for (let i = 0; i < WEBHOOK_LIMITS.webhooksMax; i++) expect(await outcome(add(`h${i}`))).toBe('allowed')
      expect(await outcome(add('more'))).toBe('webhooks-limit')
      expect(await outcome(remove('h0'), add('more'))).toBe('allowed')
    })
  })
}

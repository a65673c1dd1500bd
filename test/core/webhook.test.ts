// What an answer means, how long to wait, and which URLs there are webhooks for.

import { assert, double, integer, property } from 'fast-check'
import { describe, expect, test } from 'vitest'
import { nextAttempt, outcomeOf, parseWebhookUrl } from '../../src/core/webhook.ts'
import { WEBHOOK_LIMITS } from '../../src/feed-limits.ts'

test.each([[200, 'delivered'], [204, 'delivered'], [299, 'delivered'], [300, 'unavailable'], [302, 'unavailable'], [308, 'unavailable'], [400, 'refused'], [401, 'refused'], [404, 'refused'], [408, 'unavailable'], [410, 'unavailable'], [425, 'unavailable'], [429, 'unavailable'], [499, 'refused'], [500, 'unavailable'], [503, 'unavailable'], [101, 'unavailable'], [0, 'unavailable']] as const)('%i is %s', (status, kind) => {
  expect(outcomeOf(status).kind).toBe(kind)
})

describe('the next attempt', () => {
  const away = { kind: 'unavailable', because: 'x' } as const
  const unwanted = { kind: 'refused', status: 400, because: 'x' } as const
  test('comes later each time, up to a bound, and never at once', () => {
    expect([1, 2, 3, 4, 20].map((made) => nextAttempt(away, { made, refused: 0 }, 0, 0))).toEqual([500, 1_000, 2_000, 4_000, 150_000].map((inMs) => ({ inMs })))
    assert(property(integer({ min: 1, max: 1_000 }), double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (attempts, chance) => {
      const next = nextAttempt(away, { made: attempts, refused: 0 }, 0, chance)
      return next !== 'give-up' && next.inMs >= WEBHOOK_LIMITS.retryFirstMs / 2 && next.inMs <= WEBHOOK_LIMITS.retryMaxMs
    }))
  })
  test('of a receiver that is away is made for three days, whatever it takes, and then no more', () => {
    expect(nextAttempt(away, { made: 10_000, refused: 4 }, WEBHOOK_LIMITS.keptMs, 0)).not.toBe('give-up')
    expect(nextAttempt(away, { made: 1, refused: 0 }, WEBHOOK_LIMITS.keptMs + 1, 0)).toBe('give-up')
  })
  test('of what a receiver does not want is made a few times, however young it is', () => {
    expect([4, 5].map((refused) => nextAttempt(unwanted, { made: refused, refused }, 0, 0) === 'give-up')).toEqual([false, true])
  })
  test('of what it refuses once, after an outage of any length, is made all the same', () => {
    expect(nextAttempt(unwanted, { made: 1_000, refused: 1 }, WEBHOOK_LIMITS.keptMs, 0)).toEqual({ inMs: WEBHOOK_LIMITS.retryFirstMs / 2 })
  })
  test('is not made before the receiver wants it, as far as that is within reason', () => {
    const asked = (text: string | undefined, status = 503): unknown => nextAttempt(outcomeOf(status, text) as typeof away, { made: 1, refused: 0 }, 0, 0)
    expect(['7', '1', '0', '86400', undefined, '-1', 'Sat, 01 Jan 2000 00:00:00 GMT', '1e9', ''].map((text) => asked(text))).toEqual([7_000, 1_000, 500, WEBHOOK_LIMITS.goneMs, 500, 500, 500, 500, 500].map((inMs) => ({ inMs })))
    expect([asked(undefined, 410), asked('1', 410)]).toEqual([{ inMs: WEBHOOK_LIMITS.goneMs }, { inMs: WEBHOOK_LIMITS.goneMs }])
  })
})

describe('a URL', () => {
  test.each([['https://hooks.example.org/a?b=c', 'https://hooks.example.org/a?b=c'], ['HTTPS://Example.ORG', 'https://example.org/'], ['https://example.org:8443/x', 'https://example.org:8443/x']])('%s is one', (text, url) => {
    expect(parseWebhookUrl(text)).toEqual({ allow: true, value: url })
  })
  test.each(['http://example.org', 'ftp://example.org', 'javascript:alert(1)', 'file:///etc/passwd', '', 'example.org', 'https://', 'https://user@example.org/', 'https://:secret@example.org/', 'https://example.org/#x', `https://example.org/${'a'.repeat(2_048)}`, 'https://exa mple.org', 'https://exa\nmple.org/', '\thttps://example.org/', 'https:\\\\example.org', 'https://example.org\\@127.0.0.1/', 'https:///example.org', 'https:example.org'])('%j is none', (text) => {
    expect(parseWebhookUrl(text)).toMatchObject({ allow: false, reason: 'webhook-url-invalid' })
  })
  test.each(['https://user:s3cret@example.org/', 'http://example.org/s3cret', 'https://example.org/?key=s3cret#x', 'https://s3cret@exa mple.org', 'https://example.org/#s3cret', `https://example.org/s3cret${'a'.repeat(2_048)}`])('%j is refused without a word of what in it may be a secret', (text) => {
    expect(JSON.stringify(parseWebhookUrl(text))).not.toContain('s3cret')
  })
})

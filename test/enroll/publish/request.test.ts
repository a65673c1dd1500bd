// What a request to publish may say, and what of it is refused before anybody is asked.

import { assert, property, string } from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Decision } from '../../../src/core/decision.ts'
import { parsePublish, isPublish, type PostAsked } from '../../../src/enroll/publish/request.ts'

const said = (target: string, headers: Readonly<Record<string, string>> = {}): Decision<PostAsked> => parsePublish(target, headers)
const topicOf = (target: string): string => {
  const post = said(target)
  return post.allow ? post.value.topic : post.reason
}
const base64 = (text: string): string => Buffer.from(text).toString('base64')

test('a path is one to publish when its first level is "topics", and not when it only begins like it', () => {
  expect(['/topics/a', '/topics/', '/topics', '/topics?qos=1'].map(isPublish)).toEqual([true, true, true, true])
  expect(['/topicsa', '/Topics/a', '//topics/a', '/.well-known/est/topics/a', '/x/topics/a', 'https://localhost/topics/a'].map(isPublish)).toEqual([false, false, false, false, false, false])
})

describe('the topic', () => {
  test('is what stands behind "/topics/", decoded once', () => {
    expect(topicOf('/topics/t/a/b')).toBe('t/a/b')
    expect(topicOf('/topics/t%2Fa%2fb')).toBe('t/a/b')
    expect(topicOf('/topics/t%252Fa')).toBe('t%2Fa')
    expect(topicOf('/topics/%E2%82%AC')).toBe('€')
    expect(topicOf('/topics/a+b')).toBe('a+b')
    expect(topicOf('/topics/a;b=c,d')).toBe('a;b=c,d')
  })
  test('keeps empty levels, dots and a leading slash: MQTT has no directories', () => {
    expect(topicOf('/topics//a')).toBe('/a')
    expect(topicOf('/topics/a//b/')).toBe('a//b/')
    expect(topicOf('/topics/a/../b/./c')).toBe('a/../b/./c')
    expect(topicOf('/topics/a/%2e%2e/b')).toBe('a/../b')
  })
  test('is passed on where it is none, to whoever says so with one voice', () => {
    expect(topicOf('/topics/')).toBe('')
    expect(topicOf('/topics')).toBe('')
    expect(topicOf('/topics/a%00b')).toBe('a\0b')
    expect(topicOf('/topics/a%23')).toBe('a#')
  })
  test.each(['%', '%2', '%zz', '%u0041', '%C0%AF', '%E0%80%AF', '%ED%A0%80', '%F4%90%80%80', '%FF'])('that ends in %s is not UTF-8 in percent signs', (end) => {
    expect(topicOf(`/topics/a${end}`)).toBe('topic-invalid')
  })
  test.each(['/topics/a b', '/topics/a\tb', '/topics/\u00e9', '/topics/a\u0000'])('in %j has a character that a URL cannot have', (target) => {
    expect(topicOf(target)).toBe('publish-request')
  })
  test('of any text comes back as it was', () => {
    assert(property(string({ unit: 'binary' }).filter((text) => !/\p{Cs}/u.test(text)), (text) => {
      expect(topicOf(`/topics/${encodeURIComponent(text)}`)).toBe(text)
      expect(topicOf(`/topics/${text.split('/').map(encodeURIComponent).join('/')}`)).toBe(text)
    }))
  })
})

describe('the query', () => {
  test('says nothing: QoS 0, not retained, no properties', () => {
    expect(said('/topics/a')).toEqual({ allow: true, value: { topic: 'a', qos: 0, retain: false, properties: undefined, expirySeconds: undefined } })
    expect(said('/topics/a?')).toEqual(said('/topics/a'))
  })
  test('says everything, where AWS IoT Core has it', () => {
    expect(said('/topics/a?qos=1&retain=true&contentType=application/ld+json%3Bcharset=utf-8&responseTopic=b%2Fc&messageExpiry=60', {
      'x-amz-mqtt5-payload-format-indicator': 'UTF8_DATA', 'x-amz-mqtt5-correlation-data': base64('id'), 'x-amz-mqtt5-user-properties': base64('[{"b":"1"},{"a":"2"},{"b":"3"},{"__proto__":"4"}]'),
    })).toEqual({ allow: true, value: {
      topic: 'a', qos: 1, retain: true, expirySeconds: 60,
      properties: { payloadFormatIndicator: true, contentType: 'application/ld+json;charset=utf-8', responseTopic: 'b/c', correlationData: Uint8Array.from(Buffer.from('id')), userProperties: [['b', '1'], ['a', '2'], ['b', '3'], ['__proto__', '4']] },
    } })
    expect(Object.hasOwn(Object.prototype, '4')).toBe(false)
  })
  test.each([
    'qos=2', 'qos=', 'qos', 'qos=01', 'qos=1.0', 'qos=%31%20', 'qos=-0', 'QOS=1', 'retain=1', 'retain=TRUE', 'retain=', 'messageExpiry=-1', 'messageExpiry=1.5', 'messageExpiry=4294967296', 'messageExpiry=0x10', 'messageExpiry=',
    'qos=1&qos=1', 'qos=0&qos=1', 'retain=true&qos=1&retain=false', 'topic=b', 'x=1', 'qos=1&', '&qos=1', '&', '=', 'qos=1?retain=true', 'qos=1;retain=true', 'contentType=%FF', '__proto__=1', 'constructor=1', '%71os=1',
  ])('%s is refused, and never guessed', (query) => {
    expect(said(`/topics/a?${query}`)).toMatchObject({ allow: false, reason: 'publish-request' })
  })
  test('has the largest expiry that MQTT has, and none that is larger', () => {
    expect(said('/topics/a?messageExpiry=4294967295')).toMatchObject({ allow: true, value: { expirySeconds: 4_294_967_295 } })
    expect(said('/topics/a?messageExpiry=0')).toMatchObject({ allow: true, value: { expirySeconds: 0 } })
  })
})

describe('the headers', () => {
  test.each([
    ['x-amz-mqtt5-payload-format-indicator', 'utf8_data'], ['x-amz-mqtt5-payload-format-indicator', '1'], ['x-amz-mqtt5-payload-format-indicator', 'UTF8_DATA, UTF8_DATA'],
    ['x-amz-mqtt5-correlation-data', 'a'], ['x-amz-mqtt5-correlation-data', 'aWQ'], ['x-amz-mqtt5-correlation-data', 'aWQ=, aWQ='], ['x-amz-mqtt5-correlation-data', 'aW_-'],
    ['x-amz-mqtt5-user-properties', '[{"a":"b"}]'], ['x-amz-mqtt5-user-properties', base64('{"a":"b"}')], ['x-amz-mqtt5-user-properties', base64('["a"]')], ['x-amz-mqtt5-user-properties', base64('[{"a":1}]')],
    ['x-amz-mqtt5-user-properties', base64('[{"a":"b","c":"d"}]')], ['x-amz-mqtt5-user-properties', base64('[{}]')], ['x-amz-mqtt5-user-properties', base64('[null]')], ['x-amz-mqtt5-user-properties', base64('[[]]')],
    ['x-amz-mqtt5-user-properties', base64('[{"a":"\\u0000"}]')], ['x-amz-mqtt5-user-properties', base64('[{"\\ud800":"b"}]')], ['x-amz-mqtt5-user-properties', base64('[{"a":"b"}')], ['x-amz-mqtt5-user-properties', base64('['.repeat(5_000))],
    ['x-amz-mqtt5-user-properties', Buffer.from([0x5b, 0x7b, 0x22, 0xff, 0x22, 0x3a, 0x22, 0x22, 0x7d, 0x5d]).toString('base64')],
  ])('%s: %s is refused', (name, value) => {
    expect(said('/topics/a', { [name]: value })).toMatchObject({ allow: false, reason: 'publish-request' })
  })
  test('an empty list of user properties is none, and so are bytes of no format', () => {
    expect(said('/topics/a', { 'x-amz-mqtt5-user-properties': base64('[]'), 'x-amz-mqtt5-payload-format-indicator': 'UNSPECIFIED_BYTES' })).toMatchObject({ allow: true, value: { properties: undefined } })
  })
  test('a page in a browser may not publish with the certificate of its user, wherever it is from; who is no browser may', () => {
    expect(said('/topics/a', { origin: 'https://evil.example' })).toMatchObject({ allow: false, reason: 'publish-origin' })
    expect(said('/topics/a', { origin: 'null' })).toMatchObject({ allow: false, reason: 'publish-origin' })
    expect(said('/topics/a', { 'sec-fetch-site': 'same-origin' })).toMatchObject({ allow: false, reason: 'publish-origin' })
    expect(said('/topics/a', { referer: 'https://evil.example', 'content-type': 'text/plain' })).toMatchObject({ allow: true })
  })
})

import { expect, test } from 'vitest'
import { openAliases } from '../../../src/broker/engine/aliases.ts'

test('a client that takes no aliases is given none', () => {
  const aliases = openAliases(0)
  aliases.sent('a')
  expect(aliases.of('a')).toBeUndefined()
})

test('the first topics get an alias, from 1, and keep it; one more than the client takes is sent in full [MQTT-3.1.2-26]', () => {
  const aliases = openAliases(2)
  for (const topic of ['a', 'b']) {
    expect(aliases.of(topic)?.isNew).toBe(true)
    aliases.sent(topic)
  }
  expect(['a', 'b', 'c'].map((topic) => aliases.of(topic))).toEqual([{ alias: 1, isNew: false }, { alias: 2, isNew: false }, undefined])
})

test('an alias that was never sent is not known to the client: it goes to the next topic', () => {
  const aliases = openAliases(1)
  expect(aliases.of('too large to be sent')).toEqual({ alias: 1, isNew: true })
  expect(aliases.of('b')).toEqual({ alias: 1, isNew: true })
  aliases.sent('b')
  expect(aliases.of('too large to be sent')).toBeUndefined()
  expect(aliases.of('b')).toEqual({ alias: 1, isNew: false })
})

// Mosquitto itself judges what the importer and the exporter say of it: the same ACL file there and, translated, here; who may
// publish what, and what is delivered to whom.

import { once } from 'node:events'
import * as fc from 'fast-check'
import type { IClientPublishOptions, MqttClient } from 'mqtt'
import { describe, expect, test } from 'vitest'
import { aclFiles, aclText, model, TOPICS } from '../core/policy/acl-files.ts'
import { exported, FLEET, policies } from '../core/policy/exports.ts'
import { fromMosquitto } from '../core/policy/imports.ts'
import { Mosquitto } from './mosquitto.ts'
import { has } from './program.ts'

const FILES = 15
const PEOPLE = [{ id: 'd1', clientId: 'd1' }, { id: 'd1', clientId: 'd1:a' }, { id: 'd2', clientId: 'd2' }]

describe.skipIf(!has('mosquitto'))('an ACL file in Mosquitto (needs mosquitto)', () => {
  const FILE = `# of a plant
topic read public/#
user d1
topic read r/#
topic write w/+
topic rw
topic deny rw/secret
topic readwrite rw/#
user d2
topic readwrite rw/#
user d1
topic pd/mine
topic readwrite x y
pattern write t/%u/#
pattern read cmd/%u/%c
pattern deny t/+/admin
pattern deny pd/#
pattern readwrite pd/+
`
  const TABLE = ['public', 'public/a', 'r', 'r/a', 'r/a/b', 'w', 'w/a', 'w/a/b', 'rw', 'rw/a', 'rw/secret', 'rw/secret/a', 'pd/mine', 'pd/other', 'x y', 't/d1', 't/d1/a', 't/d2/a', 't/d1/admin', 'cmd/d1/d1', 'cmd/d1/d1:a', 'cmd/d2/d2', 'else']

  test.each(PEOPLE)('$id as $clientId may there what it may here, but for what is told', async (who) => {
    const translation = fromMosquitto(FILE)
    const grants = translation.grants(who)
    await using mosquitto = await Mosquitto.start(FILE)
    const client = await mosquitto.client(who.id, who.clientId)
    const [publishable, readable] = [await mosquitto.publishable(client, TABLE), await mosquitto.delivered(client, '#', TABLE)]
    // Line 12 lets pd/mine through there, which a deny that wins takes here.
    expect(translation.told.filter((line) => line.startsWith('narrowed'))).toEqual(['narrowed 17: Mosquitto lets line 12 (topic pd/mine) of user d1 win; here a deny wins.'])
    const narrowed = who.id === 'd1' ? ['pd/mine'] : []
    expect(TABLE.filter((topic) => grants.publish(topic, 1, false, 0).effect === 'allow')).toEqual(publishable.filter((topic) => !narrowed.includes(topic)))
    expect(TABLE.filter((topic) => grants.mayReceive(topic))).toEqual(readable.filter((topic) => !narrowed.includes(topic)))
    expect(publishable).toEqual(expect.arrayContaining(narrowed))
  })

  test('a filter brings there what it brings here', async () => {
    const grants = fromMosquitto(FILE).grants({ id: 'd1' })
    await using mosquitto = await Mosquitto.start(FILE)
    const client = await mosquitto.client('d1')
    for (const filter of ['rw/#', '+', '+/a', 'rw/secret/#', 'r/a', '$share/g/r/#', 'else']) {
      const heard = await mosquitto.delivered(client, filter, TABLE)
      const inner = filter.replace('$share/g/', '')
      const ours = fromMosquitto(`pattern read ${inner}\n`).grants({ id: 'x' })
      expect(grants.subscribe(filter, 1).effect === 'allow' ? TABLE.filter((topic) => ours.mayReceive(topic) && grants.mayReceive(topic)) : [], filter).toEqual(heard)
    }
  })

  test('who may write leaves a Will, and who may not does not', async () => {
    await using mosquitto = await Mosquitto.start('user d1\ntopic write w/#\ntopic read #\n')
    const watcher = await mosquitto.client('d1', 'watcher')
    await watcher.subscribeAsync('#', { qos: 0 })
    const heard: string[] = []
    const ended = new Promise<void>((resolve) => {
      watcher.on('message', (topic) => {
        heard.push(topic)
        if (topic === 'w/will') resolve()
      })
    })
    for (const topic of ['r/will', 'w/will']) (await mosquitto.client('d1', topic.slice(0, 1), { topic, payload: Buffer.from('gone'), qos: 0, retain: false })).stream.destroy()
    await ended
    expect(heard).toEqual(['w/will'])
  })

  test.each(fc.sample(aclFiles, { numRuns: FILES, seed: 4 }).map((lines, i) => [i + 1, lines] as const))('random file %i: never wider here, the same where nothing is told, and the model of the tests is right', async (_, lines) => {
    const translation = fromMosquitto(aclText(lines))
    await using mosquitto = await Mosquitto.start(aclText(lines))
    for (const who of PEOPLE) {
      const grants = translation.grants(who)
      const client = await mosquitto.client(who.id, who.clientId)
      const [publishable, readable] = [await mosquitto.publishable(client, TOPICS), await mosquitto.delivered(client, '#', TOPICS)]
      expect(TOPICS.filter((topic) => model(lines, who, 'write', topic))).toEqual(publishable)
      expect(TOPICS.filter((topic) => model(lines, who, 'read', topic))).toEqual(readable)
      const [sends, hears] = [TOPICS.filter((topic) => grants.publish(topic, 1, false, 0).effect === 'allow'), TOPICS.filter((topic) => grants.mayReceive(topic))]
      expect(translation.complete ? [publishable, readable] : [sends.filter((topic) => publishable.includes(topic)), hears.filter((topic) => readable.includes(topic))]).toEqual([sends, hears])
      await client.endAsync()
    }
  })

  test.each(['topic\tread a\n', '  # no comment\n', 'topic foo bar\n', 'topic\n', 'user \t\n', 'topic read a#b\n', 'topic read #/a\n', '\ufefftopic read a\n', 'nonsense\n'])('it does not start with %j either', async (acl) => {
    await expect(Mosquitto.start(acl)).rejects.toThrow(/Error opening acl file/)
  })
})

describe.skipIf(!has('mosquitto'))('an exported policy in Mosquitto (needs mosquitto)', () => {
  const POLICY = `version: 1
grants:
  - { id: all, to: any, publish: [{ topic: "t/\${device.id}/#", retain: true }], subscribe: ["public/#", "cmd/\${clientId}/+"] }
  - { id: some, to: { group: g1 }, publish: [{ topic: "site-\${device.attr.k}/+", retain: true }], subscribe: ["pub-\${device.id}/#", "t/#"] }
deny:
  - { id: no, to: any, publish: ["t/+/admin"], receive: ["t/+/admin", "public/secret/#"] }
  - { id: not-g1, to: { group: g1 }, receive: ["public/x"] }
`
  const TABLE = ['t/d1/a', 't/d2/a', 't/d1/admin', 't/d2/admin', 'public', 'public/a', 'public/x', 'public/secret', 'public/secret/a', 'cmd/d1/x', 'cmd/d2/x', 'cmd/d1/x/y', 'site-a/1', 'site-b/1', 'pub-d1/a', 'pub-d2/a', 'else']
  const rights = (grants: ReturnType<ReturnType<typeof exported>['grants']>, topics: readonly string[]) => [topics.filter((topic) => grants.publish(topic, 1, false, 0).effect === 'allow'), topics.filter((topic) => grants.mayReceive(topic))] as const

  test('each device may there what it may here, and who is suspended may nothing', async () => {
    const made = exported(POLICY)
    await using mosquitto = await Mosquitto.start(made.text)
    for (const device of FLEET) {
      const client = await mosquitto.client(device.id)
      const theirs = [await mosquitto.publishable(client, TABLE), await mosquitto.delivered(client, '#', TABLE)]
      expect(theirs, device.id).toEqual(device.state === 'active' ? rights(made.grants(device), TABLE) : [[], []])
    }
    expect(made.findings.map(({ kind, original }) => [kind, original])).toEqual([['narrowed', 'all: subscribe cmd/${clientId}/+']])
  })

  test.each(fc.sample(policies, { numRuns: FILES, seed: 4 }).map((text, i) => [i + 1, text] as const))('random policy %i: never wider there, and the same where nothing is told', async (_, text) => {
    const made = exported(text)
    await using mosquitto = await Mosquitto.start(made.text)
    for (const device of FLEET) {
      const client = await mosquitto.client(device.id)
      const [publishable, readable] = [await mosquitto.publishable(client, TOPICS), await mosquitto.delivered(client, '#', TOPICS)]
      const [sends, hears] = device.state === 'active' ? rights(made.grants(device), TOPICS) : [[], []]
      expect(made.complete ? [sends, hears] : [sends.filter((topic) => publishable.includes(topic)), hears.filter((topic) => readable.includes(topic))]).toEqual([publishable, readable])
      await client.endAsync()
    }
  })

  test('with the settings that it names, what a grant forbids is refused there', async () => {
    const limited = exported('version: 1\ngrants:\n  - { id: a, to: any, publish: [{ topic: a, qos: 1, maxBytes: 8B }] }\n', FLEET, { retainAvailable: false, maxQos: 1, messageSizeLimit: 8 })
    expect([limited.complete, limited.text.includes('pattern write a')]).toEqual([true, true])
    await using mosquitto = await Mosquitto.start(limited.text, ['retain_available false', 'max_qos 1', 'message_size_limit 8'])
    const taken = async (client: MqttClient, payload: string, options: IClientPublishOptions): Promise<boolean> => {
      // Mosquitto ends the connection of whoever sends what it does not take.
      const ended = new AbortController()
      client.once('close', () => ended.abort())
      try {
        await Promise.race([client.publishAsync('a', payload, options), once(client as unknown as NodeJS.EventEmitter, 'never', { signal: ended.signal })])
        return true
      } catch {
        return false
      } finally {
        await client.endAsync(true)
      }
    }
    expect(await taken(await mosquitto.client('d1'), 'x'.repeat(8), { qos: 1 })).toBe(true)
    expect(await taken(await mosquitto.client('d1'), 'x'.repeat(9), { qos: 1 })).toBe(false)
    expect(await taken(await mosquitto.client('d1'), 'x', { qos: 2 })).toBe(false)
    expect(await taken(await mosquitto.client('d1'), 'x', { qos: 1, retain: true })).toBe(false)
  })
})

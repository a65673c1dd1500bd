// A Mosquitto ACL file as a policy: what each kind of line becomes, with its nearest deny; what is told of what cannot be said;
// and that the translation allows what a small model of Mosquitto allows, or less and says so.

import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { importMosquitto } from '../../../src/core/policy/import-mosquitto.ts'
import { aclFiles, aclText, model, TOPICS, TOPICS_OF } from './acl-files.ts'
import { fromMosquitto, problemsOf } from './imports.ts'

const RUNS = 400

describe('what a line becomes', () => {
  test('the file that Mosquitto brings: roger may foo/bar both ways, and is told from everybody else', () => {
    const { grants, told, text } = fromMosquitto('# This affects access control for clients with no username.\ntopic read $SYS/#\n\n# This only affects clients with username "roger".\nuser roger\ntopic foo/bar\n\n# This affects all clients.\npattern write $SYS/broker/connection/%c/state\n')
    const roger = grants({ id: 'roger' })
    expect([roger.publish('foo/bar', 2, true, 9).effect, roger.publish('foo/baz', 0, false, 0).effect]).toEqual(['allow', 'deny'])
    expect([roger.subscribe('foo/bar', 1).effect, roger.mayReceive('foo/bar'), roger.mayReceive('foo')]).toEqual(['allow', true, false])
    expect([roger.will('foo/bar', 0, true, 0).effect, grants({ id: 'mary' }).empty]).toEqual(['allow', true])
    expect(told).toEqual([
      'left-out 2: it is for clients without a user name, and every device has an id. If all were to have it, write it as a pattern line.',
      'left-out 9: topics that begin with $ are reserved, and nothing grants them.',
    ])
    expect(text).toContain('- { topic: "foo/bar", retain: true }   # line 6: topic foo/bar')
  })

  test('read is delivery: a wider filter stands, and brings what is granted', () => {
    const g = fromMosquitto('user a\ntopic read r/+\n').grants({ id: 'a' })
    expect([g.subscribe('#', 0).effect, g.subscribe('$share/any/r/#', 0).effect, g.subscribe('s/#', 0).effect]).toEqual(['allow', 'allow', 'deny'])
    expect([g.mayReceive('r/1'), g.mayReceive('r/1/2'), g.publish('r/1', 0, false, 0).effect]).toEqual([true, false, 'deny'])
  })

  test('write is sending alone, a Will among it', () => {
    const g = fromMosquitto('user a\ntopic write w/#\n').grants({ id: 'a' })
    expect([g.publish('w/1', 2, true, 0).effect, g.will('w', 2, true, 0).effect, g.subscribe('w/1', 0).effect, g.mayReceive('w/1')]).toEqual(['allow', 'allow', 'deny', false])
  })

  test('deny takes both directions, from the lines of the user and from patterns, wherever it stands', () => {
    const { grants, told } = fromMosquitto('user a\ntopic readwrite t/#\ntopic deny t/secret\npattern readwrite p/#\nuser b\ntopic deny p/x\n')
    const [a, b] = [grants({ id: 'a' }), grants({ id: 'b' })]
    expect([a.publish('t/secret', 0, false, 0).reason, a.mayReceive('t/secret'), a.publish('t/secret/1', 0, false, 0).effect, a.mayReceive('t/other')]).toEqual(['publish-denied', false, 'allow', true])
    expect([b.publish('p/x', 0, false, 0).effect, a.publish('p/x', 0, false, 0).effect, b.publish('p/y', 0, false, 0).effect]).toEqual(['deny', 'allow', 'allow'])
    expect(told).toEqual([])
  })

  test('%u is the device id and %c the client id, each a level; a neighbour has neither', () => {
    const { grants, told } = fromMosquitto('pattern write %u/%c/x\n')
    const g = grants({ id: 'a', clientId: 'a:1' })
    expect([g.publish('a/a:1/x', 0, false, 0).effect, g.publish('a/a/x', 0, false, 0).effect, g.publish('b/a:1/x', 0, false, 0).effect]).toEqual(['allow', 'deny', 'deny'])
    expect(told).toEqual([])
  })

  test('a user may be named again, and a topic may have spaces and what is a variable here', () => {
    const g = fromMosquitto('user a\ntopic write x y\nuser b\ntopic write b\nuser a\r\ntopic write ok/${device.id}/$${clientId}  \r\n').grants({ id: 'a' })
    expect([g.publish('x y', 0, false, 0).effect, g.publish('ok/${device.id}/$${clientId}', 0, false, 0).effect, g.publish('ok/a/a', 0, false, 0).effect, g.publish('b', 0, false, 0).effect]).toEqual(['allow', 'allow', 'deny', 'deny'])
  })

  test('a level that is called like a member of every object is a level', () => {
    expect(fromMosquitto('pattern write constructor/__proto__/%u\n').grants({ id: 'a' }).publish('constructor/__proto__/a', 0, false, 0).effect).toBe('allow')
  })

  test('a user with more topics than a rule may have gets them all', () => {
    const { grants, draft, text } = fromMosquitto(`user a\n${Array.from({ length: 2_500 }, (_, i) => `topic write t/${i}\n`).join('')}user a_2\ntopic write own\n`)
    const g = grants({ id: 'a' })
    expect([draft.grants.length, text.match(/to: \{ device: a \}/g)?.length, g.publish('t/0', 0, false, 0).effect, g.publish('t/2499', 0, false, 0).effect, g.publish('t/2500', 0, false, 0).effect]).toEqual([2, 3, 'allow', 'allow', 'deny'])
  })
})

describe('what is told', () => {
  test.each([
    ['topic read a\n', 'left-out 1: it is for clients without a user name'],
    ['topic deny a\n', 'remark 1: it is for clients without a user name'],
    ['user a b\ntopic read a\n', 'left-out 2: "a b" is no device id. Register the device'],
    ['user a b\ntopic deny a\n', 'remark 2: "a b" is no device id. Nothing is denied'],
    ['user a\ntopic deny\n', 'left-out 2: the topic is missing: Mosquitto takes "deny" for the topic, with all rights'],
    ['user a\ntopic write $SYS/x\n', 'left-out 2: topics that begin with $ are reserved'],
    ['user a\ntopic deny $SYS/x\n', 'remark 2: topics that begin with $ are reserved'],
    [`user a\ntopic write ${'x'.repeat(513)}\n`, 'left-out 2: this is no topic here'],
    [`user a\ntopic deny ${'x'.repeat(513)}\n`, 'remark 2: this is no topic here'],
    [`user a\ntopic deny x/${'+/'.repeat(63)}y\n`, 'narrowed 2: the filter is longer than one may be'],
    ['user a\ntopic write a\u0001\n', 'left-out 2: this is no topic here'],
    ['pattern write s-%u/x\n', 'left-out 1: Mosquitto fills in %u and %c only where'],
    ['pattern deny s-%u/x\npattern write s-1/x\n', 'narrowed 1: Mosquitto fills in %u and %c only where'],
    ['pattern deny a\nuser x\ntopic write a\n', 'remark 1: no pattern grants anything of it'],
    ['pattern deny a\npattern write a\nuser x\ntopic write +\n', 'narrowed 1: Mosquitto lets line 4 (topic write +) of user x win'],
  ])('%j', (text, expected) => {
    expect(fromMosquitto(text).told.filter((line) => line.startsWith(expected))).toHaveLength(1)
  })

  test('of a pattern that denies something of a user nothing is told where the user has nothing of it', () => {
    const { told, grants } = fromMosquitto('pattern deny p/%u\npattern write p/+\nuser x\ntopic write p/y\n')
    expect([told, grants({ id: 'x' }).publish('p/x', 0, false, 0).effect, grants({ id: 'x' }).publish('p/y', 0, false, 0).effect]).toEqual([[], 'deny', 'allow'])
  })

  test('what was too long to deny is denied by how it begins', () => {
    const g = fromMosquitto(`user a\ntopic write x/#\ntopic write y\ntopic deny x/${'+/'.repeat(63)}y\n`).grants({ id: 'a' })
    expect([g.publish('x/1', 0, false, 0).effect, g.publish('y', 0, false, 0).effect]).toEqual(['deny', 'allow'])
  })

  test('the place is that of the topic, whatever stands before it', () => {
    const { draft } = fromMosquitto('\n  topic  read   a/b \n')
    expect(draft.findings.map(({ at, original }) => [at, original])).toEqual([[{ file: 'acl', line: 2, column: 17 }, 'topic  read   a/b']])
  })
})

describe('what Mosquitto does not start with is no ACL file', () => {
  test.each([
    ['topic\tread a\n', 'acl:1:1: "topic\\u{9}read" is no keyword'],
    ['  # no comment\n', 'acl:1:3: "#" is no keyword'],
    ['TOPIC read a\n', 'acl:1:1: "TOPIC" is no keyword'],
    ['topic foo bar\n', 'acl:1:1: "foo" is no kind of access'],
    ['topic\n', 'acl:1:1: the topic is missing'],
    ['user  \t\n', 'acl:1:1: the user has no name'],
    ['topic read a#b\n', 'acl:1:1: "a#b" is no topic filter'],
    ['topic read a/+b\n', 'acl:1:1: "a/+b" is no topic filter'],
    ['topic read #/a\n', 'acl:1:1: "#/a" is no topic filter'],
    ['\ufefftopic read a\n', 'acl:1:1: "\\u{feff}topic" is no keyword'],
  ])('%j', (text, expected) => {
    expect(problemsOf(importMosquitto('acl', text)).map((line) => line.slice(0, expected.length))).toEqual([expected])
  })

  test('all of it is told at once', () => {
    expect(problemsOf(importMosquitto('acl', 'nonsense\ntopic read a\ntopic x y\n'))).toHaveLength(2)
  })

  test.each(['', '\n', '# nothing\n', '   \n'])('%j is one, and grants nothing', (text) => {
    expect(fromMosquitto(text).grants({ id: 'a' }).empty).toBe(true)
  })
})

describe('against a model of Mosquitto', () => {
  test('the translation allows what Mosquitto allows, or less and says so', () => {
    let complete = 0
    fc.assert(fc.property(aclFiles, fc.constantFrom({ id: 'd1', clientId: 'd1' }, { id: 'd1', clientId: 'd1:a' }, { id: 'd2', clientId: 'd2' }), (lines, who) => {
      const translation = fromMosquitto(aclText(lines))
      const grants = translation.grants(who)
      if (translation.complete) complete++
      for (const topic of TOPICS) {
        const [ours, theirs] = [grants.publish(topic, 2, true, 0).effect === 'allow', model(lines, who, 'write', topic)]
        expect(ours && !theirs, `wider: publish ${topic}`).toBe(false)
        expect(grants.will(topic, 2, true, 0).effect === 'allow', `Will ${topic}`).toBe(ours)
        if (translation.complete) expect(ours, `publish ${topic}`).toBe(theirs)
      }
      const readable = new Set(TOPICS.filter((topic) => model(lines, who, 'read', topic)))
      for (const [asked, within] of TOPICS_OF) {
        const delivered = grants.subscribe(asked, 2).effect === 'allow' ? within.filter((topic) => grants.mayReceive(topic)) : []
        expect(delivered.filter((topic) => !readable.has(topic)), `wider: ${asked}`).toEqual([])
        if (translation.complete) expect(delivered, asked).toEqual(within.filter((topic) => readable.has(topic)))
      }
    }), { numRuns: RUNS })
    expect(complete).toBeGreaterThan(RUNS / 4)
  })
})

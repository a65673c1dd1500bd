// RFC 5280 §4.2.1.10, example by example, and the ways in which a name can be written to look as if a constraint did not
// speak of it.

import { describe, expect, test } from 'vitest'
import type { NameFacts, NameSubtree, SubjectAltName } from '../../src/core/certificate.ts'
import { judgeNames } from '../../src/core/name-constraints.ts'
import { detailOf, issuing, leaf, nameOf, reasonOf } from './facts.ts'

type Kind = 'dns' | 'uri' | 'email' | 'ip' | 'other'
const base = (kind: Kind, value: string): NameSubtree => ({ kind, value })
const directory = (...rdns: (string | string[])[]): NameSubtree => ({ kind: 'directory', name: nameOf(...rdns) })

interface Names {
  readonly subject?: NameFacts
  readonly san?: readonly SubjectAltName[]
}

function judge({ subject = [], san = [] }: Names, permitted: readonly NameSubtree[], excluded: readonly NameSubtree[] = []): 'allowed' | 'refused' {
  const reason = reasonOf(judgeNames(leaf({ subject, subjectAltNames: san }), issuing({ hasNameConstraints: true, nameConstraints: { permitted, excluded } })))
  return reason === 'certificate-name-constraints' ? 'refused' : (reason as 'allowed')
}

/** As a permitted and as an excluded subtree: what is below passes the one and not the other, what cannot be said passes neither. */
function outcome(name: Names, subtree: NameSubtree): 'below' | 'outside' | 'unsaid' {
  const whenPermitted = judge(name, [subtree])
  const whenExcluded = judge(name, [], [subtree])
  if (whenPermitted === 'refused' && whenExcluded === 'refused') return 'unsaid'
  expect(whenPermitted).not.toBe(whenExcluded)
  return whenPermitted === 'allowed' ? 'below' : 'outside'
}

const of = (kind: Kind, value: string): Names => ({ san: [{ kind, value }] })

describe('DNS names', () => {
  test.each([
    ['host.example.com', 'host.example.com', 'below'], ['www.host.example.com', 'host.example.com', 'below'], ['host1.example.com', 'host.example.com', 'outside'],
    ['example.com', 'host.example.com', 'outside'], ['evilexample.com', 'example.com', 'outside'], ['example.com.evil.org', 'example.com', 'outside'],
    ['HOST.Example.COM', 'example.com', 'below'], ['host.example.com', 'EXAMPLE.com', 'below'],
    ['host.example.com', '.example.com', 'below'], ['example.com', '.example.com', 'outside'], ['anything.at.all', '', 'below'], ['*.example.com', 'example.com', 'below'],
    ['host.example.com.', 'example.com', 'unsaid'], ['example.com.', 'example.com', 'unsaid'], ['.example.com', 'example.com', 'unsaid'], ['a..example.com', 'example.com', 'unsaid'],
  ] as const)('%s and the base %j: %s', (name, of_, expected) => {
    expect(outcome(of('dns', name), base('dns', of_))).toBe(expected)
  })
})

describe('mail addresses', () => {
  test.each([
    ['root@example.com', 'root@example.com', 'below'], ['root@EXAMPLE.com', 'root@example.com', 'below'], ['root@example.com', 'root@EXAMPLE.COM', 'below'], ['Root@example.com', 'root@example.com', 'outside'], ['admin@example.com', 'root@example.com', 'outside'],
    ['root@example.com', 'example.com', 'below'], ['anybody@EXAMPLE.COM', 'example.com', 'below'], ['root@sub.example.com', 'example.com', 'outside'],
    ['root@sub.example.com', '.example.com', 'below'], ['root@example.com', '.example.com', 'outside'], ['root@notexample.com', '.example.com', 'outside'],
    ['"a@example.com"@evil.org', 'example.com', 'outside'],
    ['example.com', 'example.com', 'unsaid'], ['@example.com', 'example.com', 'unsaid'], ['root@', 'example.com', 'unsaid'], ['root@example.com.', 'example.com', 'unsaid'], ['root@example.com', '', 'unsaid'],
  ] as const)('%s and the base %j: %s', (name, of_, expected) => {
    expect(outcome(of('email', name), base('email', of_))).toBe(expected)
  })

  test('the address in the subject counts like one among the alternative names', () => {
    expect(outcome({ subject: nameOf('emailAddress=root@evil.org') }, base('email', 'example.com'))).toBe('outside')
    expect(outcome({ subject: nameOf('emailAddress=root@example.com') }, base('email', 'example.com'))).toBe('below')
    expect(outcome({ subject: nameOf('emailAddress!') }, base('email', 'example.com'))).toBe('unsaid')
  })
})

describe('URIs', () => {
  test.each([
    ['http://host.example.com/a', 'host.example.com', 'below'], ['https://HOST.example.com', 'host.example.com', 'below'], ['http://host.example.com:8080/', 'host.example.com', 'below'], ['http://user@host.example.com/', 'host.example.com', 'below'],
    ['http://www.host.example.com/', 'host.example.com', 'outside'], ['http://host.example.com/', 'example.com', 'outside'],
    ['http://host.example.com/', '.example.com', 'below'], ['http://a.b.example.com/', '.example.com', 'below'], ['http://example.com/', '.example.com', 'outside'],
    ['http://evil.org/host.example.com', 'host.example.com', 'outside'], ['http://host.example.com@evil.org/', 'host.example.com', 'outside'], ['http://evil.org?@host.example.com/', 'evil.org', 'below'], ['http://evil.org#@host.example.com/', 'evil.org', 'below'],
    ['spiffe://example.org/sensor/7', 'example.org', 'below'], ['spiffe://evil.org/sensor/7', 'example.org', 'outside'],
    ['http://10.0.0.1/', 'example.com', 'unsaid'], ['http://[::1]/', 'example.com', 'unsaid'], ['http://2130706433/', 'example.com', 'unsaid'], ['urn:uuid:1', 'example.com', 'unsaid'], ['http:///a', 'example.com', 'unsaid'],
    ['http://%65xample.com/', 'example.com', 'unsaid'], ['http://example.com./', 'example.com', 'unsaid'], ['http://example.com\\@evil.org/', 'example.com', 'unsaid'], ['//example.com/', 'example.com', 'unsaid'], ['http://a.example.com/', '', 'unsaid'],
  ] as const)('%s and the base %j: %s', (name, of_, expected) => {
    expect(outcome(of('uri', name), base('uri', of_))).toBe(expected)
  })
})

describe('addresses', () => {
  test.each([
    ['192.0.2.5', 'c0000200ffffff00', 'below'], ['192.0.3.5', 'c0000200ffffff00', 'outside'], ['192.0.2.255', 'c0000200ffffff00', 'below'], ['10.1.2.3', '0000000000000000', 'below'],
    ['192.0.2.5', 'c0000205ffffffff', 'below'], ['192.0.2.4', 'c0000205ffffffff', 'outside'], ['192.0.2.77', 'c00002ffffffff00', 'below'],
    ['2001:db8:0:0:0:0:0:1', `20010db8${'0'.repeat(24)}ffffffff${'0'.repeat(24)}`, 'below'], ['2001:db9:0:0:0:0:0:1', `20010db8${'0'.repeat(24)}ffffffff${'0'.repeat(24)}`, 'outside'],
    ['0:0:0:0:0:ffff:c000:205', 'c0000200ffffff00', 'outside'], ['192.0.2.5', '0'.repeat(64), 'outside'],
  ] as const)('%s and the base %s: %s', (name, of_, expected) => {
    expect(outcome(of('ip', name), base('ip', of_))).toBe(expected)
  })
})

describe('directory names', () => {
  test.each([
    ['below the base', nameOf('C=CH', 'O=Acme', 'CN=a'), directory('C=CH', 'O=Acme'), 'below'], ['the base itself', nameOf('C=CH'), directory('C=CH'), 'below'], ['anything below nothing', nameOf('CN=a'), directory(), 'below'],
    ['another organisation', nameOf('C=CH', 'O=Evil', 'CN=a'), directory('C=CH', 'O=Acme'), 'outside'], ['shorter than the base', nameOf('C=CH'), directory('C=CH', 'O=Acme'), 'outside'], ['another order', nameOf('O=Acme', 'C=CH'), directory('C=CH', 'O=Acme'), 'outside'],
    ['another case and more spaces', nameOf('C=ch', 'O= ACME   Corp '), directory('C=CH', 'O=Acme Corp'), 'below'], ['a soft hyphen inside', nameOf('O=Ac\u00ADme'), directory('O=Acme'), 'below'], ['a letter composed otherwise', nameOf('O=A\u0308rger'), directory('O=Ärger'), 'below'], ['full-width letters', nameOf('O=Ａcme'), directory('O=Acme'), 'below'],
    ['the value under another type', nameOf('OU=Acme'), directory('O=Acme'), 'outside'], ['one attribute more in the RDN', nameOf(['O=Acme', 'OU=x']), directory('O=Acme'), 'outside'], ['an RDN of two, in another order', nameOf(['OU=x', 'O=Acme']), directory(['O=Acme', 'OU=x']), 'below'],
    ['one that does not decode', nameOf('O!', 'CN=a'), directory('O=Acme'), 'unsaid'], ['one that does not decode behind the base', nameOf('O=Acme', 'CN!'), directory('O=Acme'), 'below'],
  ] as const)('%s', (_, subject, subtree, expected) => {
    expect(outcome({ subject }, subtree)).toBe(expected)
  })

  test('one among the alternative names is not decoded, so it passes no constraint on directory names', () => {
    const hidden: Names = { subject: nameOf('O=Acme', 'CN=a'), san: [{ kind: 'other', value: '[4]' }] }
    expect(judge(hidden, [directory('O=Acme')])).toBe('refused')
    expect(judge(hidden, [], [directory('O=Evil')])).toBe('refused')
    expect(judge({ subject: nameOf('O=Acme', 'CN=a') }, [directory('O=Acme')], [directory('O=Evil')])).toBe('allowed')
  })
})

describe('constraints together', () => {
  const dns = (...values: string[]): Names => ({ san: values.map((value) => ({ kind: 'dns', value })) })

  test('a CA without constraints constrains nothing', () => {
    expect(reasonOf(judgeNames(leaf(), issuing()))).toBe('allowed')
  })

  test('a constraint speaks of names of its own form only', () => {
    expect(judge({ subject: nameOf('CN=a'), ...of('uri', 'http://evil.org/') }, [base('dns', 'example.com')], [base('email', 'evil.org')])).toBe('allowed')
    expect(judge(of('other', '[8]'), [base('other', '[0]')])).toBe('allowed')
    expect(judge(of('other', '[0]'), [base('other', '[0]')])).toBe('refused')
  })

  test('one permitted subtree of several is enough; excluded wins over permitted', () => {
    const permitted = [base('dns', 'example.com'), base('dns', 'example.org')]
    expect(judge(dns('a.example.org'), permitted)).toBe('allowed')
    expect(judge(dns('a.example.net'), permitted)).toBe('refused')
    expect(judge(dns('a.example.org'), permitted, [base('dns', 'a.example.org')])).toBe('refused')
  })

  test('every name must pass, not only the first', () => {
    expect(judge(dns('a.example.com', 'evil.org'), [base('dns', 'example.com')])).toBe('refused')
    expect(judge(dns('a.example.com', 'b.example.com'), [base('dns', 'example.com')])).toBe('allowed')
  })

  test('the refusal names the name, without its control characters', () => {
    const judged = judgeNames(leaf({ subject: nameOf('O=\u001Bx') }), issuing({ nameConstraints: { permitted: [directory('O=Acme')], excluded: [] } }))
    expect(detailOf(judged)).toBe('the subject O=\\u{1b}x is not permitted')
  })
})

// docs/sallyport.schema.json and docs/config.md are made from the table: `npx vitest run test/config/schema.test.ts -u` writes them anew. What
// the reader takes, the schema takes; what has the wrong form, it refuses; what it cannot see, it leaves to the reader.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { array, check, constantFrom, oneof, property } from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { problemsOf } from '../../src/config.ts'
import { configReferenceText } from '../../src/config/reference.ts'
import { configSchemaText } from '../../src/config/schema.ts'
import { TABLE } from '../../src/config/table.ts'
import type { SourceNode } from '../../src/core/source-tree.ts'
import { readYaml } from '../../src/yaml-source.ts'

const validate = new Ajv2020({ strict: true, allowUnionTypes: true }).compile(JSON.parse(configSchemaText()))
const home = mkdtempSync(path.join(tmpdir(), 'sallyport-schema-'))
writeFileSync(path.join(home, 'f.pem'), '')
afterAll(() => rmSync(home, { recursive: true, force: true }))

function plain(node: SourceNode): unknown {
  if (node.kind === 'list') return node.items.map(plain)
  return node.kind === 'map' ? Object.fromEntries(node.entries.map(({ key, value }) => [key, plain(value)])) : node.value
}

function accepts(text: string): boolean {
  const { tree } = readYaml('c.yaml', text)
  return tree !== undefined && validate(plain(tree))
}

function isConfig(text: string): boolean {
  writeFileSync(path.join(home, 'sallyport.yaml'), text)
  return problemsOf(home, {}).problems.length === 0
}

test('docs/sallyport.schema.json is what sallyport config schema prints', async () => {
  await expect(configSchemaText()).toMatchFileSnapshot('../../docs/sallyport.schema.json')
})

test('docs/config.md has every key, with its variable', async () => {
  const text = configReferenceText()
  expect(Object.keys(TABLE).filter((key) => !text.includes(`| \`${key}\` |`))).toEqual([])
  await expect(text).toMatchFileSnapshot('../../docs/config.md')
})

describe('beside the reader', () => {
  test.each([
    '', 'organisation: Acme', 'listen: { mqtt: { host: 10.0.0.1, port: 0 }, websocket: {} }', 'listen: { websocket: { origins: ["https://a.example:8443"], path: / } }', 'hosts: [a.example, "::1"]',
    'trust: [{ name: f, file: f.pem, only: enrollment }]', 'tls: { resumption: on }', 'limits: { packetBytesMax: 1MiB }', 'limits: { packetBytesMax: 65536 }', 'detection: { upTo: off, denials: { observe: 1, suspend: off }, exempt: { groups: [a] } }',
    'renewal: { graceDays: 0, groups: { line-1: 90 } }', 'enroll: { serverKeys: allowed }', 'log: { level: debug }', 'pki: { url: "http://pki.example:8080", crlShards: 2 }', 'passphraseFile: /run/secret',
  ])('%j is taken by both', (text) => {
    expect([isConfig(text), accepts(text)], JSON.stringify(validate.errors)).toEqual([true, true])
  })

  test.each([
    'listn: {}', 'listen: { mqtt: { prt: 1 } }', 'listen: { mqtt: { port: 65536 } }', 'listen: { mqtt: { port: "1" } }', 'listen: 5', 'organisation: ""', 'organisation: 5', 'hosts: a', 'trust: [{ name: f }]', 'trust: [{ name: root, file: f.pem }]',
    'tls: { resumption: true }', 'limits: { packetBytesMax: big }', 'limits: { packetBytesMax: 1 }', 'detection: { upTo: none }', 'detection: { denials: { observe: never } }', 'detection: { exempt: { groups: ["a/b"] } }', 'renewal: { groups: { "a b": 1 } }',
    'renewal: { graceDays: 1.5 }', 'log: { level: loud }', 'listen: { websocket: { path: mqtt } }', 'listen: { websocket: { origins: ["http://a.example"] } }', 'pki: { url: "https://pki.example" }',
  ])('%j is refused by both', (text) => {
    expect([isConfig(text), accepts(text)]).toEqual([false, false])
  })

  const words = ['', 'a', 'a b', 'A-1.example', '-a', 'a.', '::', '::1', 'fe80::1%eth0', '10.0.0.1', '10.0.0.0/8', '::/129', '1.2.3', '0', 'on', 'off', 'true', 'https://a.example', 'https://a.example/', 'https://A.example', 'http://pki.example:8080', 'http://pki:99999',
    '/mqtt', '/a b', '/', 'mqtt', '1MiB', '1KiB', '0099KiB', '99999999999999KiB', 'observe', 'suspend', 'allowed', 'refused', 'required', 'info', 'f.pem', 'nope.pem', '\u0000', 'é', '\u2028', 'x'.repeat(64), 'x'.repeat(65), 'x'.repeat(254), 'a\nb', ' a']
  const numbers = [0, 1, -1, 1.5, 2, 60, 512, 65_535, 65_536, 1e6, 1e7, 1e15]
  const receivers = ['https://a.example/x?y', 'https://u:p@a', 'https://a#x', 'syslog+tls://h', 'syslog+tls://h/x', 'syslog+tcp://[::1]:5', 'https://', 'ftp://x'].flatMap((to) => [{ to }, { to, caFile: 'f.pem' }, { to, tokenFile: 'f.pem' }, { to, nonsense: 1 }])
  const cas = [{ name: 'f', file: 'f.pem' }, { name: 'issuing-1', file: 'f.pem' }, { name: 'f', file: 'nope' }, { name: 'f', file: 'f.pem', only: 'enrollment' }, { name: 'f', file: 'f.pem', only: 'x' }, { name: 'a b', file: 'f.pem' }, { name: 5, file: 'f.pem' }, { file: 'f.pem' }]
  const plainValue = oneof(constantFrom<unknown>(...words, ...numbers, true, false, null, ...receivers, ...cas, { 'line-1': 90 }, { 'a b': 1 }, { a: 3_651 }, { a: null }, {}))
  const value = oneof(plainValue, array(plainValue, { maxLength: 3 }), constantFrom(Array.from({ length: 200 }, (_, i) => `h${i}`)))
  /** What only the reader can see: which files there are, and what several keys or the letters of a value mean together. */
  const BEYOND = /there is no file|is listed already|is not a plain http URL|from \d+ to \d+ bytes|must be a size|this is not a network|is not the origin|is no receiver|syslog knows no tokens|nobody is verified|needs pki\.url|sourceBurst must be|is lower than a rung|is not loopback|is not a host name/

  test('whatever one value is: what the reader takes the schema takes, and what the reader alone refuses is beyond a schema', () => {
    const { counterexample } = check(property(constantFrom(...Object.keys(TABLE)), value, (key, said) => {
      const text = JSON.stringify(key.split('.').reduceRight<unknown>((inner, name) => ({ [name]: inner }), said))
      writeFileSync(path.join(home, 'sallyport.yaml'), text)
      const messages = problemsOf(home, {}).problems.map(({ message }) => message)
      return accepts(text) ? messages.every((message) => BEYOND.test(message)) : messages.length > 0
    }), { numRuns: 500 })
    expect(counterexample).toBeNull()
  })
})

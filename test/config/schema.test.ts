// docs/sallyport.schema.json and docs/config.md are made from the table: `npx vitest run test/config/schema.test.ts -u` writes them anew. What
// the reader takes, the schema takes; what has the wrong form, it refuses; what it cannot see, it leaves to the reader.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Ajv2020 } from 'ajv/dist/2020.js'
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
})

// docs/clients.md: its table is what real clients were seen to show (test/compat/seen, which npm run test:compat compares with the clients
// themselves), and its settings are those with which they were run. `npx vitest run test/pages/clients.test.ts -u` writes the table anew.

import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'

const ROOT = path.resolve(import.meta.dirname, '../..')
const SEEN = path.join(ROOT, 'test/compat/seen')
const read = (file: string): string => readFileSync(path.join(ROOT, file), 'utf8')

interface Seen {
  readonly client: string
  readonly version: string
  /** '3.1.1 no certificate' → what was shown. */
  readonly seen: Readonly<Record<string, string>>
}

const cell = (text: string): string => (text.startsWith('(nothing: ') ? text : text.split('\n').map((line) => `\`${line.replaceAll('|', String.raw`\|`).replaceAll('`', "'")}\``).join('<br>'))

/** A table for each client, with a line for each refusal: where both versions show the same it is one line. */
function tables(): string {
  const all = readdirSync(SEEN).map((name) => JSON.parse(readFileSync(path.join(SEEN, name), 'utf8')) as Seen).toSorted((a, b) => a.client.localeCompare(b.client, 'en'))
  return all.map(({ client, version, seen }) => {
    const rows = new Map<string, string[]>()
    for (const [label, text] of Object.entries(seen)) {
      const [spoken, refusal] = [label.slice(0, label.indexOf(' ')), label.slice(label.indexOf(' ') + 1)]
      const key = `${refusal} | ${cell(text)}`
      rows.set(key, [...(rows.get(key) ?? []), /^\d/.test(spoken) ? `MQTT ${spoken}` : spoken])
    }
    const order = [...new Set(Object.keys(seen).map((label) => label.slice(label.indexOf(' ') + 1)))]
    const refusalOf = ([key]: readonly [string, unknown]): string => key.slice(0, key.indexOf(' | '))
    const lines = [...rows].toSorted((a, b) => order.indexOf(refusalOf(a)) - order.indexOf(refusalOf(b))).map((row) => `| ${refusalOf(row)} | ${row[1].join(', ')} | ${row[0].slice(row[0].indexOf(' | ') + 3)} |`)
    return `### ${client} ${version}\n\n| refused for | over | it shows |\n|---|---|---|\n${lines.join('\n')}\n`
  }).join('\n')
}

test('the table is what the clients were seen to show', async () => {
  const page = read('docs/clients.md')
  const [before = '', rest = ''] = page.split('<!-- seen -->')
  const after = rest.slice(rest.indexOf('<!-- /seen -->'))
  await expect(`${before}<!-- seen -->\n${tables()}${after}`).toMatchFileSnapshot('../../docs/clients.md')
})

test('every kind of client that is promised was seen', () => {
  expect(readdirSync(SEEN).toSorted()).toEqual(['aws-iot.json', 'azure-iot.json', 'bridge.json', 'curl.json', 'gnutls.json', 'mbedtls.json', 'mosquitto.json', 'mqtt-cli.json', 'mqttjs.json', 'node-red.json', 'openssl.json', 'paho-c.json', 'paho-python.json', 'strongswan.json'])
})

test.each([['AWS IoT Device SDK v2', 'aws-iot.cjs'], ['Azure IoT device SDK', 'azure-iot.cjs']])('the lines for the %s call what the program calls that was run', (heading, program) => {
  const section = read('docs/clients.md').split(`## ${heading}\n`)[1]?.split('\n## ')[0] ?? ''
  const lines = /```js\n([\s\S]+?)```/.exec(section)?.[1] ?? ''
  const calls = [...lines.matchAll(/\.(\w+)\(/g)].map((found) => found[1] ?? '')
  expect(calls.length).toBeGreaterThan(1)
  const source = read(`test/compat/programs/${program}`).replaceAll('\n', ' ')
  expect(calls.filter((call) => !source.includes(`${call}(`) && call !== 'AwsIotMqtt5ClientConfigBuilder')).toEqual([])
})

test('the grants for the Azure SDK are those with which it was run', () => {
  const lines = /grants:\n( +- id: azure\n[\s\S]+?)```/.exec(read('docs/clients.md'))?.[1] ?? ''
  expect(read('test/compat/stage.ts').replaceAll(String.raw`\$`, '$')).toContain(lines)
})

test('the names in the lines for an ESP32 are those of the header', () => {
  const lines = /esp_mqtt_client_config_t[\s\S]+?```/.exec(read('docs/clients.md'))?.[0] ?? ''
  const names = [...lines.matchAll(/\b(SALLYPORT_\w+|sallyport_\w+_pem)\b/g)].map((found) => found[1] ?? '')
  expect(names).toHaveLength(6)
  const program = read('test/compat/programs/mbedtls.c')
  expect(names.filter((name) => name !== 'SALLYPORT_CLIENT_ID' && !program.includes(name))).toEqual([])
})

// The file behind --acl: what is read, and how a mistake in it is told.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { readAclFile } from '../../device-sim/acl-file.ts'
import { SimError } from '../../device-sim/failure.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-acl-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const file = path.join(folder, 'acl.yaml')
const read = (...lines: readonly string[]) => {
  writeFileSync(file, lines.join('\n'))
  return readAclFile(file)
}

test('a whole one is read as it is written', async () => {
  const acl = await read('identity: client-id', 'publish: ["p/${id}/#"]', 'subscribe:', '  - "c/${id}"', 'will: ["w/${id}"]', 'ears: { id: auditor, subscribe: ["#"] }', 'backend: { id: hub, publish: ["c/+"] }')
  expect(acl).toEqual({
    acl: { identity: 'client-id', publish: ['p/${id}/#'], subscribe: ['c/${id}'], will: ['w/${id}'], ears: { group: 'ears', filters: ['#'] }, backend: ['c/+'] },
    roles: { ears: 'auditor', backend: 'hub' },
  })
})

test('the shortest is one line: a Will is a publish, the certificate names the device, and nobody hears all', async () => {
  expect(await read('publish: ["p/${id}"]')).toEqual({ acl: { identity: 'certificate', publish: ['p/${id}'], subscribe: [], will: ['p/${id}'], ears: undefined, backend: undefined }, roles: {} })
})

describe('a mistake is told with its place and what was probably meant', () => {
  test.each([
    [['publish: ["t/${id}/#"]', 'subscibe: ["x"]'], ':2:1: "subscibe" is not known here. Did you mean subscribe?'],
    [['publish: ["t/${id}/#"]', 'ears:', '  name: x', '  id: x', '  subscribe: ["#"]'], ':3:3: "name" is not known here. Known: id, subscribe.'],
    [['publish: ["t/${id}/#"]', 'ears: { subscribe: ["#"] }'], ':2:7: ears.id: must be a name.'],
    [['publish: t'], ':1:1: publish: must be a list, as ["t/${id}/#"].'],
    [['publish: []'], ':1:1: publish: is empty.'],
    [['publish:', '  - 7'], ':2:5: publish.0: must be a text in quotes.'],
    [['identity: device', 'publish: ["t/${id}"]'], ':1:1: identity: must be certificate or client-id.'],
    [['publish:', '  - "t/${id}"', '  - "t/${device.id}"'], ':3:5: "t/${device.id}" has a variable that is not known. Did you mean ${id}?'],
    [['publish: ["t/%u/#"]'], ':1:11: "t/%u/#" has a variable that is not known. Did you mean ${id}?'],
    [['publish: ["t/${id}"]', 'backend: { id: b, publish: ["c/${id}"] }'], ':2:29: "c/${id}" has a variable, and only topics of devices have one.'],
    [['publish: ["t/${id}/#/x"]'], ':1:11: "t/${id}/#/x" is no topic filter: + stands alone between slashes, # alone at the end.'],
    [['publish: ["t/x"]'], ':1:11: the first topic must have ${id} in it: on it a device speaks for itself alone.'],
    [['publish: ["t/${id}"]', 'ears: { id: e, subscribe: ["x/#"] }'], ':2:16: ears must hear what devices publish first: t/device is matched by none of these.'],
    [['publish: ["t/${id}"]', 'ears: { id: e, subscribe: ["#"] }', 'backend: { id: e, publish: ["c/+"] }'], ':3:12: must be another than that of the ears: they are connected at the same time.'],
    [['publish: ["t/${id}"'], ':1:20: not valid YAML: '],
    [['publish: &a ["t/${id}"]', 'subscribe: *a'], ':1:13: anchors (&name) are not accepted. Write the value out.\nsim: '],
    [[''], ':1:1: publish: must be a list, as '],
    [['- x'], ':1:1: must have at least the key publish.'],
    [['publish: ["t/${id}"]', 'publish: ["t/${id}"]'], ':2:1: not valid YAML: the key "publish" is there already.'],
  ])('%j', async (lines, message) => {
    await expect(read(...lines)).rejects.toThrow(expect.toSatisfy((error: unknown) => error instanceof SimError && error.code === 'usage' && error.message.startsWith(`${file}${message}`)))
  })

  test('all that the schema finds is told at once', async () => {
    await expect(read('publish: t', 'wil: ["x"]')).rejects.toThrow(/:1:1: publish: .*\nsim: .*:2:1: "wil" is not known here\. Did you mean will\?/)
  })

  test('a file that is missing, or as large as a book, is refused', async () => {
    await expect(readAclFile(path.join(folder, 'nowhere'))).rejects.toThrow(/nowhere cannot be read: ENOENT/)
    await expect(read(`publish: ["t/\${id}"] # ${'x'.repeat(70_000)}`)).rejects.toThrow(/is longer than 65536 characters/)
  })
})

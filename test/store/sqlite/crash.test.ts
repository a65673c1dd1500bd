import { spawnSync } from 'node:child_process'
import { expect, test } from 'vitest'
import type { DeviceId } from '../../../src/core/ids.ts'
import { openRegistry } from '../../../src/store/sqlite/registry.ts'
import { openView } from '../../../src/store/view.ts'
import { CA, derOf, device, eventOf, NOW, planned, printOf, serialOf } from '../../contract/records.ts'
import { startChild } from '../children.ts'
import { has, tempDir } from '../temp.ts'

const SCRIPT = new URL('child.ts', import.meta.url)

test('killed in the middle of commits, twenty times: what was acknowledged is there, and nothing is there by halves', async () => {
  using dir = tempDir()
  const file = dir.file('registry.db')
  const acknowledged: string[] = []
  for (let round = 0; round < 20; round++) {
    await using child = startChild(SCRIPT, ['commit', file, `r${round}`])
    const last = 3 + ((round * 37) % 90)
    await child.until((line) => line === `stored r${round}-${last}`)
    acknowledged.push(...(await child.kill()).map((line) => line.replace('stored ', '')))

    using registry = openRegistry(file, { clock: () => NOW })
    using view = openView(registry)
    for (const id of acknowledged) {
      expect(registry.device(id as DeviceId)).toEqual(device(id))
      expect(view.certificatesOf(id as DeviceId)).toEqual([{ ...planned(id, id), state: 'active', sha256: printOf(id) }])
      expect(registry.certificateDer(CA, serialOf(id))).toEqual(derOf(id))
    }
    // Not half: every device has its certificate, its three places in the feed and its audit event.
    expect(view.size.certificates).toBe(view.size.devices)
    expect(view.sequence).toBe(3 * view.size.devices)
    const events = Array.from({ length: Math.ceil(view.size.devices / 1_000) }, (_, page) => registry.audit.waiting(page * 1_000, 1_000)).flat()
    expect(events.map((row) => row.position)).toEqual(Array.from({ length: view.size.devices }, (_, i) => i + 1))
  }
  expect(acknowledged.length).toBeGreaterThan(20 * 4)
  using registry = openRegistry(file, { clock: () => NOW })
  expect(registry.audit.waiting(0, 1)[0]?.event).toEqual(eventOf('r0-0'))
})

test.skipIf(!has('prlimit'))('a full disk fails commits, loses none that was acknowledged, and ends when there is room again (needs prlimit)', async () => {
  using dir = tempDir()
  const file = dir.file('registry.db')
  // The first start, before the disk is full: the schema.
  openRegistry(file, { clock: () => NOW }).close()
  await using child = startChild(SCRIPT, ['insist', file])
  await child.until((line) => line.startsWith('stored'))
  spawnSync('prlimit', ['--pid', String(child.process.pid), '--fsize=600000:unlimited'])
  const failed = await child.until((line) => line.startsWith('failed'))
  expect(failed).toMatch(/^failed d\d+ internal$/)
  spawnSync('prlimit', ['--pid', String(child.process.pid), '--fsize=unlimited:unlimited'])
  const failures = child.lines.length
  await child.until((line) => line.startsWith('stored') && child.lines.indexOf(line) > failures)
  const lines = await child.kill()
  using registry = openRegistry(file, { clock: () => NOW })
  for (const line of lines) {
    const [how, id] = line.split(' ')
    if (how === 'stored') expect(registry.device(id as DeviceId)).toBeDefined()
    else expect(registry.device(id as DeviceId)).toBeUndefined()
  }
})

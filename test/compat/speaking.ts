// Each client of MQTT, in each version that it knows: it connects with its certificate, subscribes, publishes and receives, and is refused for
// each reason so that whoever runs it can find out why: by what the client shows, and by what `why` and `refusal list` say.
// What it shows is kept in seen/, from which the table of docs/clients.md is made.

import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { lastReason, openCompatProgram, plain, REFUSALS, register, succeed, type RealClient, type Refusal, type Shown, type Task, type Version } from './stage.ts'
import type { Program } from '../e2e/program.ts'

const idOf = (slug: string, version: Version, suffix = ''): string => `${slug}-${version.replaceAll('.', '')}${suffix}`

/** The tests of one client. */
export function describeClient(real: RealClient): void {
  describe.skipIf(real.missing !== undefined)(`${real.name}${real.missing === undefined ? '' : ` (needs ${real.missing})`}`, () => {
    let program: Program
    let folderOf: (id: string) => string
    beforeAll(async () => {
      program = await openCompatProgram()
      const group = real.group ?? 'sensors'
      const devices = real.versions.flatMap((version) => [{ id: idOf(real.slug, version), group }, { id: idOf(real.slug, version, '-revoked'), group }, { id: idOf(real.slug, version, '-bare'), group: 'sensors' }])
      folderOf = register(program, devices)
      for (const { id } of devices) real.prepare?.(program, id, folderOf(id))
      for (const version of real.versions) succeed(program, 'cert', 'revoke', '--device', idOf(real.slug, version, '-revoked'), '--reason', 'keyCompromise', '--yes')
    })
    afterAll(() => program[Symbol.asyncDispose]())

    function taskOf(version: Version, id: string, more: Partial<Task> = {}): Task {
      const folder = folderOf(id)
      const file = (name: string): string => path.join(folder, name)
      return { action: 'exchange', version, port: program.endpoints.mqtt.port, home: program.home, ca: file('ca.pem'), cert: file('device.pem'), key: file('device.key'), clientId: id, topic: `t/${id}/room`, folder, ...more }
    }
    function refused(refusal: Refusal, version: Version): Task {
      const [own, bare] = [idOf(real.slug, version), idOf(real.slug, version, '-bare')]
      switch (refusal) {
        case 'no certificate': return taskOf(version, own, { action: 'publish', cert: '', key: '' })
        case 'a revoked certificate': return taskOf(version, idOf(real.slug, version, '-revoked'), { action: 'publish' })
        case 'a client id of its own': return taskOf(version, own, { action: 'publish', clientId: 'my-client' })
        case 'a filter without grant': return taskOf(version, bare, { action: 'subscribe', topic: 't/somebody-else/room' })
        case 'a topic without grant': return taskOf(version, bare, { action: 'publish', topic: 't/somebody-else/room' })
      }
    }

    test.each(real.versions)('MQTT %s: it connects, subscribes, publishes and receives', async (version) => {
      const shown = await real.run(taskOf(version, idOf(real.slug, version)))
      expect(shown, shown.output).toMatchObject({ status: 0, output: expect.stringContaining('hello') })
    })

    test('it is refused for each reason, shows it as it did before, and why has the reason', async () => {
      const seen: Record<string, string> = {}
      for (const version of real.versions) {
        for (const [refusal, reason] of Object.entries(REFUSALS) as readonly (readonly [Refusal, string])[]) {
          const task = refused(refusal, version)
          const label = `${version} ${refusal}`
          const shown: Shown = await real.run(task)
          const said = plain({ ...shown, output: real.plain?.(shown.output) ?? shown.output }, task)
          const silence = real.silent[label]
          expect({ label, shows: said !== '' }, said).toEqual({ label, shows: silence === undefined })
          const isItsOwn = real.ownRefusals?.includes(refusal) === true
          expect({ label, reason: lastReason(program, refusal === 'no certificate' ? undefined : path.basename(task.folder)) }).toEqual({ label, reason: isItsOwn ? undefined : reason })
          seen[label] = silence === undefined ? `${said}${real.isTool === true ? `\n[exit ${shown.status}]` : ''}` : `(nothing: ${silence})`
        }
      }
      await expect(`${JSON.stringify({ client: real.name, version: real.version(), seen }, null, 2)}\n`).toMatchFileSnapshot(`./seen/${real.slug}.json`)
    }, 180_000)
  })
}

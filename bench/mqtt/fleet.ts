// The devices of npm run bench:mqtt: registered and enrolled in a fresh home by the program's own desk before a server runs
// there, each with a key and a certificate of its own. Speakers and listeners are what the starter policy calls sensors and
// backend; the same rights for mosquitto are written out here, device by device.

import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { loadConfig } from '../../src/config.ts'
import type { DeviceId, GroupName } from '../../src/core/ids.ts'
import { openDesk } from '../../src/desk.ts'
import { ensureStarter, openHome } from '../../src/home.ts'
import { makeCsr } from '../../src/x509/csr.ts'
import { generateKey, privateKeyPem } from '../../src/x509/keys.ts'
import { noPolicy } from '../no-policy.ts'

const CONCURRENCY = 64

/** Makes the organisation, and `<id>.pem` in `folder` for every device: its key, its certificate and the issuing one. */
export async function makeFleet(home: string, folder: string, speakers: number, listeners: number): Promise<void> {
  const config = loadConfig(home, {})
  await using opened = await openHome(home, config)
  ensureStarter(opened, config.policyFile)
  const actor = { kind: 'system' } as const
  const { authority } = await opened.organisation(actor, 'make')
  const desk = openDesk({ registry: opened.registry, view: opened.view, audit: opened.audit, authority, policies: await noPolicy(opened, authority), ca: opened, clock: Date.now }, actor)
  const enroll = async (id: DeviceId, group: GroupName): Promise<void> => {
    await desk.addDevice({ id, groups: [group], attributes: {} })
    const key = generateKey('P-256')
    const { certificate, chain } = await desk.enroll(id, makeCsr(key, id))
    writeFileSync(path.join(folder, `${id}.pem`), privateKeyPem(key) + certificate + chain.join(''), { mode: 0o600 })
  }
  const wanted = [...named('speaker', speakers, 'sensors'), ...named('listener', listeners, 'backend')]
  let next = 0
  const lane = async (): Promise<void> => {
    while (next < wanted.length) {
      const device = wanted[next++]
      if (device !== undefined) await enroll(device.id, device.group)
    }
  }
  await Promise.all(Array.from({ length: CONCURRENCY }, lane))
}

function named(prefix: string, count: number, group: string): readonly { readonly id: DeviceId; readonly group: GroupName }[] {
  return Array.from({ length: count }, (_, n) => ({ id: `${prefix}-${n}` as DeviceId, group: group as GroupName }))
}

/** What the starter policy allows these devices, for mosquitto: nobody may more and nobody may less. */
export function mosquittoAcl(speakers: number, listeners: number): string {
  const speaker = (n: number): string => `user speaker-${n}\ntopic readwrite t/speaker-${n}/#\ntopic read cmd/speaker-${n}/+\ntopic write state/speaker-${n}\n`
  const listener = (n: number): string => `user listener-${n}\ntopic write cmd/+/+\ntopic read t/#\ntopic read state/#\n`
  return [...Array.from({ length: speakers }, (_, n) => speaker(n)), ...Array.from({ length: listeners }, (_, n) => listener(n))].join('\n')
}

// The demo of a first start: one device, one backend, their bundles, and two lines that can be pasted into two shells.

import { existsSync } from 'node:fs'
import path from 'node:path'
import { writeBundle } from './bundle.ts'
import type { Desk } from './core/desk.ts'
import type { DeviceId, GroupName } from './core/ids.ts'
import type { OpenHome } from './home.ts'

export interface Demo {
  readonly folder: string
  /** A mosquitto_sub line of the backend and a mosquitto_pub line of the device. */
  readonly subscribe: string
  readonly publish: string
}

const DEVICE = 'demo-sensor' as DeviceId
const BACKEND = 'demo-backend' as DeviceId

/** Registers both and writes their bundles, where they are not there yet; the lines are for the port of this start. */
export async function ensureDemo(home: OpenHome, desk: Desk, port: number): Promise<Demo> {
  const folder = home.paths.demo
  for (const [id, group] of [[DEVICE, 'sensors'], [BACKEND, 'backend']] as const) {
    if (home.view.device(id) === undefined) await desk.addDevice({ id, groups: [group as GroupName], attributes: {} })
    const bundle = path.join(folder, id)
    if (!existsSync(path.join(bundle, 'device.pem'))) await writeBundle(desk, id, { folder: bundle, connectTo: { host: 'localhost', port }, force: true })
  }
  const client = (tool: string, id: DeviceId, rest: string): string => {
    const file = (name: string): string => quoted(path.join(folder, id, name))
    return `mosquitto_${tool} -h localhost -p ${port} --cafile ${file('ca.pem')} --cert ${file('device.pem')} --key ${file('device.key')} -i ${id} ${rest}`
  }
  return { folder, subscribe: client('sub', BACKEND, "-t 't/#' -v"), publish: client('pub', DEVICE, `-t t/${DEVICE}/temperature -m 21.5 -q 1`) }
}

/** For a shell. */
function quoted(file: string): string {
  return /^[A-Za-z0-9_./-]+$/.test(file) ? file : `'${file.replaceAll("'", String.raw`'\''`)}'`
}

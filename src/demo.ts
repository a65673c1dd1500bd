// The demo of a first start: one device, one backend, their bundles, and two lines that can be pasted into two shells.

import path from 'node:path'
import { isBundleWhole, readdressBundle, writeBundle } from './bundle.ts'
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

/**
 * Registers both and writes their bundles, where they are not there yet; the lines are for the port of this start. Throws
 * SallyportError when a demo device is refused a certificate: an operator may have suspended or retired it.
 */
export async function ensureDemo(home: OpenHome, desk: Desk, port: number): Promise<Demo> {
  const folder = home.paths.demo
  const connectTo = { host: 'localhost', port }
  for (const [id, group] of [[DEVICE, 'sensors'], [BACKEND, 'backend']] as const) {
    const bundle = path.join(folder, id)
    if (home.view.device(id) === undefined) await desk.addDevice({ id, groups: [group as GroupName], attributes: {} })
    // A start that was killed in the middle of a bundle is gone on with; free ports are others at every start.
    if (isBundleWhole(bundle)) readdressBundle(bundle, connectTo)
    else await writeBundle(desk, id, { folder: bundle, connectTo, existingKey: 'use' })
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

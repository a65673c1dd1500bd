// A home with a fleet for npm run bench:api: devices with real certificates that connect, and many more that are only registered. It can be
// kept in a folder and used again, because ten thousand certificates take longer than a round of what is measured.

import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { makeFleet } from '../mqtt/fleet.ts'
import { openRegistry } from '../../src/store/sqlite/registry.ts'
import { seedDevices } from './seed.ts'

export interface House extends Disposable {
  readonly home: string
  /** `<id>.pem` of every device that connects. */
  readonly certs: string
  /** For files of the measurement. */
  readonly work: string
  readonly ca: string
}

/** `kept`: a folder in which it stays. It is made for these numbers, and not looked at again. */
export async function openHouse({ connected, registered, kept }: { readonly connected: number; readonly registered: number; readonly kept?: string | undefined }): Promise<House> {
  const work = kept ?? mkdtempSync(path.join(os.tmpdir(), 'sallyport-bench-api-'))
  const [home, certs, made] = [path.join(work, 'home'), path.join(work, 'certs'), path.join(work, 'made')]
  if (!existsSync(made)) {
    mkdirSync(certs, { recursive: true })
    await makeFleet(home, certs, connected, 1)
    const registry = openRegistry(path.join(home, 'data/registry.db'), { clock: Date.now })
    await seedDevices(registry, registered - connected, Date.now())
    registry.close()
    writeFileSync(made, `${connected} connected, ${registered} registered\n`)
  }
  // A server that was killed leaves it behind, and who waits for a new one would take it for that.
  rmSync(path.join(home, 'data/endpoints.json'), { force: true })
  return { home, certs, work, ca: path.join(home, 'certs/local/root.pem'), [Symbol.dispose]: () => (kept === undefined ? rmSync(work, { recursive: true, force: true }) : undefined) }
}

export interface OperatorFiles {
  readonly url: string
  readonly key: string
  readonly cert: string
  readonly ca: string
}

/** What the first operator shows, PEM. */
export function operatorOf(home: string): OperatorFiles {
  const local = path.join(home, 'certs/local')
  const read = (name: string): string => readFileSync(path.join(local, name), 'utf8')
  const { admin } = endpointsOf(home)
  return { url: admin.url, key: read('operator/key.pem'), cert: read('operator/cert.pem'), ca: read('root.pem') }
}

interface Endpoints {
  readonly admin: { readonly url: string }
  readonly metrics: { readonly url: string }
}

function endpointsOf(home: string): Endpoints {
  return JSON.parse(readFileSync(path.join(home, 'data/endpoints.json'), 'utf8')) as Endpoints
}

/** Where metrics are read. */
export function metricsOf(home: string): string {
  return endpointsOf(home).metrics.url
}

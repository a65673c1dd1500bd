// A home with its CA and its public door on a real socket, and an openssl that fetches from it: what the tests of this room
// stand on.

import { request } from 'node:http'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { LIFE } from '../../src/limits.ts'
import { openPublicPki, type PublicPki } from '../../src/public-pki.ts'
import { openHouse, type Credential, type House } from '../http/house.ts'

export interface Door extends AsyncDisposable {
  readonly house: House
  readonly pki: PublicPki
  readonly url: string
  /** Moves the clock of the door. */
  at(now: number | undefined): void
  /** A file of the house's folder, for the tools. */
  readonly file: (name: string) => string
  write(name: string, contents: string | Uint8Array): string
  device(id: string): Promise<Credential>
  get(at: string, options?: { readonly method?: string; readonly headers?: Readonly<Record<string, string>>; readonly body?: Uint8Array }): Promise<Got>
}

export interface Got {
  readonly status: number
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  readonly body: Buffer
}

export async function openDoor(config: { readonly url?: string; readonly crlShards?: number } = {}): Promise<Door> {
  const house = await openHouse()
  let moved: number | undefined
  const clock = (): number => moved ?? Date.now()
  const pki = await openPublicPki({
    home: house.home, organisation: house.organisation, genesis: house.home.genesis({ kind: 'system' }), clock, log: () => {},
    config: { listen: { mqtt: ANY, admin: ANY, enroll: ANY, websocket: undefined, pki: ANY, metrics: { ...ANY, tokenFile: undefined } }, pki: { url: config.url, crlShards: config.crlShards ?? 1, crlHours: LIFE.day / HOUR_MS } },
  })
  await pki.publish()
  const file = (name: string): string => path.join(house.folder, name)
  const write = (name: string, contents: string | Uint8Array): string => {
    writeFileSync(file(name), contents)
    return file(name)
  }
  const url = `http://127.0.0.1:${pki.address.port}`
  const get: Door['get'] = (at, { method = 'GET', headers = {}, body } = {}) =>
    new Promise((resolve, reject) => {
      const sent = request(`${url}${at}`, { method, headers: { ...headers, ...(body === undefined ? {} : { 'content-length': String(body.length) }) }, agent: false }, (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) }))
      })
      sent.on('error', reject)
      sent.end(body)
    })
  const issuing = (await get('/ca/issuing-1.pem')).body
  write('issuing.pem', issuing)
  write('root.pem', (await get('/ca/root.pem')).body)
  return {
    house, pki, url, file, write, get,
    at: (now) => {
      moved = now
    },
    async device(id) {
      const credential = await house.device(id)
      write(`${id}.pem`, credential.cert)
      write(`${id}.key`, credential.key)
      return credential
    },
    async [Symbol.asyncDispose]() {
      await pki[Symbol.asyncDispose]()
      await house[Symbol.asyncDispose]()
    },
  }
}

const ANY = { host: '127.0.0.1', port: 0 }
const HOUR_MS = 3_600_000

// sallyport/client, imported by its name as another program would: what it sends and throws, and that it brings no server with it.

import { execFileSync } from 'node:child_process'
import path from 'node:path'
import { openClient, SallyportError, type Client } from 'sallyport/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { z } from 'zod'
import { ROUTES } from '../../src/http/routes.ts'
import type { AnyRoute } from '../../src/http/route.ts'
import { makeCsr } from '../../src/x509/csr.ts'
import { newKey, openHouse, type House } from './house.ts'

let house: House
let api: Client
beforeAll(async () => {
  house = await openHouse()
  const { url } = await house.openAdmin()
  api = openClient({ url, key: house.operator.key, cert: house.operator.cert, ca: house.root })
})
afterAll(async () => {
  api[Symbol.dispose]()
  await house[Symbol.asyncDispose]()
})

const failure = (work: Promise<unknown>): Promise<SallyportError> => work.then(() => Promise.reject(new Error('it was done')), (error: unknown) => (error instanceof SallyportError ? error : Promise.reject(error)))

describe('a day of a program', () => {
  test('a device is registered, described, enrolled, found, suspended and revoked', async () => {
    const added = await api.addDevice({ id: 'pump-1', groups: ['pumps'], attributes: { site: 'north' } })
    expect('results' in added ? undefined : added.revision).toBe(1)
    expect(await api.describeDevice({ id: 'pump-1', attributes: { rack: '7' }, revision: 1 })).toMatchObject({ revision: 2, attributes: { site: 'north', rack: '7' } })
    const { serial } = await api.enroll({ id: 'pump-1', csr: makeCsr(newKey(), 'pump-1') })
    expect((await api.devices({ q: 'UMP', attribute: 'rack=7', limit: 1 })).items.map(({ id }) => id)).toEqual(['pump-1'])
    expect((await api.devices({ q: 'umpx' })).items).toEqual([])
    expect((await api.certificate({ serial })).pem).toMatch(/^-----BEGIN CERTIFICATE/)
    expect(await api.changeDevice({ id: 'pump-1', action: 'suspend' })).toMatchObject({ state: 'suspended' })
    expect((await api.revoke({ device: 'pump-1', reason: 'keyCompromise' })).revoked).toEqual([serial])
  })

  test('what a name holds is a name, whatever it is', async () => {
    expect(await failure(api.device({ id: '../../status?x=1#y' }))).toMatchObject({ code: 'refused', reason: 'device-id-invalid' })
    expect(await failure(api.device({ id: 'nobody' }))).toMatchObject({ code: 'not-found', reason: 'device-not-found', fix: expect.any(String) })
  })

  test('who stops waiting is told so, and the next call is served', async () => {
    expect(await failure(api.status({}, { signal: AbortSignal.abort() }))).toMatchObject({ code: 'unreachable' })
    expect(await api.status()).toMatchObject({ version: '0.0.0' })
  })
})

test('an operation takes its fields from one object: no two of them have one name', () => {
  const shapeOf = (schema: z.ZodType | undefined): readonly string[] => (schema !== undefined && 'shape' in schema ? Object.keys(schema.shape as object) : [])
  for (const [name, row] of Object.entries<AnyRoute>(ROUTES)) {
    const fields = [...shapeOf(row.params), ...shapeOf(row.query), ...('body' in row ? shapeOf(row.body) : [])]
    expect(new Set(fields).size, name).toBe(fields.length)
    const named = [...row.path.matchAll(/:(\w+)/g)].map((m) => m[1])
    expect(shapeOf(row.params), name).toEqual(named)
    // Where there is a body, what is in no path is in the body.
    expect('body' in row && row.body !== undefined && row.query !== undefined, name).toBe(false)
  }
})

test('it brings no server, no database and no package', () => {
  const script = `
    import { registerHooks } from 'node:module'
    const seen = []
    registerHooks({ resolve: (specifier, context, next) => { const found = next(specifier, context); seen.push(found.url); return found } })
    const { openClient } = await import('sallyport/client')
    using api = openClient({ url: 'https://localhost:1', key: '', cert: '', ca: '' })
    console.log(JSON.stringify({ operations: Object.keys(api).length, seen }))`
  const { operations, seen } = JSON.parse(execFileSync(process.execPath, ['--conditions=sallyport-source', '--input-type=module', '-e', script], { cwd: path.resolve(import.meta.dirname, '../..'), encoding: 'utf8' })) as { readonly operations: number; readonly seen: readonly string[] }
  // What streams is read by an EventSource, not by a method.
  expect(operations).toBe(Object.values<AnyRoute>(ROUTES).filter((row) => 'answer' in row).length)
  expect(seen.filter((url) => /node_modules\/|node:sqlite|\/src\/(store|broker|ca|x509|observe)\//.test(url))).toEqual([])
})

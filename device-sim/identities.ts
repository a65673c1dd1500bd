// Provisioned devices: key, certificate, chain. It enrolls them through the admin API with their own requests, many at a
// time but never more than a few under way, and hands each out once. How a certificate is used is not its business.

import { createPrivateKey, type KeyObject } from 'node:crypto'
import type { Admin } from './admin.ts'
import { forgeRequest } from './forge/request.ts'
import { unpem } from './forge/certificate.ts'
import { keyPem, privateKey } from './forge/keys.ts'
import { SimError } from './failure.ts'
import { SIM_LIMITS } from './limits.ts'
import type { Credentials } from './raw-peer.ts'

export interface Identity extends Credentials {
  readonly id: string
  readonly serial: string
  readonly keyObject: KeyObject
  /** DER, leaf first. */
  readonly chain: readonly Buffer[]
}

export interface Identities {
  /** A device that nobody else has used, in this group. `label` becomes part of its id. */
  fresh(label: string, group?: Group): Promise<Identity>
  /** The same under this very id. */
  named(id: string, group?: Group): Promise<Identity>
  /** A certificate more under this id, whether it is registered already or not. */
  again(id: string, group?: Group): Promise<Identity>
  /** Many of them: registered in one request, enrolled side by side. */
  batch(label: string, count: number, group?: Group): Promise<readonly Identity[]>
  /** These very ids, registered and enrolled like a batch; each is handed over as soon as it is there. */
  all(ids: readonly string[], group: Group, each: (identity: Identity) => void, signal?: AbortSignal): Promise<void>
  /** An id that is registered and has no certificate yet. */
  registered(label: string, group?: Group): Promise<string>
}

/**
 * The groups of the starter policy. In a home that the simulator made there are more: ears hear everything, keepers may retain
 * below t/<id>/, metered ones publish there twenty times a second.
 */
export type Group = 'sensors' | 'backend' | 'ears' | 'keepers' | 'metered'

/** Runs `work` over the items, at most `parallel` at the same time, and keeps the order of the results. */
export async function inParallel<T, R>(items: readonly T[], parallel: number, work: (item: T, index: number) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  let next = 0
  const lane = async (): Promise<void> => {
    for (let index = next++; index < items.length; index = next++) {
      const item = items[index]
      if (item !== undefined) results[index] = await work(item, index)
    }
  }
  await Promise.all(Array.from({ length: Math.min(parallel, items.length) }, lane))
  return results
}

/** From the files of a bundle. */
export function identityOf(id: string, certificateChain: string, key: string): Identity {
  return { id, serial: '', cert: certificateChain, key, keyObject: createPrivateKey(key), chain: unpem(certificateChain) }
}

/** Device ids of this run begin with `run`, so that a target's own devices are never touched. */
export function openIdentities(admin: Admin, run: string): Identities {
  let count = 0
  const name = (label: string): string => `${run}-${label}-${(count += 1)}`

  async function enroll(id: string): Promise<Identity> {
    const keyObject = privateKey()
    const enrolled = await admin.enroll(id, forgeRequest(keyObject, id))
    const cert = [enrolled.certificate, ...enrolled.chain].join('')
    return { id, serial: enrolled.serial, cert, key: keyPem(keyObject), keyObject, chain: unpem(cert) }
  }

  const register = async (ids: readonly string[], group: Group): Promise<void> => {
    // One request for all, but not larger than an API may refuse.
    for (let at = 0; at < ids.length; at += SIM_LIMITS.registerPerRequest) {
      await admin.addDevices(ids.slice(at, at + SIM_LIMITS.registerPerRequest).map((id) => ({ id, groups: [group] })))
    }
  }

  return {
    async registered(label, group = 'sensors') {
      const id = name(label)
      await register([id], group)
      return id
    },
    fresh(label, group = 'sensors') {
      return this.named(name(label), group)
    },
    async named(id, group = 'sensors') {
      await register([id], group)
      return enroll(id)
    },
    async again(id, group = 'sensors') {
      const { status, code } = await admin.tryAddDevice({ id, groups: [group] })
      if (status >= 300 && status !== 409) throw new SimError('failed', `${id} could not be registered: ${status}${code === undefined ? '' : ` (${code})`}.`)
      return enroll(id)
    },
    async batch(label, number, group = 'sensors') {
      const ids = Array.from({ length: number }, () => name(label))
      await register(ids, group)
      return inParallel(ids, SIM_LIMITS.enrollParallel, enroll)
    },
    async all(ids, group, each, signal) {
      await register(ids, group)
      await inParallel(ids, SIM_LIMITS.enrollParallel, async (id) => {
        if (signal?.aborted !== true) each(await enroll(id))
      })
    },
  }
}

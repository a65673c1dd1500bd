// Devices of earlier runs, kept in a folder that only its owner can read: a fleet of thousands is made once and connects at once from then
// on. What is kept is good for the CA that issued it and for nobody else; what cannot be read, does not fit or ends soon is made anew.

import { createHash, createPrivateKey, randomBytes, X509Certificate } from 'node:crypto'
import { mkdir, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { z } from 'zod'
import { SimError } from './failure.ts'
import { unpem } from './forge/certificate.ts'
import { inParallel, type Group, type Identities, type Identity } from './identities.ts'
import { SIM_LIMITS } from './limits.ts'
import type { Scenario, Step } from './scenario/scenario.ts'

export interface IdentityCache extends AsyncDisposable {
  /** Begins the ids of the devices of these groups, in every run. */
  readonly run: string
  /** Where `all` takes from what is kept, and keeps what it has to make. */
  readonly identities: Identities
}

const Head = z.strictObject({ salt: z.string().regex(/^[0-9a-f]{16}$/) })
const Kept = z.strictObject({ id: z.string(), cert: z.string(), key: z.string() })

/** Steps after which a certificate is no longer what it was. */
const CHANGES: readonly Step['kind'][] = ['enroll', 'renew', 'revoke', 'suspend', 'resume', 'rotate']

/** Why the devices of this scenario must be new ones; undefined where those of the last run will do. */
export function whyNotKept({ groups, phases }: Scenario): string | undefined {
  const changing = phases.flatMap(({ steps }) => steps).find(({ kind }) => CHANGES.includes(kind))
  if (changing !== undefined) return `${changing.kind} changes what they have`
  const waiting = [...groups].find(([, { session }]) => session === 'kept')
  return waiting === undefined ? undefined : `the sessions of ${waiting[0]} are kept, and would bring messages of the last run`
}

/** Failure 'usage': the folder is open to others, or another run has it. `issuer`: DER. */
export async function openIdentityCache(folder: string, issuer: Buffer, scenario: Scenario, identities: Identities): Promise<IdentityCache> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  if (((await stat(folder)).mode & 0o077) !== 0) throw new SimError('usage', `--cache ${folder} holds private keys, and others may read it. fix: chmod 700 ${folder}`)
  const file = path.join(folder, `${createHash('sha256').update(issuer).digest('hex').slice(0, 32)}.jsonl`)
  const lock = await locked(`${file}.lock`)
  const [first = '', ...lines] = (await readFile(file, 'utf8').catch(() => '')).split('\n')
  const head = parsed(Head, first)
  const salt = head?.salt ?? randomBytes(8).toString('hex')
  // A name that has another role in another scenario is another device.
  const roles = [...scenario.groups].map(([name, { role }]) => `${name}=${role}`).toSorted().join()
  const kept = new Map((head === undefined ? [] : lines).flatMap((line) => {
    const entry = parsed(Kept, line)
    return entry === undefined ? [] : [[entry.id, entry] as const]
  }))
  const ca = new X509Certificate(issuer)

  async function save(): Promise<void> {
    await writeFile(`${file}.next`, [JSON.stringify({ salt }), ...[...kept.values()].map((entry) => JSON.stringify(entry))].join('\n'), { mode: 0o600 })
    await rename(`${file}.next`, file)
  }
  return {
    run: `sim-${createHash('sha256').update(salt).update(roles).digest('hex').slice(0, 8)}`,
    identities: {
      ...identities,
      async all(ids, group, each, signal) {
        const missing: string[] = []
        for (const id of ids) {
          const entry = kept.get(id)
          const identity = entry === undefined ? undefined : usable(entry, ca)
          if (identity === undefined) missing.push(id)
          else each(identity)
        }
        const make = (identity: Identity): void => {
          kept.set(identity.id, { id: identity.id, cert: identity.cert, key: identity.key })
          each(identity)
        }
        if (missing.length === 0) return
        try {
          if (head === undefined) await identities.all(missing, group, make, signal)
          else await anew(identities, missing, group, make, signal)
        } finally {
          await save()
        }
      },
    },
    async [Symbol.asyncDispose]() {
      await rm(lock, { force: true })
    },
  }
}

/** Some of them may be registered. */
async function anew(identities: Identities, ids: readonly string[], group: Group, each: (identity: Identity) => void, signal: AbortSignal | undefined): Promise<void> {
  await inParallel(ids, SIM_LIMITS.enrollParallel, async (id) => {
    if (signal?.aborted !== true) each(await identities.again(id, group))
  })
}

function usable({ id, cert, key }: z.infer<typeof Kept>, ca: X509Certificate): Identity | undefined {
  try {
    const certificate = new X509Certificate(cert)
    const keyObject = createPrivateKey(key)
    const fits = certificate.checkIssued(ca) && certificate.verify(ca.publicKey) && certificate.checkPrivateKey(keyObject) && certificate.subject === `CN=${id}`
    if (!fits || certificate.validToDate.getTime() < Date.now() + SIM_LIMITS.keptLifeMs) return undefined
    return { id, serial: certificate.serialNumber.toLowerCase(), cert, key, keyObject, chain: unpem(cert) }
  } catch {
    return undefined // Damaged: it is made anew.
  }
}

function parsed<T>(schema: z.ZodType<T>, line: string): T | undefined {
  try {
    return schema.safeParse(JSON.parse(line)).data
  } catch {
    return undefined // No JSON: as if it were not there.
  }
}

/** Two runs with the same devices would put each other out. */
async function locked(file: string): Promise<string> {
  for (let tries = 0; tries < 2; tries++) {
    const handle = await open(file, 'wx', 0o600).catch((fault: NodeJS.ErrnoException) => {
      if (fault.code !== 'EEXIST') throw fault
    })
    if (handle !== undefined) {
      await handle.writeFile(String(process.pid))
      await handle.close()
      return file
    }
    const holder = Number(await readFile(file, 'utf8').catch(() => ''))
    if (isAlive(holder)) throw new SimError('usage', `Process ${holder} is running with the devices of this cache. fix: wait for it, or give this run a --cache of its own.`)
    await rm(file, { force: true })
  }
  throw new SimError('usage', `${file} cannot be taken.`)
}

function isAlive(pid: number): boolean {
  if (!Number.isInteger(pid) || pid < 1) return false
  try {
    return process.kill(pid, 0)
  } catch (fault) {
    return (fault as NodeJS.ErrnoException).code === 'EPERM'
  }
}

// Eclipse Mosquitto as a target: a CA, a configuration and a revocation list in a temporary folder, and a child process. It starts,
// waits, revokes, stops and removes. What the broker does in between is not its business.

import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import path from 'node:path'
import { STARTER_ACL } from '../acl.ts'
import type { Admin } from '../admin.ts'
import type { Aim } from '../aim.ts'
import { SimError } from '../failure.ts'
import { forgeIssuing, forgeRoot, forgeServer, type ForgedAuthority } from '../forge/authority.ts'
import { pem } from '../forge/certificate.ts'
import { forgeCrl } from '../forge/crl.ts'
import { keyPem } from '../forge/keys.ts'
import type { Identity, Identities } from '../identities.ts'
import { SIM_LIMITS } from '../limits.ts'
import { mintedIdentities } from '../minted.ts'
import { attemptConnect } from '../raw-peer.ts'
import { oneLine } from '../report/table.ts'
import type { Target } from '../target.ts'
import { mosquittoAcl, mosquittoConfig, type MosquittoFiles } from './mosquitto-config.ts'

const ROLES = { ears: 'sim-ears', backend: 'sim-backend' } as const
const DAY = 24 * 3_600 * 1_000
const SECOND = 1_000

export interface StartedBroker extends AsyncDisposable {
  readonly aim: Aim
}

/** A line that the broker has said, from now on. */
interface Voice {
  /** The first line that matches; rejects when the broker ends, or says nothing like it in time. */
  says(what: RegExp, ms: number): Promise<RegExpExecArray>
}

/** Failure: 'unreachable' where it is not installed, 'failed' where it does not start. `edit` is for tests, which take the care out again. */
export async function startMosquitto(run: string, signal: AbortSignal, edit: (config: string) => string = (config) => config): Promise<StartedBroker> {
  const folder = await mkdtemp(path.join(tmpdir(), 'sallyport-mosquitto-'))
  let child: ChildProcess | undefined
  try {
    const root = forgeRoot('Simulated fleet')
    const issuing = forgeIssuing(root, 'Simulated fleet')
    const factory = forgeRoot('Simulated factory')
    const files = await writeFiles(folder, { root, issuing, factory })
    const port = await freePort()
    await writeFile(path.join(folder, 'mosquitto.conf'), edit(mosquittoConfig(port, userInfo().username, files)))
    // Where Debian has it, which is on the PATH of an administrator only.
    const env = { PATH: [process.env['PATH'] ?? '', '/usr/sbin', '/usr/local/sbin'].join(path.delimiter) }
    child = spawn('mosquitto', ['-c', path.join(folder, 'mosquitto.conf')], { stdio: ['ignore', 'ignore', 'pipe'], env, signal, killSignal: 'SIGKILL' })
    const running = child
    const voice = listenTo(running)
    const [, version = ''] = await voice.says(/mosquitto version ([\d.]+) running/, SIM_LIMITS.brokerReadyMs)
    const target: Target = { host: '127.0.0.1', port, serverName: 'localhost', ca: pem('CERTIFICATE', root.certificate) }
    const { identities, serialsOf } = remembering(mintedIdentities(issuing, [issuing.certificate], ROLES, run))
    // It says so before its loop begins, and would forget a signal that came in between.
    await knock(target, identities)
    return {
      aim: {
        name: `mosquitto ${version}`,
        target,
        identities,
        acl: { ...STARTER_ACL, identity: 'certificate', ears: { group: 'ears', filters: ['#'] } },
        root: root.certificate,
        issuing: issuing.certificate,
        issuingAuthority: issuing,
        factoryAuthority: factory,
        operator: { revoke: revocation(running, voice, files.crl, { issuing, factory }, target, identities, serialsOf) },
        measure: 'promises',
        severalSessions: false,
        intermediate: true,
        floods: true,
        pid: () => Promise.resolve(running.exitCode === null && running.signalCode === null ? running.pid : undefined),
      },
      [Symbol.asyncDispose]: async () => {
        await stop(running)
        await rm(folder, { recursive: true, force: true })
      },
    }
  } catch (failure) {
    if (child !== undefined) await stop(child)
    await rm(folder, { recursive: true, force: true })
    throw failure
  }
}

/** The fleet's root and its issuing CA, and another CA that may name devices, too. */
interface Authorities {
  readonly root: ForgedAuthority
  readonly issuing: ForgedAuthority
  readonly factory: ForgedAuthority
}

async function writeFiles(folder: string, { root, issuing, factory }: Authorities): Promise<MosquittoFiles> {
  const at = (file: string): string => path.join(folder, file)
  const server = forgeServer(issuing, ['localhost', '127.0.0.1'])
  const files: MosquittoFiles = { ca: at('ca.pem'), cert: at('server.pem'), key: at('server.key'), crl: at('crl.pem'), acl: at('acl') }
  await Promise.all([
    writeFile(files.ca, pem('CERTIFICATE', root.certificate) + pem('CERTIFICATE', factory.certificate)),
    writeFile(files.cert, pem('CERTIFICATE', server.certificate) + pem('CERTIFICATE', issuing.certificate)),
    writeFile(files.key, keyPem(server.key), { mode: 0o600 }),
    writeFile(files.crl, revocationLists({ issuing, factory }, [], 1)),
    writeFile(files.acl, mosquittoAcl(ROLES.ears, ROLES.backend)),
  ])
  return files
}

/** The broker cannot be asked for a port of its choice. */
async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => void server.close(resolve))
  return port
}

function listenTo(child: ChildProcess): Voice {
  let tail = ''
  let ended: SimError | undefined
  const listeners = new Set<(said: string) => void>()
  const tell = (said: string): void => {
    for (const listener of listeners) listener(said)
  }
  child.stderr?.on('data', (chunk: Buffer) => {
    tail = (tail + chunk.toString()).slice(-SIM_LIMITS.serverLogCharsMax)
    tell(chunk.toString())
  })
  child.once('error', (fault: NodeJS.ErrnoException) => {
    ended = fault.code === 'ENOENT' ? new SimError('unreachable', 'mosquitto is not installed; on Debian: apt-get install mosquitto') : new SimError('failed', fault.message)
    tell('')
  })
  child.once('close', () => {
    ended ??= new SimError('failed', `mosquitto ended: ${oneLine(tail.trim())}`)
    tell('')
  })
  return {
    says: (what, ms) => new Promise((resolve, reject) => {
      let heard = ''
      const listen = (said: string): void => {
        heard = (heard + said).slice(-SIM_LIMITS.serverLogCharsMax)
        const found = what.exec(heard)
        if (found !== null) settle(() => resolve(found))
        else if (ended !== undefined) settle(() => reject(ended))
      }
      const timer = setTimeout(() => settle(() => reject(new SimError('failed', `mosquitto did not say ${what.source} in ${ms} ms: ${oneLine(tail.trim())}`))), ms)
      const settle = (how: () => void): void => {
        clearTimeout(timer)
        listeners.delete(listen)
        how()
      }
      listeners.add(listen)
      listen('')
    }),
  }
}

/** The same identities, and which serial numbers each device has: what a CA's own books would say. */
function remembering(minted: Identities): { readonly identities: Identities; readonly serialsOf: (target: { readonly device: string } | { readonly serial: string }) => readonly string[] } {
  const serials = new Map<string, string[]>()
  const keep = (identity: Identity): Identity => {
    serials.set(identity.id, [...(serials.get(identity.id) ?? []), identity.serial])
    return identity
  }
  return {
    identities: {
      ...minted,
      fresh: async (label, group) => keep(await minted.fresh(label, group)),
      named: async (id, group) => keep(await minted.named(id, group)),
      again: async (id, group) => keep(await minted.again(id, group)),
      all: (ids, group, each, signal) => minted.all(ids, group, (identity) => each(keep(identity)), signal),
      batch: async (label, count, group) => (await minted.batch(label, count, group)).map(keep),
    },
    serialsOf: (target) => ('serial' in target ? [target.serial] : (serials.get(target.device) ?? [])),
  }
}

/** One of each CA: whoever checks by lists must have them all. Of two of the same CA OpenSSL takes the one that is newer by a second at least. */
function revocationLists({ issuing, factory }: Omit<Authorities, 'root'>, revoked: readonly string[], number: number): string {
  const thisUpdate = Date.now() - DAY + number * SECOND
  return [{ authority: issuing, serials: revoked.map((serial) => Buffer.from(serial, 'hex')) }, { authority: factory, serials: [] }]
    .map(({ authority, serials }) => pem('X509 CRL', forgeCrl(authority, { serials, number, thisUpdate })))
    .join('')
}

/** As an operator does it: the next revocation list in the place of the last, and SIGHUP; answered when the broker has read it. */
function revocation(child: ChildProcess, voice: Voice, file: string, authorities: Omit<Authorities, 'root'>, target: Target, identities: Identities, serialsOf: ReturnType<typeof remembering>['serialsOf']): Admin['revoke'] {
  const revoked = new Set<string>()
  let number = 1
  return async (wanted) => {
    const serials = serialsOf(wanted)
    for (const serial of serials) revoked.add(serial)
    number += 1
    await writeFile(`${file}.next`, revocationLists(authorities, [...revoked], number))
    await rename(`${file}.next`, file)
    const reloading = voice.says(/Reloading config/, SIM_LIMITS.revocationMs)
    child.kill('SIGHUP')
    await reloading
    // It does one thing after the other: who is let in after that line is let in by the new list.
    await knock(target, identities)
    return { revoked: serials, sessionsClosed: undefined }
  }
}

/** Whatever it answers: its loop has gone round. */
async function knock(target: Target, identities: Identities): Promise<void> {
  const probe = await identities.fresh('probe')
  const { peer } = await attemptConnect({ target, credentials: probe, version: 5 }, probe.id)
  peer.end()
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  const gone = new Promise<void>((resolve) => void child.once('exit', () => resolve()))
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), SIM_LIMITS.serverStopMs)
  await gone
  clearTimeout(timer)
}

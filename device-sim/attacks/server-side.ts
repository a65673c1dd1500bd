// Family D: the device's side. False servers wait for the fleet's device, for MQTT.js as it comes, and for mosquitto_sub; not
// one byte of a CONNECT may leave them. That the trap would see one is shown by the trap itself: it is also offered to a
// device that trusts its CA.

import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createServer, type TlsOptions } from 'node:tls'
import { connectDevice } from '../device.ts'
import { forgeIssuing, forgeLeaf, forgeRoot, forgeServer, lookalikeOf, type ForgedAuthority } from '../forge/authority.ts'
import { pem } from '../forge/certificate.ts'
import { OID } from '../forge/der.ts'
import type { Identity } from '../identities.ts'
import { SIM_LIMITS } from '../limits.ts'
import type { Credentials } from '../raw-peer.ts'
import type { Target } from '../target.ts'
import type { Arena, Bench, Runner } from './arena.ts'
import { issuingOf, presenting } from './impostors.ts'

export interface Trap extends AsyncDisposable {
  readonly port: number
  /** What has been sent to it after a handshake. */
  bytes(): number
}

/** A server with this certificate that shakes hands with everybody and counts what it is told. */
export async function openTrap(credentials: Credentials, options: TlsOptions = {}): Promise<Trap> {
  let bytes = 0
  const server = createServer({ ...options, cert: credentials.cert, key: credentials.key, requestCert: true, rejectUnauthorized: false }, (socket) => {
    socket.on('error', () => socket.destroy())
    socket.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      socket.destroy()
    })
  })
  // A device that does not trust it hangs up in the handshake: that is what is hoped for.
  server.on('tlsClientError', (_fault, socket) => socket.destroy())
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    bytes: () => bytes,
    [Symbol.asyncDispose]: () => new Promise((resolve) => void server.close(() => resolve())),
  }
}

/** Somebody who connects to where they are told; resolves with what they say when they do not like it. */
export type Client = (target: Target, device: Identity) => Promise<string | undefined>

const fleetDevice: Client = async (target, device) => {
  try {
    await (await connectDevice({ target, id: device.id, credentials: device, version: 5 })).close()
    return undefined
  } catch (complaint) {
    return complaint instanceof Error ? complaint.message : String(complaint)
  }
}

/** mosquitto_sub with the device's bundle; it verifies the name that it is told to connect to. */
const mosquittoSub: Client = async (target, device) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'sallyport-sim-client-'))
  const at = (file: string): string => path.join(folder, file)
  try {
    await Promise.all([writeFile(at('ca.pem'), target.ca), writeFile(at('cert.pem'), device.cert), writeFile(at('key.pem'), device.key, { mode: 0o600 })])
    const files = ['--cafile', at('ca.pem'), '--cert', at('cert.pem'), '--key', at('key.pem')]
    const child = spawn('mosquitto_sub', ['-h', target.serverName, '-p', String(target.port), ...files, '-i', device.id, '-t', `t/${device.id}/#`, '-E', '-W', String(SIM_LIMITS.verdictMs / 1_000)], { stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => {
      output += chunk.toString()
    })
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject)
      child.once('close', resolve)
    })
    return code === 0 ? undefined : (output.trim().split('\n').at(-1) ?? `exit ${code}`)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

export function clientsOf(arena: Arena, bench: Bench): ReadonlyMap<string, Client> {
  const clients = new Map<string, Client>([['a device of the fleet (MQTT.js)', fleetDevice]])
  if (arena.mosquittoSub) clients.set('mosquitto_sub', mosquittoSub)
  else bench.skip('mosquitto_sub', 'it is not installed')
  return clients
}

/** Every client against the real server (must come in), a trap that it trusts (must be told), and the false servers. */
function falseServers(forge: (arena: Arena, device: Identity) => Readonly<Record<string, Credentials>>): Runner {
  return async (arena, bench) => {
    const device = await arena.identities.fresh('d')
    const root = forgeRoot('The trap')
    const issuing = forgeIssuing(root, 'The trap')
    await using trusted = await openTrap(presenting(forgeServer(issuing, [arena.target.serverName]), issuing.certificate))
    for (const [label, client] of clientsOf(arena, bench)) {
      const complaint = await client(arena.target, device)
      bench.control(`${label} at the real server`, complaint === undefined, complaint ?? 'connected')
      const before = trusted.bytes()
      await client({ ...arena.target, host: '127.0.0.1', port: trusted.port, ca: pem('CERTIFICATE', root.certificate) }, device)
      bench.control(`${label} at a trap that it trusts`, trusted.bytes() > before, `${trusted.bytes() - before} bytes`)
      for (const [server, credentials] of Object.entries(forge(arena, device))) {
        await using trap = await openTrap(credentials)
        const said = await client({ ...arena.target, host: '127.0.0.1', port: trap.port }, device)
        bench.attack('attack', `${label}: ${server}`, { kind: 'trap', bytes: trap.bytes(), complaint: said })
      }
    }
  }
}

const DAY = 24 * 3_600 * 1_000

function foreign(): Readonly<Record<string, Credentials>> {
  const root = forgeRoot('Another organisation')
  const issuing = forgeIssuing(root, 'Another organisation')
  const selfSigned = forgeServer(root, ['localhost', '127.0.0.1'], { selfSigned: true })
  return { 'of another CA': presenting(forgeServer(issuing, ['localhost', '127.0.0.1']), issuing.certificate, root.certificate), 'self-signed': presenting(selfSigned) }
}

function lookalikes(arena: Arena): Readonly<Record<string, Credentials>> {
  const root = lookalikeOf(arena.root)
  const issuing = lookalikeOf(arena.issuing, root)
  return {
    'look-alike root and issuing CA': presenting(forgeServer(issuing, ['localhost', '127.0.0.1']), issuing.certificate, root.certificate),
    'look-alike issuing CA, the real one presented': presenting(forgeServer(lookalikeOf(arena.issuing), ['localhost', '127.0.0.1']), arena.issuing),
  }
}

/** Servers of the real CA, which only who holds its key can make. */
function ofTheRealCa(certificates: (issuing: ForgedAuthority) => Readonly<Record<string, ReturnType<typeof forgeServer>>>): (arena: Arena) => Readonly<Record<string, Credentials>> {
  return (arena) => {
    const issuing = issuingOf(arena)
    return Object.fromEntries(Object.entries(certificates(issuing)).map(([label, leaf]) => [label, presenting(leaf, issuing.certificate)]))
  }
}

export const SERVER_SIDE_CASES = {
  D01: falseServers(foreign),
  D02: falseServers(lookalikes),
  D03: falseServers(ofTheRealCa((issuing) => ({
    'another name': forgeServer(issuing, ['other.example']),
    'another address': forgeServer(issuing, ['192.0.2.1']),
    'a name that only begins like it': forgeServer(issuing, ['localhost.example']),
  }))),
  D04: falseServers(ofTheRealCa((issuing) => ({
    'expired yesterday': forgeServer(issuing, ['localhost', '127.0.0.1'], { notBefore: Date.now() - 2 * DAY, notAfter: Date.now() - DAY }),
    'valid from tomorrow': forgeServer(issuing, ['localhost', '127.0.0.1'], { notBefore: Date.now() + DAY, notAfter: Date.now() + 2 * DAY }),
  }))),
  D05: falseServers((arena, device) => ({
    'the certificate of a real device': device,
    // With the name of the server in it, only the usage tells.
    ...ofTheRealCa((issuing) => ({ 'a device\'s certificate with the server\'s name': forgeLeaf(issuing, 'localhost', { names: ['localhost', '127.0.0.1'], extendedKeyUsage: [OID.clientAuth] }) }))(arena),
  })),
} as const satisfies Record<string, Runner>

// A target that is no home of ours: any broker with mutual TLS, by its address and the key of the CA that its devices' certificates
// come from. With that key the forge makes good devices and bad ones; there is no registry, no audit log and no revocation.

import { createPrivateKey, type KeyObject } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { DEFAULT_ACL, readAclFile } from './acl-file.ts'
import type { Aim } from './aim.ts'
import { SimError } from './failure.ts'
import { belongsTogether, type ForgedAuthority } from './forge/authority.ts'
import { readCertificate, unpem } from './forge/certificate.ts'
import { SIM_LIMITS } from './limits.ts'
import { mintedIdentities } from './minted.ts'
import { isLoopback, openTurns } from './target.ts'

export interface ForeignWishes {
  /** Files, PEM: what devices trust, and the CA that issues to them with its key. */
  readonly ca?: string | undefined
  readonly issuerCert?: string | undefined
  readonly issuerKey?: string | undefined
  /** YAML: what devices may. */
  readonly acl?: string | undefined
  /** The name that the server's certificate bears, where it is not that of the address. */
  readonly serverName?: string | undefined
  readonly floods?: boolean | undefined
}

export async function openForeign(address: { readonly host: string; readonly port: number }, wishes: ForeignWishes, run: string): Promise<Aim> {
  const { host, port } = address
  const [ca, issuerCert, issuerKey] = await Promise.all([
    read('--ca', wishes.ca, 'what devices trust'), read('--issuer-cert', wishes.issuerCert, 'the CA that issues to devices'), read('--issuer-key', wishes.issuerKey, 'its key, with which the forge makes devices'),
  ])
  const trusted = certificates('--ca', ca)
  const [issuing] = certificates('--issuer-cert', issuerCert)
  const [root] = trusted.filter(isSelfIssued).concat(trusted)
  if (issuing === undefined || root === undefined) throw new SimError('usage', '--ca and --issuer-cert must hold certificates.')
  const authority: ForgedAuthority = { certificate: issuing, key: privateKeyOf(issuerKey) }
  if (!belongsTogether(authority)) throw new SimError('usage', '--issuer-key is not the key of the certificate in --issuer-cert.')
  const { acl, roles } = wishes.acl === undefined ? DEFAULT_ACL : await readAclFile(wishes.acl)
  // Whoever is trusted itself need not be sent along.
  const chain = trusted.some((certificate) => certificate.equals(issuing)) ? [] : [issuing]
  return {
    name: `mqtts://${isIP(host) === 6 ? `[${host}]` : host}:${port}`,
    target: { host: host === 'localhost' ? '127.0.0.1' : host, port, serverName: wishes.serverName ?? (isIP(host) !== 0 && isLoopback(host) ? 'localhost' : host), ca, ...openTurns(host) },
    identities: mintedIdentities(authority, chain, roles, run),
    acl,
    root,
    issuing,
    issuingAuthority: authority,
    operator: {},
    measure: 'promises',
    severalSessions: false,
    intermediate: chain.length > 0,
    floods: wishes.floods === true || isLoopback(host),
    pid: () => Promise.resolve(undefined),
  }
}

async function read(option: string, file: string | undefined, what: string): Promise<string> {
  if (file === undefined) throw new SimError('usage', `--target mqtts://… needs ${option} FILE: ${what}, PEM. A home of Sallyport is named by its folder.`)
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new SimError('usage', `${option} ${file} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}.`)
  })
  if (text.length > SIM_LIMITS.pemBytesMax) throw new SimError('usage', `${option} ${file} is larger than ${SIM_LIMITS.pemBytesMax} bytes.`)
  return text
}

/** Version 3, every one of them: the forge reads them by the places of their fields. */
function certificates(option: string, text: string): readonly Buffer[] {
  const found = unpem(text)
  try {
    for (const certificate of found) readCertificate(certificate)
  } catch {
    throw new SimError('usage', `${option} holds a certificate that is none of version 3.`)
  }
  if (found.length === 0) throw new SimError('usage', `${option} holds no certificate in PEM (-----BEGIN CERTIFICATE-----).`)
  return found
}

function isSelfIssued(certificate: Buffer): boolean {
  const { issuer, subject } = readCertificate(certificate)
  return issuer.equals(subject)
}

function privateKeyOf(pem: string): KeyObject {
  let key: KeyObject
  try {
    key = createPrivateKey(pem)
  } catch {
    throw new SimError('usage', '--issuer-key holds no private key that can be read: PEM, without a passphrase.')
  }
  if (key.asymmetricKeyType !== 'ec' && key.asymmetricKeyType !== 'rsa') throw new SimError('usage', `--issuer-key is of type ${key.asymmetricKeyType ?? 'none'}; the forge signs with EC and RSA keys.`)
  return key
}

// sallyport doctor: looks at a home and says what is wrong, or will be soon. It changes nothing.

import { existsSync, readdirSync } from 'node:fs'
import path from 'node:path'
import { lastBackup, RESTORED } from '../backup.ts'
import type { Config } from '../config.ts'
import { SallyportError } from '../core/errors.ts'
import { expiringSoon, isNear, type ExpiryKind } from '../core/expiry.ts'
import { homePaths, isHome } from '../home.ts'
import { loadPolicy } from '../policy-file.ts'
import { readSecretFile } from '../ca/key-file.ts'
import { BACKUP_LIMITS } from '../backup-limits.ts'
import { restoredMark, whatIsUnknown } from '../restore.ts'
import { checkDatabase, registryFacts, revocationsAgainstFeed } from '../store/sqlite/snapshot.ts'
import { EXIT } from '../vocabulary.ts'
import { parseCertificate } from '../x509/certificate.ts'
import { decodePem } from '../x509/pem.ts'
import { orphansOf } from './cert-journal.ts'
import { fleetLife, publishedLife } from './doctor-expiry.ts'
import { configOf, emptyHome, endpointsOf, homeOf, print, readText, required, time, withDesk, type CommonOptions } from './context.ts'

interface Finding {
  readonly check: string
  readonly ok: boolean
  readonly message: string
  readonly fix?: string
}

type Check = (name: string, look: () => string | Promise<string>) => Promise<void>

export async function doctor(options: CommonOptions): Promise<void> {
  const home = homeOf(options)
  const findings: Finding[] = []
  const check: Check = async (name, look) => {
    try {
      findings.push({ check: name, ok: true, message: await look() })
    } catch (error) {
      if (!(error instanceof SallyportError)) throw error
      findings.push({ check: name, ok: false, message: error.message, ...(error.fix === undefined ? {} : { fix: error.fix }) })
    }
  }
  await check('home', () => {
    if (!isHome(home)) throw emptyHome(home)
    return home
  })
  let config: Config | undefined
  await check('configuration', () => {
    config = configOf(home)
    return `${config.policyFile} is the policy`
  })
  // Nothing further can be said of a home that is none, or that says of itself what nobody understands.
  if (isHome(home) && config !== undefined) await checkHome(home, config, options, check)
  report(options, findings)
}

async function checkHome(home: string, config: Config, options: CommonOptions, check: Check): Promise<void> {
  const { local } = homePaths(home)
  const { policyFile } = config
  await check('policy', async () => {
    const { texts } = await loadPolicy(policyFile, 1)
    if (texts.length === 0) throw new SallyportError('policy-invalid', 'There is no policy: everything is denied.', { fix: `Write ${policyFile}.` })
    return 'it compiles'
  })
  const secrets = [...keysIn(local), 'server/key.pem', 'operator/key.pem'].map((name) => [name, path.join(local, name)] as const)
  for (const [name, file] of [...secrets, ['passphrase', config.passphraseFile ?? path.join(local, 'passphrase')] as const]) {
    await check(`secret ${name}`, () => (readSecretFile(file), 'only its owner can read it'))
  }
  for (const name of ['server', 'operator'] as const) await check(`certificate ${name}`, () => lifeOf(path.join(local, name, 'cert.pem'), name, 'Restart the server, or send it SIGHUP: it then issues a new one.'))
  for (const { name, file } of config.trust) await check(`trusted CA ${name}`, () => lifeOf(file, 'trusted', 'Have its owner issue it anew, and name the new file in trust: of sallyport.yaml.'))
  await check('server', async () => {
    const endpoints = await endpointsOf(home)
    return endpoints === undefined ? 'none runs' : `runs as process ${endpoints.pid}, MQTT on port ${endpoints.mqtt.port}`
  })
  await checkRecords(home, check)
  await check('certificate authority', () => withDesk(options, async (desk) => {
    const [soon] = expiringSoon((await desk.cas()).filter(({ state }) => state !== 'retired'), Date.now())
    if (soon !== undefined) throw new SallyportError('certificate-unusable', `The CA ${soon.name} expires ${time(soon.notAfter)}.`, { fix: `Replace it in time: sallyport ca rotate${soon.role === 'root' ? ' start --root' : ''}.` })
    return 'no CA expires within 30 days'
  }))
  await check('CRLs and OCSP responders', () => publishedLife(options))
  await check('certificates of devices', () => fleetLife(options))
  await check('issuance journal', () => withDesk(options, async (desk) => {
    const orphans = await orphansOf(desk)
    if (orphans > 0) throw new SallyportError('not-found', `${orphans} ${orphans === 1 ? 'plan was' : 'plans were'} never issued: a start, a crash or a full disk came between.`, { fix: 'See them with sallyport cert journal --state orphaned; --clear revokes them, should one have been signed.' })
    return 'no plan is left without its certificate'
  }))
  await check('audit log', () => withDesk(options, async (desk) => {
    const verdict = await desk.auditVerify()
    if (!verdict.intact) throw new SallyportError('audit-broken', `Line ${verdict.firstBad?.line ?? 0} does not verify: ${verdict.firstBad?.problem ?? ''}.`, { fix: 'Compare with your backup: somebody changed it, or the disk did.' })
    return `${verdict.records} records verify`
  }))
}

/** The keys of CAs that are here. One that issues and is not here is found out when it is used; a root's may be elsewhere. */
function keysIn(local: string): readonly string[] {
  const keys = existsSync(local) ? readdirSync(local).filter((name) => name.endsWith('.key')).toSorted() : []
  return keys.length === 0 ? ['issuing.key'] : keys
}

/** What the home remembers, and whether it could be had again. */
async function checkRecords(home: string, check: Check): Promise<void> {
  const { registry } = homePaths(home)
  await check('registry', () => {
    checkDatabase(registry)
    const { sequence, counts } = registryFacts(registry)
    return `it is whole: ${counts.devices} devices, ${counts.certificates} certificates, place ${sequence} of the feed`
  })
  await check('revocations', () => {
    const strayed = revocationsAgainstFeed(registry)
    if (strayed.length > 0) throw new SallyportError('database-corrupt', `The certificates and the feed disagree about what is revoked: ${strayed.join(', ')}.`, { fix: 'Somebody wrote into the registry by hand. Compare with a backup: sallyport backup restore FILE --home DIR.' })
    return 'the certificates and the feed agree'
  })
  await check('backup', () => {
    const last = lastBackup(home)
    if (last === undefined) return 'none was made yet: sallyport backup create --out FILE'
    if (Date.now() - last.at > BACKUP_LIMITS.ageMs) throw new SallyportError('not-found', `The last one was made ${time(last.at)}.`, { fix: 'Make one every day: sallyport backup create --out FILE.' })
    return `the last one was made ${time(last.at)}: ${last.file}`
  })
  const mark = restoredMark(home)
  if (mark !== undefined) {
    await check('restored', () => {
      const unknown = whatIsUnknown(mark)
      if (unknown !== undefined) throw new SallyportError('not-found', unknown, { fix: `When that is done: delete ${path.join(home, RESTORED)}.` })
      return `from a backup of ${time(mark.backupAt)}; nothing is missing`
    })
  }
}

function lifeOf(file: string, kind: ExpiryKind, fix: string): string {
  const certificate = parseCertificate(required(decodePem(readText(file), 'CERTIFICATE'))[0] ?? new Uint8Array())
  const { notBefore, notAfter } = required(certificate)
  if (isNear({ kind, notBefore, notAfter }, Date.now())) throw new SallyportError('certificate-unusable', `It expires ${time(notAfter)}.`, { fix })
  return `in force until ${time(notAfter)}`
}

function report(options: CommonOptions, findings: readonly Finding[]): void {
  const bad = findings.filter((f) => !f.ok)
  print(options, { findings, ok: bad.length === 0 }, () => findings.map((f) => `${f.ok ? 'ok  ' : 'BAD '} ${f.check}: ${f.message}${f.fix === undefined ? '' : `\n      fix: ${f.fix}`}`).join('\n'))
  if (bad.length > 0) process.exitCode = EXIT.failed
}

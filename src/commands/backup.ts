// sallyport backup create | verify | restore.

import path from 'node:path'
import { createBackup, verifyBackup, type BackupManifest } from '../backup.ts'
import { readSecretFile } from '../ca/key-file.ts'
import { VERSION } from '../cli.ts'
import { loadConfig } from '../config.ts'
import { isHome } from '../home.ts'
import { restoreBackup, type Restored } from '../restore.ts'
import { EXIT } from '../vocabulary.ts'
import { configOf, confirm, emptyHome, homeOf, print, time, type CommonOptions } from './context.ts'

export function create(options: CommonOptions & { readonly out: string; readonly sessions?: boolean; readonly withPassphrase?: boolean }): void {
  const home = homeOf(options)
  if (!isHome(home)) throw emptyHome(home)
  const out = path.resolve(options.out)
  const { manifest, warnings } = createBackup({ home, config: configOf(home), out, sessions: options.sessions === true, passphrase: options.withPassphrase === true, program: VERSION, clock: Date.now })
  print(options, { file: out, warnings, ...manifest }, () => [
    `${out}: ${summary(manifest)}.`,
    manifest.passphrase
      ? 'The passphrase of the CA is in it: whoever has this file is the CA. Keep it as you would keep the key.'
      : 'The passphrase of the CA is not in it: keep certs/local/passphrase somewhere else; without it the CA cannot sign again. The keys of server and operator are in it: keep it secret.',
    ...warnings,
  ].join('\n'))
}

export async function verify(file: string, options: CommonOptions & { readonly passphraseFile?: string }): Promise<void> {
  const verdict = await verifyBackup(path.resolve(file), passphraseOf(options))
  print(options, { ok: verdict.wrong.length === 0, ...verdict }, () => [`${summary(verdict.manifest)}.`, ...lines(verdict)].join('\n'))
  if (verdict.wrong.length > 0) process.exitCode = EXIT.failed
}

export async function restore(file: string, options: CommonOptions & { readonly reimport?: boolean; readonly audit?: string; readonly acceptLoss?: boolean; readonly passphraseFile?: string }): Promise<void> {
  const home = homeOf(options)
  if (options.acceptLoss === true) await confirm(options, `Forget what happened in ${home} after the backup, revocations among it?`)
  const restored = await restoreBackup({
    file: path.resolve(file), home, reimport: options.reimport === true, acceptLoss: options.acceptLoss === true, passphrase: passphraseOf(options), clock: Date.now,
    audit: options.audit === undefined ? undefined : path.resolve(options.audit),
  })
  const secret = loadConfig(home, process.env).passphraseFile ?? path.join(home, 'certs/local/passphrase')
  print(options, { home, ...restored }, () => [
    `${home} is restored: ${summary(restored.manifest)}.`, newsSentence(restored), ...(restored.toAdd.length === 0 ? [] : [`Devices that have to be added again, for the log does not know their groups: ${restored.toAdd.join(', ')}.`]), ...lines(restored),
    ...(restored.before === undefined ? [] : [`What was there before is in ${restored.before}: delete it when you are sure.`]),
    ...(restored.manifest.passphrase ? [] : [`The passphrase is not in the backup: the server needs it in ${secret}.`]),
  ].join('\n'))
}

const NEWS: Readonly<Record<Restored['newer'], string>> = {
  unknown: 'What was revoked and issued after the backup is not known here: revoke again what was revoked since.',
  nothing: 'Nothing had happened after the backup.',
  registry: 'Taken over from the registry that was there',
  audit: 'Taken over from the audit log',
  'given-up': 'Given up, or not readable: revoke again what was revoked since',
}

function newsSentence({ newer, tally }: Restored): string {
  const { revocations, certificates, devices, others } = tally
  return newer === 'unknown' || newer === 'nothing' ? NEWS[newer] : `${NEWS[newer]}: ${revocations.count} revocations, ${certificates.count} certificates, ${devices.count} devices, ${others} other changes.`
}

function summary({ createdAt, registry, sessions }: BackupManifest): string {
  const { devices, certificates, revoked } = registry.counts
  return `backup of ${time(createdAt)}, ${devices} devices, ${certificates} certificates (${revoked} revoked), place ${registry.sequence} of the feed, ${registry.audit.records} audit records, ${sessions ? 'with' : 'without'} sessions`
}

function lines({ right, wrong }: { readonly right: readonly string[]; readonly wrong: readonly string[] }): readonly string[] {
  return [...right.map((sentence) => `ok   ${sentence}`), ...wrong.map((sentence) => `BAD  ${sentence}`)]
}

function passphraseOf({ passphraseFile }: { readonly passphraseFile?: string }): Uint8Array | undefined {
  return passphraseFile === undefined ? undefined : Buffer.from(readSecretFile(path.resolve(passphraseFile)).toString('utf8').trim())
}

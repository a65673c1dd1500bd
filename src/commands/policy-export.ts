// sallyport policy export mosquitto: the part of a policy that an ACL file of Mosquitto can hold, and line by line what it cannot.

import { existsSync } from 'node:fs'
import path from 'node:path'
import { writeSecretFile } from '../ca/key-file.ts'
import type { Device } from '../core/device.ts'
import type { Desk } from '../core/desk.ts'
import { SallyportError } from '../core/errors.ts'
import { printable } from '../core/ids.ts'
import { exportMosquitto, type MosquittoSettings } from '../core/policy/export-mosquitto.ts'
import { isComplete } from '../core/policy/import-draft.ts'
import { isHome } from '../home.ts'
import { REGISTRY_LIMITS } from '../limits.ts'
import { loadPolicy } from '../policy-file.ts'
import { isPolicyThere } from '../policy-file/files.ts'
import { EXIT } from '../vocabulary.ts'
import { configOf, emptyHome, homeOf, print, withDesk, type CommonOptions } from './context.ts'
import { asComments, describeFinding, findingsAnswer, summaryOf } from './findings.ts'

interface ExportOptions extends CommonOptions {
  readonly policy?: string
  readonly out?: string
  readonly force?: boolean
  readonly setting?: readonly string[]
}

const ACL_MODE = 0o644
const DEFAULTS: MosquittoSettings = { retainAvailable: true, maxQos: 2, messageSizeLimit: Number.POSITIVE_INFINITY }

export async function mosquitto(options: ExportOptions): Promise<void> {
  const settings = (options.setting ?? []).reduce(withSetting, DEFAULTS)
  const home = homeOf(options)
  if (options.policy === undefined && !isHome(home)) throw emptyHome(home)
  const file = options.policy === undefined ? configOf(home).policyFile : path.resolve(options.policy)
  if (!isPolicyThere(file)) throw new SallyportError('not-found', `There is no file ${file}.`)
  const { policy } = await loadPolicy(file, 1)
  // A policy alone says nothing of who is in which group.
  const devices = isHome(home) ? await withDesk(options, allDevices) : undefined
  const { text, findings } = exportMosquitto(policy.document, devices, settings)
  const complete = isComplete({ findings })
  const acl = `${headOf(path.basename(file), devices !== undefined, options.setting ?? [])}\n${text}${asComments(findings, 'What it does not hold:')}`
  if (options.out !== undefined) {
    if (existsSync(options.out) && options.force !== true) throw new SallyportError('refused', `${options.out} is there already.`, { fix: 'Choose another file, or give --force.' })
    writeSecretFile(options.out, acl, ACL_MODE)
  }
  if (options.json !== true) process.stderr.write(findings.map((finding) => `${describeFinding(finding)}\n`).join(''))
  print(options, { complete, ...findingsAnswer(findings), ...(options.out === undefined ? { acl } : { out: options.out }) }, () => (options.out === undefined ? acl.trimEnd() : `${options.out}: ${summaryOf(findings)}.`))
  if (!complete) process.exitCode = EXIT.refused
}

async function allDevices(desk: Desk): Promise<readonly Device[]> {
  const devices: Device[] = []
  let after: string | undefined
  do {
    const page = await desk.devices({ after, limit: REGISTRY_LIMITS.pageSizeMax })
    devices.push(...page.items)
    after = page.next
  } while (after !== undefined)
  return devices
}

/** name=value, as mosquitto.conf has it. */
function withSetting(settings: MosquittoSettings, text: string): MosquittoSettings {
  const [name, value = '', ...more] = text.split('=')
  if (more.length === 0 && name === 'retain_available' && /^(?:true|false)$/.test(value)) return { ...settings, retainAvailable: value === 'true' }
  if (more.length === 0 && name === 'max_qos' && /^[012]$/.test(value)) return { ...settings, maxQos: value === '0' ? 0 : value === '1' ? 1 : 2 }
  if (more.length === 0 && name === 'message_size_limit' && /^[1-9]\d{0,8}$/.test(value)) return { ...settings, messageSizeLimit: Number(value) }
  throw new SallyportError('usage', `--setting does not take ${printable(text)}.`, { fix: 'It takes retain_available=false, max_qos=0|1|2 and message_size_limit=BYTES, as they stand in mosquitto.conf.' })
}

function headOf(policy: string, hasRegistry: boolean, settings: readonly string[]): string {
  return [
    `# Exported from ${printable(policy)} by sallyport policy export mosquitto. Never wider than that, where mosquitto.conf says:`,
    '#   allow_anonymous false, require_certificate true, use_identity_as_username true, and a crlfile',
    ...settings.map((setting) => `#   ${setting.replace('=', ' ')}`),
    hasRegistry ? '# What stands under a user is from the registry as it was: export again when a device or its groups change.' : '# There was no registry: what is for groups, tenants and attributes is not in it.',
    '# Who may write may leave a Will there, and who may read may share a subscription under any name.', '',
  ].join('\n')
}

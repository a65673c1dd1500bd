// sallyport doctor: looks at a home and says what is wrong, or will be soon. It changes nothing.

import { existsSync } from 'node:fs'
import path from 'node:path'
import { SallyportError } from '../core/errors.ts'
import { homePaths, isHome } from '../home.ts'
import { loadPolicy } from '../policy-file.ts'
import { readSecretFile } from '../ca/key-file.ts'
import { EXIT } from '../vocabulary.ts'
import { configOf, endpointsOf, homeOf, print, time, withDesk, type CommonOptions } from './context.ts'

interface Finding {
  readonly check: string
  readonly ok: boolean
  readonly message: string
  readonly fix?: string
}

const SOON_MS = 30 * 86_400_000

export async function doctor(options: CommonOptions): Promise<void> {
  const home = homeOf(options)
  const findings: Finding[] = []
  const check = async (name: string, look: () => string | Promise<string>): Promise<void> => {
    try {
      findings.push({ check: name, ok: true, message: await look() })
    } catch (error) {
      if (!(error instanceof SallyportError)) throw error
      findings.push({ check: name, ok: false, message: error.message, ...(error.fix === undefined ? {} : { fix: error.fix }) })
    }
  }
  await check('home', () => {
    if (!isHome(home)) throw new SallyportError('home-empty', `There is no Sallyport home in ${home}.`, { fix: 'Make one: sallyport serve.' })
    return home
  })
  await check('configuration', () => `${configOf(home).policyFile} is the policy`)
  await check('policy', () => {
    const file = configOf(home).policyFile
    if (!existsSync(file)) throw new SallyportError('policy-invalid', 'There is no policy: everything is denied.', { fix: `Write ${file}.` })
    loadPolicy(file, path.basename(file), 1)
    return 'it compiles'
  })
  const { local } = homePaths(home)
  for (const name of ['issuing.key', 'server/key.pem', 'operator/key.pem', 'passphrase']) {
    const file = name === 'passphrase' ? (configOf(home).passphraseFile ?? path.join(local, name)) : path.join(local, name)
    await check(`secret ${name}`, () => (readSecretFile(file), 'only its owner can read it'))
  }
  await check('server', () => {
    const endpoints = endpointsOf(home)
    return endpoints === undefined ? 'none runs' : `runs as process ${endpoints.pid}, MQTT on port ${endpoints.mqtt.port}`
  })
  if (isHome(home)) {
    await check('certificates', () => withDesk(options, async (desk) => {
      const soon = (await desk.cas()).find((ca) => ca.notAfter - Date.now() < SOON_MS)
      if (soon !== undefined) throw new SallyportError('certificate-unusable', `The CA ${soon.name} expires ${time(soon.notAfter)}.`, { fix: 'Replace it in time.' })
      return 'no CA expires within 30 days'
    }))
    await check('audit log', () => withDesk(options, async (desk) => {
      const verdict = await desk.auditVerify()
      if (!verdict.intact) throw new SallyportError('audit-broken', `Line ${verdict.firstBad?.line ?? 0} does not verify: ${verdict.firstBad?.problem ?? ''}.`, { fix: 'Compare with your backup: somebody changed it, or the disk did.' })
      return `${verdict.records} records verify`
    }))
  }
  const bad = findings.filter((f) => !f.ok)
  print(options, { findings, ok: bad.length === 0 }, () => findings.map((f) => `${f.ok ? 'ok  ' : 'BAD '} ${f.check}: ${f.message}${f.fix === undefined ? '' : `\n      fix: ${f.fix}`}`).join('\n'))
  if (bad.length > 0) process.exitCode = EXIT.failed
}

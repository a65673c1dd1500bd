// sallyport cert list | show | revoke.

import { SallyportError } from '../core/errors.ts'
import { parseDeviceId, parseSerialNumber, parseTokenName } from '../core/ids.ts'
import { CERTIFICATE_STATES } from '../core/registry.ts'
import { REVOCATION_REASONS, type RevocationReason } from '../vocabulary.ts'
import { confirm, print, required, table, time, withDesk, type CommonOptions } from './context.ts'
import { isMany, revokeMany, type ManyOptions } from './cert-revoke-many.ts'
import { limitOf } from './page.ts'

interface ListOptions extends CommonOptions {
  readonly device?: string
  readonly state?: string
  readonly token?: string
  readonly after?: string
  readonly limit?: string
}

export async function list(options: ListOptions): Promise<void> {
  const device = options.device === undefined ? undefined : required(parseDeviceId(options.device))
  const state = CERTIFICATE_STATES.find((s) => s === options.state)
  if (options.state !== undefined && state === undefined) throw new SallyportError('usage', `--state takes one of ${CERTIFICATE_STATES.join(', ')}.`)
  const through = options.token === undefined ? undefined : required(parseTokenName(options.token))
  const limit = limitOf(options.limit)
  await withDesk(options, async (desk) => {
    const page = await desk.certificates({ device, state, through, after: options.after, limit })
    print(options, page, () => `${table([['SERIAL', 'PROFILE', 'DEVICE', 'STATE', 'EXPIRES'], ...page.items.map((c) => [c.serial, c.profile, c.device ?? '-', c.state, time(c.notAfter)])])}${page.next === undefined ? '' : `\nmore: --after ${page.next}`}`)
  })
}

export async function show(serial: string, options: CommonOptions): Promise<void> {
  const parsed = required(parseSerialNumber(serial))
  await withDesk(options, async (desk) => {
    const { pem, ...record } = await desk.certificate(parsed)
    print(options, { ...record, pem }, () =>
      [
        `${record.serial}: ${record.profile} certificate${record.device === undefined ? '' : ` of ${record.device}`}, issued by ${record.issuer}, ${record.state}`,
        `valid ${time(record.notBefore)} to ${time(record.notAfter)}`,
        ...(record.through === undefined ? [] : [`came through the token ${record.through}`]),
        ...(record.revokedAt === undefined ? [] : [`revoked ${time(record.revokedAt)} (${record.revocationReason ?? 'unspecified'})`]),
        ...(record.sha256 === undefined ? [] : [`SHA-256 ${record.sha256}`]),
        ...(pem === undefined ? [] : [pem.trim()]),
      ].join('\n'),
    )
  })
}

function reasonOf(text: string): RevocationReason {
  // RFC 5280 has this one, and it is no revocation: it ends.
  if (text === 'certificateHold') throw new SallyportError('usage', 'A certificate is put on hold by suspending its device.', { fix: 'sallyport device suspend ID: CRLs and OCSP say certificateHold until device resume.' })
  const reason = Object.keys(REVOCATION_REASONS).find((name): name is RevocationReason => name === text)
  if (reason === undefined) throw new SallyportError('usage', `--reason takes one of ${Object.keys(REVOCATION_REASONS).join(', ')}.`)
  return reason
}

interface RevokeOptions extends CommonOptions, ManyOptions {
  readonly device?: string
  readonly serial?: string
  readonly reason: string
}

export async function revoke(options: RevokeOptions): Promise<void> {
  const reason = reasonOf(options.reason)
  if (isMany(options)) {
    if (options.device !== undefined || options.serial !== undefined) throw new SallyportError('usage', '--device and --serial stand alone.')
    await revokeMany(options, reason)
    return
  }
  if (options.dryRun === true) throw new SallyportError('usage', '--dry-run is for --group, --ca, --token, --claim, --issued-after and --issued-before. What one device has: sallyport device show ID.')
  if ((options.device === undefined) === (options.serial === undefined)) throw new SallyportError('usage', 'Name what to revoke: --device ID, --serial S, --group G, --ca NAME, --token NAME, --claim NAME, --issued-after T or --issued-before T.')
  const target = options.device === undefined ? { serial: required(parseSerialNumber(options.serial ?? '')) } : { device: required(parseDeviceId(options.device)) }
  await confirm(options, `Revoke ${options.device ?? options.serial ?? ''}? Its sessions end now, and the certificate can never be used again.`)
  await withDesk(options, async (desk) => {
    const answer = await desk.revoke(target, reason)
    print(options, answer, () => `Revoked ${answer.revoked.join(', ')}. ${answer.sessionsClosed} session${answer.sessionsClosed === 1 ? '' : 's'} closed, within ${answer.closedMs} ms of the commit.${answer.before === undefined ? '' : `\nRevoked before, with the reason and the time of then: ${answer.before.join(', ')}.`}`)
  })
}

// sallyport cert revoke by group, CA, token or window of time: counted first, told, confirmed, done.

import { SallyportError } from '../core/errors.ts'
import { parseCaName, parseGroupName, parseTokenName, type EpochMs, type TokenName } from '../core/ids.ts'
import type { MassRevoked, RevocationChoice } from '../core/mass-revocation.ts'
import type { RevocationReason } from '../vocabulary.ts'
import { confirm, confirmNumber, print, required, withDesk, type CommonOptions } from './context.ts'

export interface ManyOptions extends CommonOptions {
  readonly group?: string
  readonly ca?: string
  readonly token?: string
  readonly claim?: string
  readonly issuedAfter?: string
  readonly issuedBefore?: string
  readonly dryRun?: boolean
}

/** From so many on, a y is not enough. */
const BIG = 100

export const isMany = ({ group, ca, token, claim, issuedAfter, issuedBefore }: ManyOptions): boolean => [group, ca, token, claim, issuedAfter, issuedBefore].some((option) => option !== undefined)

export async function revokeMany(options: ManyOptions, reason: RevocationReason): Promise<void> {
  const choice: RevocationChoice = {
    group: options.group === undefined ? undefined : required(parseGroupName(options.group)),
    ca: options.ca === undefined ? undefined : required(parseCaName(options.ca)),
    token: tokenOf(options),
    issuedAfter: timeOf('--issued-after', options.issuedAfter),
    issuedBefore: timeOf('--issued-before', options.issuedBefore),
  }
  await withDesk(options, async (desk) => {
    const found = await desk.revokeMany({ choice, reason, dryRun: true })
    const isToken = choice.token !== undefined
    if (options.dryRun === true || (found.certificates === 0 && !isToken)) {
      print(options, found, () => (found.certificates === 0 ? 'No certificate of a device or a claim that is in force is meant.' : `${told(found)}\nNothing was revoked.`))
      return
    }
    const question = found.certificates === 0 ? `Nothing that came through ${choice.token ?? ''} is in force. Revoke the token? That cannot be undone.` : `${told(found)}\nRevoke ${found.certificates === 1 ? 'it' : `these ${found.certificates}`}? That cannot be undone.`
    if (found.certificates >= BIG) await confirmNumber(options, found.certificates, question)
    else await confirm(options, question)
    const answer = await desk.revokeMany({ choice, reason, dryRun: false, atMost: found.certificates })
    print(options, answer, () => `${isToken ? `The token ${choice.token} is revoked. ` : ''}Revoked ${certificates(answer)} of ${devices(answer)}. ${answer.sessions} session${answer.sessions === 1 ? '' : 's'} closed, each within ${answer.closedMs} ms of its commit.`)
  })
}

function tokenOf({ token, claim }: ManyOptions): TokenName | undefined {
  if (token !== undefined && claim !== undefined) throw new SallyportError('usage', '--claim and --token name the same thing.', { fix: 'Give one of them.' })
  const name = token ?? claim
  return name === undefined ? undefined : required(parseTokenName(name))
}

const certificates = ({ certificates: n }: MassRevoked): string => `${n} certificate${n === 1 ? '' : 's'}`
const devices = ({ devices: n }: MassRevoked): string => `${n} device${n === 1 ? '' : 's'}`

function told(found: MassRevoked): string {
  const more = found.devices - found.first.length
  return `${certificates(found)} of ${devices(found)}: ${found.first.join(', ')}${more > 0 ? `, and ${more} more` : ''}. ${found.sessions} live session${found.sessions === 1 ? '' : 's'} would end.`
}

export function timeOf(option: string, text: string | undefined): EpochMs | undefined {
  if (text === undefined) return undefined
  const ms = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:\d\d))?$/.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isNaN(ms)) throw new SallyportError('usage', `${option} takes a time, as 2026-03-01 or 2026-03-01T12:00:00Z.`)
  return ms
}

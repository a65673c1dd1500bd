// sallyport cert renew: orders devices to renew now, tells how far orders have come, ends one; or issues the program's own credentials anew.

import { SallyportError } from '../core/errors.ts'
import { parseCaName, parseDeviceId, parseGroupName, printable } from '../core/ids.ts'
import type { OwnCredential, RenewalOrdered, RenewalProgress } from '../core/renewal-desk.ts'
import type { RenewalChoice } from '../core/renewal-orders.ts'
import { RENEWAL_LIMITS } from '../renewal-limits.ts'
import { timeOf } from './cert-revoke-many.ts'
import { print, required, table, time, withDesk, type CommonOptions } from './context.ts'
import { readDuration } from './duration.ts'

interface RenewOptions extends CommonOptions {
  readonly device?: string
  readonly group?: string
  readonly ca?: string
  readonly issuedBefore?: string
  readonly over?: string
  readonly dryRun?: boolean
  readonly status?: boolean
  readonly end?: string
  readonly own?: OwnCredential
}

/** One device is not waited for; many are spread. */
const OVER_OF_MANY = '1h'

export async function renew(options: RenewOptions): Promise<void> {
  const choice: RenewalChoice = {
    device: options.device === undefined ? undefined : required(parseDeviceId(options.device)),
    group: options.group === undefined ? undefined : required(parseGroupName(options.group)),
    ca: options.ca === undefined ? undefined : required(parseCaName(options.ca)),
    issuedBefore: timeOf('--issued-before', options.issuedBefore),
  }
  const isOrder = Object.values(choice).some((said) => said !== undefined)
  const asked = [isOrder, options.status === true, options.end !== undefined, options.own !== undefined].filter(Boolean)
  if (asked.length !== 1) throw new SallyportError('usage', 'Say whom to ask: --device ID, --group G, --ca NAME or --issued-before T; or one of --status, --end ID, --own server, --own operator.')
  if (!isOrder && (options.over !== undefined || options.dryRun === true)) throw new SallyportError('usage', '--over and --dry-run are for orders to devices.')
  if (isOrder) await order(options, choice)
  else if (options.own !== undefined) await renewOwn(options, options.own)
  else if (options.end !== undefined) await end(options, options.end)
  else await status(options)
}

async function order(options: RenewOptions, choice: RenewalChoice): Promise<void> {
  const over = options.over ?? (choice.device === undefined ? OVER_OF_MANY : undefined)
  const overMs = over === undefined ? 0 : readDuration('--over', over, RENEWAL_LIMITS.orderOverMsMax)
  await withDesk(options, async (desk) => {
    const answer = await desk.orderRenewal({ choice, overMs, dryRun: options.dryRun === true })
    print(options, answer, () => orderedText(answer, over))
  })
}

function orderedText(answer: RenewalOrdered, over: string | undefined): string {
  const { devices, first, connected, id } = answer
  if (devices === 0) return 'No device that is meant has a certificate in force which a renewal would replace.'
  const more = devices - first.length
  const whom = `${devices} device${devices === 1 ? '' : 's'}: ${first.join(', ')}${more > 0 ? `, and ${more} more` : ''}. ${connected} connected, ${devices - connected} not.`
  if (id === undefined) return `${whom}\nNobody was asked.`
  return `Order ${id} asks ${whom}\nWho hears $device/<id>/certificate/renew/hint is told ${over === undefined ? 'now' : `within ${over}`}; who does not, when it connects and subscribes.\nHow far it has come: sallyport cert renew --status`
}

async function status(options: RenewOptions): Promise<void> {
  await withDesk(options, async (desk) => {
    const items = await desk.renewalOrders()
    print(options, { items }, () => (items.length === 0 ? 'No order is open.' : table([['ORDER', 'ORDERED', 'MEANS', 'DEVICES', 'DONE', 'FETCHED', 'CONNECTED', 'AWAY'], ...items.map(line)])))
  })
}

const line = ({ id, at, choice, devices, done, fetched, connected, away }: RenewalProgress): readonly string[] => [id, time(at), meansText(choice), ...[devices, done, fetched, connected, away].map(String)]

function meansText({ device, group, ca, issuedBefore }: RenewalChoice): string {
  return [device && `device ${device}`, group && `group ${group}`, ca && `CA ${ca}`, issuedBefore === undefined ? undefined : `before ${time(issuedBefore)}`].filter((said) => said !== undefined).join(', ')
}

async function end(options: RenewOptions, id: string): Promise<void> {
  if (!/^[0-9a-f]{8}$/.test(id)) throw new SallyportError('usage', `--end takes the id of an order, not ${printable(id)}.`, { fix: 'They are listed by: sallyport cert renew --status' })
  await withDesk(options, async (desk) => {
    await desk.endRenewalOrder(id)
    print(options, { ended: id }, () => `Order ${id} has ended. Who was told has been told; nobody else is.`)
  })
}

async function renewOwn(options: RenewOptions, credential: OwnCredential): Promise<void> {
  await withDesk(options, async (desk) => {
    const answer = await desk.renewOwn(credential)
    const { replaced, issued } = answer
    print(options, answer, () => `The ${credential} has a new certificate, ${issued.serial ?? ''}, in force until ${time(issued.notAfter)}. No connection was closed.\nThe one before is valid until ${time(replaced.notAfter)}. If its key is in other hands: sallyport cert revoke --serial ${replaced.serial ?? ''} --reason keyCompromise`)
  })
}

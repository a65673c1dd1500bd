// sallyport ca rotate [start | trust | cross-sign | switch | status | retire | abort].

import type { CaUse, KeyLoan, Rotated } from '../core/ca-desk.ts'
import { SallyportError } from '../core/errors.ts'
import { ROTATION_STEPS } from '../core/rotation.ts'
import { loanOf } from './ca-root-key.ts'
import { confirm, print, table, time, withDesk, type CommonOptions } from './context.ts'

interface StepOptions extends CommonOptions {
  readonly root?: boolean
  readonly dryRun?: boolean
  readonly force?: boolean
  readonly rootKey?: string
  readonly rootKeyPassphraseFile?: string
  readonly ids?: readonly string[]
  readonly unit?: string
}

const DEVICES_SHOWN = 20
const SECOND_MS = 1_000

/** Which step is next, and what it would do. */
export async function next(options: CommonOptions): Promise<void> {
  await withDesk(options, async (desk) => {
    const rotation = await desk.caRotation()
    const step = rotation.next
    print(options, { next: step, does: rotation.nextDoes }, () => `next: sallyport ca rotate ${step}\n${rotation.nextDoes}\nIt changes nothing yet with --dry-run. Who depends on which CA: sallyport ca rotate status`)
  })
}

export async function step(name: string, options: StepOptions): Promise<void> {
  const wanted = ROTATION_STEPS.find((each) => each === name)
  if (wanted === undefined) throw new SallyportError('usage', `There is no step ${name}.`)
  const rootKey: KeyLoan | undefined = options.rootKey === undefined ? undefined : loanOf(options.rootKey, options.rootKeyPassphraseFile)
  const { root, dryRun, force, ids, unit } = options
  await withDesk(options, async (desk) => {
    if (wanted === 'retire' && force === true && dryRun !== true) {
      const would = await desk.rotateCa({ step: wanted, dryRun: true, force })
      await confirm(options, `${listed(would.breaks, would.breaksCount)}\nRevoke what they have of the old CA, and retire it?`)
    }
    let done = await desk.rotateCa({ step: wanted, root, dryRun, force, rootKey, ids, unit })
    while (done.outcome === 'part') {
      process.stderr.write(`${done.revoked} certificates revoked so far …\n`)
      const more = await desk.rotateCa({ step: wanted, force })
      // Who would be out is what the first answer said: they are out by now.
      done = { ...more, breaks: done.breaks, breaksCount: done.breaksCount, revoked: done.revoked + more.revoked, sessionsClosed: done.sessionsClosed + more.sessionsClosed }
    }
    print(options, done, () => toldOf(done))
  })
}

function toldOf(done: Rotated): string {
  const { outcome, told, breaks, breaksCount, sessionsClosed, revoked } = done
  const names = done.step === 'retire' || breaksCount > 0 ? [listed(breaks, breaksCount)] : []
  if (outcome === 'would') return ['Nothing is changed. It would:', ...told.map((line) => `  ${line}`), ...(names.length > 0 ? names : ['Nobody would break.'])].join('\n')
  const ended = revoked > 0 ? [`${revoked} certificate${revoked === 1 ? '' : 's'} revoked, ${sessionsClosed} session${sessionsClosed === 1 ? '' : 's'} closed.`] : []
  return [...told, ...ended, done.next === 'start' ? 'The rotation is over.' : `next: sallyport ca rotate ${done.next}`].join('\n')
}

function listed(devices: readonly string[], count: number): string {
  if (count === 0) return 'No device depends on it alone.'
  const shown = devices.slice(0, DEVICES_SHOWN)
  return `${count} device${count === 1 ? ' has' : 's have'} certificates of it alone: ${shown.join(', ')}${count > shown.length ? ' …' : ''}`
}

export async function status(options: CommonOptions): Promise<void> {
  await withDesk(options, async (desk) => {
    const rotation = await desk.caRotation()
    const all = rotation.cas.reduce((sum, ca) => sum + ca.certificates, 0)
    print(options, rotation, () => [
      table([['NAME', 'ROLE', 'STATE', 'SINCE', 'CERTIFICATES', 'SHARE', 'ONLY THIS', 'SESSIONS', 'EXPIRES'], ...rotation.cas.map((ca) => rowOf(ca, all))]),
      '',
      `server certificate: of ${rotation.serverIssuer}`,
      `root keys in this home: ${rotation.rootKeys.length === 0 ? 'none' : rotation.rootKeys.join(', ')}`,
      ...rotation.cas.filter((ca) => ca.state === 'replaced' && ca.only > 0).map((ca) => `out when ${ca.name} retires: ${listed(ca.devices, ca.only)}`),
      ...rotation.expiring.map(({ certificate, notAfter }) => `expires soon: ${certificate}, ${time(notAfter)}`),
      `next: sallyport ca rotate ${rotation.next}`,
    ].join('\n'))
  })
}

function rowOf({ name, role, state, since, certificates, only, sessions, notAfter }: CaUse, all: number): readonly string[] {
  const share = role === 'root' ? '-' : `${all === 0 ? 0 : Math.round((100 * certificates) / all)} %`
  const count = (n: number): string => (role === 'root' ? '-' : String(n))
  return [name, role, state, time(Math.floor(since / SECOND_MS) * SECOND_MS), count(certificates), share, count(only), count(sessions), time(notAfter)]
}

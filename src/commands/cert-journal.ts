// sallyport cert journal: every certificate that was planned, by whom, and what came of it.

import { ACTOR_KINDS, type Actor } from '../core/audit.ts'
import type { Desk } from '../core/desk.ts'
import { SallyportError } from '../core/errors.ts'
import { JOURNAL_STATES, journalState, type JournalState } from '../core/journal.ts'
import { parseTokenName, printable, type TokenName } from '../core/ids.ts'
import type { CertificateRecord, CertificateState, JournalEntry, JournalQuery } from '../core/registry.ts'
import { REGISTRY_LIMITS } from '../limits.ts'
import { confirm, print, required, table, time, withDesk, type CommonOptions } from './context.ts'

interface JournalOptions extends CommonOptions {
  readonly state?: string
  readonly by?: string
  readonly token?: string
  readonly clear?: boolean
}

interface Entry {
  readonly serial: CertificateRecord['serial']
  readonly issuer: CertificateRecord['issuer']
  readonly profile: CertificateRecord['profile']
  readonly device: CertificateRecord['device']
  readonly plannedAt: number
  readonly journal: JournalState
  readonly state: CertificateState
  /** Who planned it. */
  readonly by?: Actor
  /** The token that it came through. */
  readonly through?: TokenName
}

/** Where a certificate of each journal state is found, so that a page of a million is not read for three orphans. */
const FOUND_IN: Readonly<Record<JournalState, 'planned' | undefined>> = { planned: 'planned', orphaned: 'planned', issued: undefined }

export async function journal(options: JournalOptions): Promise<void> {
  const state = JOURNAL_STATES.find((known) => known === options.state)
  if (options.state !== undefined && state === undefined) throw new SallyportError('usage', `--state takes one of ${JOURNAL_STATES.join(', ')}.`)
  if (options.clear === true && state !== undefined && state !== 'orphaned') throw new SallyportError('usage', '--clear revokes orphans, and nothing else.')
  const who = { ...byOf(options.by), through: options.token === undefined ? undefined : required(parseTokenName(options.token)) }
  const wanted = options.clear === true ? 'orphaned' : state
  await withDesk(options, async (desk) => {
    const entries = await entriesOf(desk, wanted, who)
    const cleared = options.clear === true ? await clear(desk, entries, options) : []
    print(options, options.clear === true ? { cleared } : { entries }, () => (options.clear === true ? clearedLine(cleared) : lines(entries)))
  })
}

type Who = Pick<JournalQuery, 'by' | 'name' | 'through'>

/** operator, or operator:NAME. */
function byOf(text: string | undefined): Pick<Who, 'by' | 'name'> {
  if (text === undefined) return {}
  const [kind = '', ...rest] = text.split(':')
  const by = ACTOR_KINDS.find((known) => known === kind)
  if (by === undefined) throw new SallyportError('usage', `--by takes one of ${ACTOR_KINDS.join(', ')}, or one with a name: token:7QF2M9AK.`)
  return { by, name: rest.length === 0 ? undefined : rest.join(':') }
}

/** Plans that nobody works on any more. */
export async function orphansOf(desk: Desk): Promise<number> {
  return (await entriesOf(desk, 'orphaned', {})).length
}

async function entriesOf(desk: Desk, wanted: JournalState | undefined, who: Who): Promise<readonly Entry[]> {
  const found: Entry[] = []
  let after: string | undefined
  do {
    const page = await desk.journal({ ...who, state: wanted && FOUND_IN[wanted], after, limit: REGISTRY_LIMITS.pageSizeMax })
    const now = Date.now()
    for (const record of page.items) {
      const entry = entryOf(record, now)
      if (wanted === undefined || entry.journal === wanted) found.push(entry)
    }
    after = page.next
  } while (after !== undefined)
  return found
}

function entryOf(record: JournalEntry, now: number): Entry {
  const { serial, issuer, profile, device, createdAt, state, by, through } = record
  return { serial, issuer, profile, device, plannedAt: createdAt, journal: journalState(record, now), state, ...(by === undefined ? {} : { by }), ...(through === undefined ? {} : { through }) }
}

async function clear(desk: Desk, orphans: readonly Entry[], options: JournalOptions): Promise<readonly string[]> {
  if (orphans.length > 0) await confirm(options, `Revoke ${orphans.length} plan${orphans.length === 1 ? '' : 's'} that nobody works on? Should one have been signed, it is never valid.`)
  const cleared: string[] = []
  for (const { serial } of orphans) cleared.push(...(await desk.revoke({ serial }, 'cessationOfOperation')).revoked)
  return cleared
}

function lines(entries: readonly Entry[]): string {
  const orphans = entries.filter(({ journal: word, state }) => word === 'orphaned' && state === 'planned').length
  const rows = [['SERIAL', 'PLANNED', 'PROFILE', 'DEVICE', 'BY', 'THROUGH', 'JOURNAL', 'STATE'], ...entries.map((e) => [e.serial, time(e.plannedAt), e.profile, e.device ?? '-', actorText(e.by), e.through ?? '-', e.journal, e.state])]
  return orphans === 0 ? table(rows) : `${table(rows)}\n${orphans} orphaned: sallyport cert journal --clear revokes ${orphans === 1 ? 'it' : 'them'}.`
}

/** A certificate of a foreign CA was planned by nobody here. */
const actorText = (by: Actor | undefined): string => (by === undefined ? '-' : 'name' in by ? `${by.kind}:${printable(by.name)}` : by.kind)

function clearedLine(cleared: readonly string[]): string {
  return cleared.length === 0 ? 'Nothing is orphaned.' : `Revoked ${cleared.join(', ')}: should one of them have been signed, it is never valid.`
}

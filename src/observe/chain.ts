// The hash chain of the audit log: one line per record, each bound to the one before. A changed, missing, moved or added
// line breaks it; a cut-off tail is found by the head that the registry keeps. It reads and makes lines; files are elsewhere.

import { createHash } from 'node:crypto'

/** Where a chain stands after some record. */
export interface ChainHead {
  readonly records: number
  /** 64 lower-case hex characters. */
  readonly hash: string
}

export const EMPTY_HEAD: ChainHead = { records: 0, hash: '0'.repeat(64) }

interface Link {
  readonly seq: number
  readonly prev: string
  /** The place of the event in the registry's outbox, when it came from there. */
  readonly outbox?: number
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

/** The next line, without its line break. The hash is over everything before it. */
export function chainLine(record: Readonly<Record<string, unknown>>, head: ChainHead, outbox: number | undefined): { readonly line: string; readonly head: ChainHead } {
  const link: Link = { seq: head.records + 1, prev: head.hash, ...(outbox === undefined ? {} : { outbox }) }
  const body = JSON.stringify({ ...record, sallyport: link })
  const hash = sha256(body)
  return { line: `${body.slice(0, -2)},"hash":"${hash}"}}`, head: { records: link.seq, hash } }
}

const HASH_AT_END = /,"hash":"([0-9a-f]{64})"\}\}$/

const MARK_CHARS = 8

/** Tells this record from another one of the same number. */
export const markOf = (line: string): string | undefined => HASH_AT_END.exec(line)?.[1]?.slice(0, MARK_CHARS)

export type Followed = { readonly head: ChainHead; readonly outbox: number | undefined } | { readonly problem: string }

/** Does this line follow on this head? */
export function followLine(line: string, head: ChainHead): Followed {
  const match = HASH_AT_END.exec(line)
  if (match === null) return { problem: 'not a record of this log' }
  const body = `${line.slice(0, match.index)}}}`
  if (sha256(body) !== match[1]) return { problem: 'the record was changed' }
  let link: Partial<Link> | undefined
  try {
    link = (JSON.parse(body) as { sallyport?: Partial<Link> }).sallyport
  } catch {
    return { problem: 'not JSON' }
  }
  if (link?.seq !== head.records + 1) return { problem: `record ${head.records + 1} is missing or moved; this is record ${link?.seq ?? 'without a number'}` }
  if (link.prev !== head.hash) return { problem: 'it does not follow on the record before it' }
  return { head: { records: link.seq, hash: match[1] ?? '' }, outbox: link.outbox }
}

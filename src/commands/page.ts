// What commands that print pages have in common.

import { SallyportError } from '../core/errors.ts'
import { REGISTRY_LIMITS } from '../limits.ts'

/** The limit of a page, as a number. Failure: 'usage'. */
export function limitOf(text: string | undefined, max: number = REGISTRY_LIMITS.pageSizeMax): number | undefined {
  if (text === undefined) return undefined
  const limit = Number(text)
  if (!Number.isInteger(limit) || limit < 1 || limit > max) throw new SallyportError('usage', `--limit takes a number from 1 to ${max}.`)
  return limit
}

// What is wrong with a request, as a problem: its first issue and where it is, in words that hold nothing of the inside.

import type { z } from 'zod'
import type { DenyReason } from '../vocabulary.ts'
import { AUDIT_LIMITS } from '../limits.ts'
import { printable } from '../core/ids.ts'
import { problemOf, problemOfError, type Problem } from './problem.ts'

class InvalidRequest extends Error {
  readonly problem: Problem
  constructor(problem: Problem) {
    super(problem.title)
    this.problem = problem
  }
}

/** The value as the schema reads it. What it throws is a problem to `problemOfFailure`. */
export function parse<T extends z.ZodType>(schema: T, value: unknown): z.output<T> {
  const result = schema.safeParse(value ?? {})
  if (result.success) return result.data
  const issue = firstOf(result.error.issues)
  const where = issue === undefined || issue.path.length === 0 ? '' : `${issue.path.join('.')}: `
  const named = issue?.code === 'custom' ? (issue.params?.['reason'] as DenyReason | undefined) : undefined
  throw new InvalidRequest(problemOf(named ?? 'request-invalid', printable(`${where}${issue?.message ?? 'invalid'}`, AUDIT_LIMITS.fieldCharsMax)))
}

type Issue = z.core.$ZodIssue

/** Of what may be one thing or another, what is wrong with the one that it was meant to be: it has the fields of that. */
function firstOf(issues: readonly Issue[]): Issue | undefined {
  const [issue] = issues
  if (issue?.code !== 'invalid_union') return issue
  const meant = issue.errors.find((branch) => !branch.some(({ code, path }) => code === 'unrecognized_keys' && path.length === 0)) ?? issue.errors[0]
  const inner = firstOf(meant ?? [])
  return inner === undefined ? issue : { ...inner, path: [...issue.path, ...inner.path] }
}

/** fastify's own refusals (media type, size, broken JSON) keep their status and lose their text. */
export function problemOfFailure(error: unknown): Problem {
  if (error instanceof InvalidRequest) return error.problem
  const status = (error as { statusCode?: unknown }).statusCode
  if (typeof status === 'number' && status >= 400 && status < 500) return { ...problemOf('request-invalid'), status }
  return problemOfError(error)
}

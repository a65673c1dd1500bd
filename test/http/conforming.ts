// Whether an answer of the admin API is one that its document names: the status, the code of a refusal, and the shape of what was done.

import { ROUTES } from '../../src/http/routes.ts'
import { openApiOf } from '../../src/http/openapi.ts'
import type { AnyRoute } from '../../src/http/route.ts'

interface Documented { readonly $ref?: string; readonly content?: Readonly<Record<string, { readonly schema: { readonly allOf?: readonly { readonly properties?: { readonly code?: { readonly enum?: readonly string[] } } }[] } }>> }
interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, { readonly responses: Readonly<Record<string, Documented>> }>>>>
  readonly components: { readonly responses: Readonly<Record<string, Documented>> }
}

const DOCUMENT = openApiOf(ROUTES, '0.0.0') as unknown as Document
const ROWS = Object.entries<AnyRoute>(ROUTES).map(([name, row]) => ({ name, row, pattern: new RegExp(`^${row.path.replaceAll(/:\w+/g, '[^/]+')}$`) }))

/** What is wrong with it, as a sentence; undefined: nothing, or no operation is asked. */
export function discrepancyOf(method: string, target: string, status: number, json: () => { readonly [name: string]: unknown }): string | undefined {
  const [path = ''] = target.split('?')
  const found = ROWS.find(({ row, pattern }) => row.method === method && pattern.test(path))
  if (found === undefined || 'open' in found.row && status === 200) return undefined
  const { name, row } = found
  const responses = DOCUMENT.paths[row.path.replaceAll(/:(\w+)/g, '{$1}')]?.[method.toLowerCase()]?.responses ?? {}
  const said = responses[String(status)]
  if (status < 400) {
    const wrong = 'answer' in row ? row.answer.safeParse(json()).error?.issues : undefined
    return said === undefined ? `${name} answers ${status}` : wrong === undefined ? undefined : `${name}: ${JSON.stringify(wrong)}`
  }
  const { type, code, status: told } = json()
  if (told !== status) return `${name}: a problem of status ${String(told)} comes with ${status}`
  // Failures of the server are problems of any status.
  if (String(type).startsWith('urn:sallyport:failure:')) return undefined
  const [, shared] = /^#\/components\/responses\/(.+)$/.exec(said?.$ref ?? '') ?? []
  const whole = shared === undefined ? said : DOCUMENT.components.responses[shared]
  const codes = whole?.content?.['application/problem+json']?.schema.allOf?.flatMap((part) => part.properties?.code?.enum ?? []) ?? []
  return codes.includes(String(code)) ? undefined : `${name} answers ${status} ${String(code)}`
}

// sallyport health: asks the running server whether it is well, as a container's health check or a person at a shell would.

import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import path from 'node:path'
import { z } from 'zod'
import { SallyportError } from '../core/errors.ts'
import { CHECKS, type Health } from '../core/health.ts'
import { homePaths } from '../home.ts'
import { OBSERVE_LIMITS } from '../observe-limits.ts'
import { EXIT } from '../vocabulary.ts'
import { configOf, endpointsOf, homeOf, print, readText, table, type CommonOptions } from './context.ts'

const healthSchema = z.object({ ready: z.boolean(), checks: z.array(z.object({ check: z.enum(CHECKS), status: z.enum(['ok', 'warn', 'fail']), sentence: z.string() })) })

export async function health(options: CommonOptions): Promise<void> {
  const home = homeOf(options)
  const url = (await endpointsOf(home))?.metrics?.url
  if (url === undefined) throw new SallyportError('unreachable', `No server runs in ${home}.`, { fix: `Start it: sallyport serve --home ${home}` })
  const found = await ask(new URL('/readyz', url), home)
  const answer = found.ready ? 'ready' : 'NOT READY'
  print(options, found, () => found.checks.length === 0 ? `${answer}\n\nMore is said to who has the token of the server: listen.metrics.tokenFile of this configuration is not that.` : [answer, '', table(found.checks.map(({ check, status, sentence }) => [status, check, sentence]))].join('\n'))
  if (!found.ready) process.exitCode = EXIT.failed
}

function ask(url: URL, home: string): Promise<Health> {
  const token = url.protocol === 'https:' ? tokenOf(home) : undefined
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
  const options = { headers, timeout: OBSERVE_LIMITS.requestMs }
  const unreachable = (why: string): SallyportError => new SallyportError('unreachable', `The server at ${url.origin} does not say how it is (${why}).`, { fix: 'Look at its log.' })
  return new Promise((resolve, reject) => {
    // On this machine, by whatever address: the name in its certificate is the one that it always has.
    const sent = url.protocol === 'https:' ? httpsRequest(url, { ...options, servername: 'localhost', ca: readText(path.join(homePaths(home).operator, 'ca.pem')) }) : httpRequest(url, options)
    sent.once('response', (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
      })
      response.once('end', () => {
        const parsed = healthSchema.safeParse(jsonOf(text))
        if (parsed.success) resolve(parsed.data)
        else if (text === READY[response.statusCode ?? 0]) resolve({ ready: response.statusCode === 200, checks: [] })
        else reject(unreachable(`it answered ${response.statusCode}`))
      })
    })
    sent.once('timeout', () => sent.destroy(new Error('no answer in time')))
    sent.once('error', (error: NodeJS.ErrnoException) => reject(unreachable(error.code ?? error.message)))
    sent.end()
  })
}

/** What the door says to who has no token. */
const READY: Readonly<Record<number, string>> = { 200: 'ready\n', 503: 'not ready\n' }

/** A file that was changed for the worse since the start is nothing that is wrong with the server. */
function tokenOf(home: string): string | undefined {
  try {
    const { tokenFile } = configOf(home).listen.metrics
    return tokenFile === undefined ? undefined : readText(tokenFile).trim()
  } catch {
    return undefined
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // Not ours.
  }
}

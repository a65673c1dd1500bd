// The audit log to an HTTPS receiver: records as lines of JSON, taken when it answers with a 2xx. Redirects are not followed: the receiver
// is the one that the configuration names.

import { Agent, request } from 'node:https'
import { OBSERVE_LIMITS } from '../../observe-limits.ts'
import type { Receiver } from './receiver.ts'

export interface HttpsPorts {
  readonly url: string
  /** PEM; undefined: the CAs of the machine. */
  readonly ca: string | undefined
  readonly token: string | undefined
}

export function openHttps({ url, ca, token }: HttpsPorts): Receiver {
  const agent = new Agent({ keepAlive: true, maxSockets: 1, ...(ca === undefined ? {} : { ca }) })
  return {
    deliver({ lines }) {
      const body = Buffer.from(`${lines.join('\n')}\n`)
      return new Promise((resolve, reject) => {
        const sent = request(url, {
          agent, method: 'POST',
          headers: { 'content-type': 'application/x-ndjson', 'content-length': body.length, 'user-agent': 'sallyport', ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) },
        })
        // The whole of it, not the pause between two bytes: a receiver that drips holds nobody for ever.
        const late = setTimeout(() => sent.destroy(new Error('no answer in time')), OBSERVE_LIMITS.exportAnswerMs)
        sent.once('close', () => clearTimeout(late))
        sent.once('error', reject)
        sent.once('response', (response) => {
          const { statusCode = 0 } = response
          response.resume()
          response.once('error', reject)
          response.once('end', () => (statusCode >= 200 && statusCode < 300 ? resolve() : reject(new Error(`it answered ${statusCode}`))))
        })
        sent.end(body)
      })
    },
    [Symbol.dispose]: () => agent.destroy(),
  }
}

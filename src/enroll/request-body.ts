// The body of a request, as far as it may go.

import type { IncomingMessage } from 'node:http'

/** Undefined when there is more of it than is read. What is left stays where it is: to destroy the request would be to destroy the way to answer. */
export function bodyOf(request: IncomingMessage, bytesMax: number): Promise<Buffer | undefined> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let length = 0
    request.on('data', (chunk: Buffer) => {
      length += chunk.length
      chunks.push(chunk)
      if (length <= bytesMax) return
      request.pause().removeAllListeners('data')
      resolve(undefined)
    })
    request.once('end', () => resolve(Buffer.concat(chunks)))
    request.once('error', reject)
    request.once('close', () => reject(new Error('the request ended before its body did')))
  })
}

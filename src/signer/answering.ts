// The signer's end of the pipe: frames in, judged, signed or refused, frames out. The first thing that is no frame ends it:
// whoever speaks so is not the program that started it.

import type { Readable, Writable } from 'node:stream'
import { SIGNER_LIMITS } from '../signer-limits.ts'
import { encodeFrame, FRAME, frameReader, type Frame } from './frames.ts'
import { judgeTbs, type PlanPorts, type SignerRefusal } from './plan-rules.ts'

export interface AnsweringPorts extends PlanPorts {
  readonly input: Readable
  readonly output: Writable
  readonly sign: (tbs: Uint8Array) => Promise<Uint8Array>
  readonly judgeCrl: (tbs: Uint8Array) => { readonly allow: true } | SignerRefusal
}

/** Answers until the input ends. Rejects when what comes is not a conversation. */
export function answer(ports: AnsweringPorts): Promise<void> {
  const { input, output } = ports
  const read = frameReader()
  let underway = 0

  const send = (frame: Frame): void => {
    output.write(encodeFrame(frame))
  }

  async function serve({ id, kind, body }: Frame): Promise<void> {
    if (kind !== FRAME.sign && kind !== FRAME.signCrl) throw new RangeError('not a request')
    const refuse = (why: string): void => send({ id, kind: FRAME.refused, body: Buffer.from(why) })
    const judged = kind === FRAME.signCrl ? ports.judgeCrl(body) : judgedOr(body, ports)
    if (!judged.allow) return refuse(judged.why)
    underway++
    // Nobody can make it hold more than this: what is not read stays in the pipe, and the asker waits.
    if (underway >= SIGNER_LIMITS.signingMax) input.pause()
    try {
      send({ id, kind: FRAME.signature, body: await ports.sign(body) })
    } catch {
      refuse('signing failed')
    } finally {
      underway--
      input.resume()
    }
  }

  return new Promise((resolve, reject) => {
    const end = (error: unknown): void => {
      input.pause()
      reject(error instanceof Error ? error : new Error('the conversation broke'))
    }
    input.on('data', (chunk: Uint8Array) => {
      try {
        for (const frame of read(chunk)) serve(frame).catch(end)
      } catch (error) {
        end(error)
      }
    })
    input.once('end', resolve).once('error', end)
    output.once('error', end)
  })
}

/** A registry that cannot be read refuses this request, and does not end the signer: it may pass. */
function judgedOr(tbs: Uint8Array, ports: PlanPorts): ReturnType<typeof judgeTbs> {
  try {
    return judgeTbs(tbs, ports)
  } catch {
    return { allow: false, why: 'the journal cannot be read' }
  }
}

// Looks at the text of a policy while somebody writes it: mistakes, and what is hardly ever meant, each at its line. A pause is waited
// for, and an answer about a text that is another one by now is thrown away.

import { useEffect, useState } from 'preact/hooks'
import { ask, problemFrom, type Problem } from '../api.ts'
import { marksIn, marksOf, type Mark } from '../sentences.ts'
import type { PolicyFile, PolicyLint } from '../shapes.ts'

export interface Checked {
  readonly marks: readonly Mark[]
  /** The text is no policy, and this is why. */
  readonly problem: Problem | undefined
  readonly state: 'looking' | 'good' | 'bad' | 'unknown'
}

const PAUSE_MS = 500
const LOOKING: Checked = { marks: [], problem: undefined, state: 'looking' }

/** `edited`: it is another text than that in force. */
export function useCheck(files: readonly PolicyFile[] | undefined, edited: boolean): Checked {
  const [checked, setChecked] = useState<Checked>(LOOKING)
  const text = files === undefined ? undefined : JSON.stringify(files)
  useEffect(() => {
    if (files === undefined) return undefined
    const controller = new AbortController()
    // The marks of the text before stay until there are others: a list that comes and goes with each key is not read.
    setChecked((before) => ({ ...before, state: 'looking' }))
    const look = async (): Promise<void> => {
      const found = await check(files, edited, controller.signal)
      if (!controller.signal.aborted) setChecked(found)
    }
    const timer = setTimeout(() => void look(), edited ? PAUSE_MS : 0)
    return () => {
      clearTimeout(timer)
      controller.abort()
    }
  }, [text, edited])
  return checked
}

async function check(files: readonly PolicyFile[], edited: boolean, signal: AbortSignal): Promise<Checked> {
  try {
    const found = await ask<PolicyLint>('POST', '/v1/policy/lint', { fleet: false, ...(edited ? { files } : {}) }, { signal, refresh: !edited })
    return { marks: marksOf(found, files), problem: undefined, state: found.findings === undefined ? 'unknown' : 'good' }
  } catch (error) {
    const problem = problemFrom(error)
    return { marks: marksIn(problem, files), problem, state: problem.code === 'policy-invalid' ? 'bad' : 'unknown' }
  }
}

// Another program, run to its end while the test goes on.

import { spawn } from 'node:child_process'
import type { Answer } from '../e2e/program.ts'

export async function run(command: string, args: readonly string[], options: { readonly cwd?: string } = {}): Promise<Answer> {
  const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (chunk: Buffer) => void (stdout += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => void (stderr += chunk.toString()))
  const status = await new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve))
  return { status, stdout, stderr }
}

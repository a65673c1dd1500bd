// The processes of a running server, as the kernel of Linux tells of them.

import { readFileSync, readdirSync, readlinkSync } from 'node:fs'

/** The signer of this server. */
export function signerOf(pid: number): number {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').map(Number)
  const signer = children.find((child) => commandOf(child).some((argument) => argument.includes('signer-process')))
  if (signer === undefined) throw new Error('no signer runs')
  return signer
}

/** Its command line, argument by argument. */
export function commandOf(pid: number): readonly string[] {
  return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1)
}

/** What it has open: files by their path, sockets and pipes by their number. */
export function openedBy(pid: number): readonly string[] {
  return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/${pid}/fd/${fd}`)]
    } catch {
      return [] // Closed meanwhile.
    }
  })
}

/** The threads of this name. */
export function threadsOf(pid: number, name: string): readonly number[] {
  return readdirSync(`/proc/${pid}/task`).map(Number).filter((thread) => readFileSync(`/proc/${pid}/task/${thread}/comm`, 'utf8').trim() === name)
}

// What a server process holds, as the system sees it from outside: open descriptors and resident memory. It measures; what is
// too much is for others to say.

import { readdir, readFile } from 'node:fs/promises'

export interface Resources {
  readonly descriptors: number
  readonly residentBytes: number
}

/** Undefined where the system does not tell: another machine, another user, no /proc. */
export async function resourcesOf(pid: number | undefined): Promise<Resources | undefined> {
  if (pid === undefined) return undefined
  try {
    const [open, status] = await Promise.all([readdir(`/proc/${pid}/fd`), readFile(`/proc/${pid}/status`, 'utf8')])
    const kib = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]
    return kib === undefined ? undefined : { descriptors: open.length, residentBytes: Number(kib) * 1_024 }
  } catch {
    return undefined
  }
}

// The folder reports/ of a home: what `npm run sim -- --json reports/run.json` has written there. A name that somebody asks for is
// looked up in the folder's own list, and never made into a path.

import { open, readdir, stat } from 'node:fs/promises'
import { constants } from 'node:fs'
import path from 'node:path'
import { CONSOLE_LIMITS } from './console-limits.ts'
import { deny } from './core/decision.ts'
import { failureOf } from './core/errors.ts'
import type { ReportsDesk, ReportShown } from './core/reports-desk.ts'

/** `folder` is undefined where there is no home to look in. */
export function openReportsDesk(folder: string | undefined): ReportsDesk {
  async function reports(): Promise<readonly ReportShown[]> {
    if (folder === undefined) return []
    const entries = await readdir(folder, { withFileTypes: true }).catch(() => [])
    const files = entries.filter((entry) => entry.isFile() && entry.name.endsWith('.json'))
    const found = await Promise.all(files.map(async ({ name }) => {
      const file = await stat(path.join(folder, name)).catch(() => undefined)
      return file === undefined || file.size > CONSOLE_LIMITS.reportBytesMax ? [] : [{ name, bytes: file.size, at: Math.floor(file.mtimeMs) }]
    }))
    return found.flat().toSorted((a, b) => b.at - a.at).slice(0, CONSOLE_LIMITS.reportsMax)
  }
  return {
    reports,
    async report(name) {
      const known = (await reports()).find((report) => report.name === name)
      if (folder === undefined || known === undefined) throw failureOf(deny('report-not-found', name))
      const text = await readWhole(path.join(folder, known.name))
      const report = text === undefined ? undefined : parsed(text)
      if (report === undefined) throw failureOf(deny('report-not-found', `${name} is no report of the simulator`))
      return report
    },
  }
}

/** Not through a link that was put in its place, and never more than it may be. */
async function readWhole(file: string): Promise<string | undefined> {
  try {
    await using handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW)
    const { size } = await handle.stat()
    return size > CONSOLE_LIMITS.reportBytesMax ? undefined : await handle.readFile('utf8')
  } catch {
    return undefined
  }
}

function parsed(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) && 'startedAt' in value ? Object.fromEntries(Object.entries(value)) : undefined
  } catch {
    return undefined
  }
}

// What a scenario leaves where nobody said where: the page and the same for programs, in the folder `reports` of where it was run.

import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'

export interface LeftReport {
  readonly page: string
  readonly json: string
}

/** Returns what to print of it. A folder that cannot be written costs nobody the result that was printed already. */
export async function leaveBehind(name: string, { page, json }: LeftReport, folder: string): Promise<string> {
  const file = path.join(folder, slug(name))
  try {
    await mkdir(folder, { recursive: true })
    await writeFile(`${file}.json`, json)
    await writeFile(`${file}.html`, page)
    return `\nreport  ${file}.html, and ${slug(name)}.json beside it\n`
  } catch (error) {
    return `\nno report could be left in ${folder} (${(error as NodeJS.ErrnoException).code ?? 'unknown'}): --html FILE says where\n`
  }
}

/** A name of a file wherever it is copied to. */
const slug = (name: string): string => name.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-').replaceAll(/^-+|-+$/g, '').slice(0, NAME_CHARS) || 'scenario'
const NAME_CHARS = 64

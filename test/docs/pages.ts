// The pages of documentation as data: their lines, fences, inline code, links and headings. What they say is judged in the tests.

import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'

export const ROOT = path.resolve(import.meta.dirname, '../..')

export interface Page {
  /** From the root of the project: "docs/api.md". */
  readonly file: string
  readonly text: string
  readonly lines: readonly Line[]
}

export interface Line {
  readonly number: number
  readonly text: string
  /** The word after the fence in which it stands; '' where there is none; undefined outside of fences. */
  readonly fence: string | undefined
}

const FOLDERS = ['.', 'bench', 'certs', 'deploy', 'docs', 'docs/decisions', 'docs/policies', 'device-sim', 'test', 'test/faults', 'test/planted']

/** Every page that a person reads, from the root. */
export function pages(): readonly Page[] {
  return FOLDERS.flatMap((folder) =>
    readdirSync(path.join(ROOT, folder)).filter((name) => name.endsWith('.md')).toSorted().map((name) => pageOf(path.join(folder, name), readFileSync(path.join(ROOT, folder, name), 'utf8'))))
}

export function pageOf(file: string, text: string): Page {
  let fence: string | undefined
  const lines = text.split('\n').map((line, index): Line => {
    const mark = /^ *```(\w*)/.exec(line)
    if (mark === null) return { number: index + 1, text: line, fence }
    fence = fence === undefined ? mark[1] ?? '' : undefined
    return { number: index + 1, text: '', fence: undefined }
  })
  return { file, text, lines }
}

const prose = (page: Page): readonly Line[] => page.lines.filter(({ fence }) => fence === undefined)

/** `…` in prose. */
export function inlineCode(page: Page): readonly { readonly number: number; readonly code: string }[] {
  return prose(page).flatMap(({ number, text }) => [...text.matchAll(/`([^`]+)`/g)].map((found) => ({ number, code: found[1] ?? '' })))
}

/** Where the page points to, images included, outside of code. */
export function links(page: Page): readonly { readonly number: number; readonly target: string }[] {
  return prose(page).flatMap(({ number, text }) => [...text.replaceAll(/`[^`]*`/g, '').matchAll(/\]\(([^)\s]+)\)/g)].map((found) => ({ number, target: found[1] ?? '' })))
}

/** What a heading is called in an address, as GitHub makes it; a second one of the same words has a number. */
export function anchors(page: Page): ReadonlySet<string> {
  const seen = new Map<string, number>()
  return new Set(prose(page).flatMap(({ text }) => {
    const heading = /^#{1,6} (.*)$/.exec(text)?.[1]
    if (heading === undefined) return []
    const plain = heading.replaceAll(/\]\([^)]*\)/g, '').trim().toLowerCase().replaceAll(/[^\p{L}\p{N}\p{M}\-_ ]/gu, '').replaceAll(' ', '-')
    const before = seen.get(plain) ?? 0
    seen.set(plain, before + 1)
    return [before === 0 ? plain : `${plain}-${before}`]
  }))
}

/** The commands of a page that begin with one of these names, as words up to a pipe, a semicolon or a redirection. */
export function commandLines(page: Page, names: readonly string[]): readonly { readonly number: number; readonly name: string; readonly words: readonly string[] }[] {
  // In a session what has no prompt is what was printed.
  const inFences = page.lines.filter(({ fence, text }) => fence !== undefined && (fence !== 'console' || text.startsWith('$ '))).map(({ number, text }) => ({ number, code: text.replace(/^\$ /, '') }))
  return [...inFences, ...inlineCode(page)].flatMap(({ number, code }) =>
    names.flatMap((name) => {
      // A path before it, and a variable before that, belong to the shell.
      const escaped = name.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)
      return [...code.matchAll(new RegExp(String.raw`(?:^|[|;&(] *|npx )${escaped}(?= |$)([^#]*)`, 'g'))].map((found) => ({ number, name, words: wordsOf(found[1] ?? '') }))
    }))
}

/** As a shell would cut it, as far as pages need it. */
export function wordsOf(text: string): readonly string[] {
  const words: string[] = []
  for (const [word] of text.matchAll(/(?:"[^"]*"|'[^']*'|[^\s"'])+/g)) {
    if (/^(?:\||\|\||&|&&|;|\d?>.*|<.*)$/.test(word) && !/^<[a-z]/.test(word)) break
    const ends = /[;)]$/.test(word)
    words.push((ends ? word.slice(0, -1) : word).replaceAll(/["']/g, ''))
    if (ends) break
  }
  return words.filter((word) => word !== '')
}

// Which files a policy is: the one that sallyport.yaml names, and those of policy.d beside it. They are read as they are at
// one moment, or not at all. What they say is nobody's business here.

import { createHash } from 'node:crypto'
import { constants, existsSync, lstatSync, readdirSync, type BigIntStats } from 'node:fs'
import { lstat, open, readdir, stat } from 'node:fs/promises'
import path from 'node:path'
import { SallyportError } from '../core/errors.ts'
import { printable } from '../core/ids.ts'
import type { PolicyText } from '../core/policy-desk.ts'
import { describeProblem, type Problem } from '../core/source-tree.ts'
import { POLICY_LIMITS } from '../limits.ts'

const FOLDER = 'policy.d'
const IN_FOLDER = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}\.(?:yaml|policy)$/
/** What a person takes for a file of the policy: it is told, because a deny that nobody reads forbids nothing. Editors leave others behind. */
const NEARLY = /^[^.].*\.(?:ya?ml|policy)$/i

/** May a file of this name be a part of the policy whose main file this is? */
export function isPolicyName(name: string, policyFile: string): boolean {
  return name === path.basename(policyFile) || (name.startsWith(`${FOLDER}/`) && IN_FOLDER.test(name.slice(FOLDER.length + 1)))
}

/** Is anything there that could be a policy? Then it is not for us to write one. */
export function isPolicyThere(policyFile: string): boolean {
  if (lstatSync(policyFile, { throwIfNoEntry: false }) !== undefined) return true
  const folder = placeOf(FOLDER, policyFile)
  return existsSync(folder) && readdirSync(folder).some((name) => IN_FOLDER.test(name))
}

/**
 * The main file, and those of policy.d in the order of their names; none at all where neither is there. Failure: 'policy-invalid'
 * with every file that cannot be read, or when one of them changes meanwhile.
 */
export async function readPolicyTexts(policyFile: string): Promise<readonly PolicyText[]> {
  const { texts, problems } = await gatherPolicyTexts(policyFile)
  const [first] = problems
  if (first !== undefined) throw new SallyportError('policy-invalid', problems.map(describeProblem).join('\n'), { at: first.at })
  return texts
}

/** The same for whoever wants to know what is wrong with the others, too. */
export async function gatherPolicyTexts(policyFile: string): Promise<{ readonly texts: readonly PolicyText[]; readonly problems: readonly Problem[] }> {
  const before = await list(policyFile)
  const found: Found[] = []
  const problems = [...before.problems]
  let bytes = 0
  for (const name of before.names) {
    const read = await readOne(name, policyFile)
    if ('problem' in read) problems.push(read.problem)
    else {
      found.push(read)
      bytes += read.bytes
    }
    if (bytes > POLICY_LIMITS.bytesMax) {
      problems.push(problem(name, `the policy has more than ${POLICY_LIMITS.bytesMax} bytes.`, 'Remove what is not needed.'))
      break
    }
  }
  if (problems.length === 0) problems.push(...(await changedSince(policyFile, before, found)))
  return { texts: found.map(({ name, text }) => ({ name, text })), problems }
}

/** Of one file, over its text; of several, over their names and texts. */
export function sha256OfTexts(texts: readonly PolicyText[]): string {
  const [only] = texts
  if (texts.length <= 1) return sha256Of(only?.text ?? '')
  return sha256Of(JSON.stringify(texts.toSorted((a, b) => (a.name < b.name ? -1 : 1)).map(({ name, text }) => [name, sha256Of(text)])))
}

const sha256Of = (text: string): string => createHash('sha256').update(text).digest('hex')

interface Found extends PolicyText {
  readonly bytes: number
  /** Changes when the file does. */
  readonly stamp: string
}

interface Listed {
  readonly names: readonly string[]
  readonly problems: readonly Problem[]
}

const placeOf = (name: string, policyFile: string): string => path.join(path.dirname(policyFile), name)

function problem(name: string, message: string, fix: string): Problem {
  return { at: { file: printable(name, POLICY_LIMITS.problemCharsMax), line: 1, column: 1 }, message, fix }
}

/** What is there by name. A link that leads nowhere is there, and so is what may not be looked at. */
async function list(policyFile: string): Promise<Listed> {
  const main = path.basename(policyFile)
  const folder = placeOf(FOLDER, policyFile)
  let entries: readonly string[] = []
  try {
    entries = (await readdir(folder)).toSorted()
  } catch (error) {
    if (await isThere(folder)) return { names: [main], problems: [problem(FOLDER, `the folder cannot be read (${wordsOf(error)}).`, 'Make it a folder that the server may read, or remove it.')] }
  }
  const inFolder = entries.filter((name) => IN_FOLDER.test(name))
  if (inFolder.length > POLICY_LIMITS.filesMax) return { names: [], problems: [problem(FOLDER, `the folder has more than ${POLICY_LIMITS.filesMax} files of a policy.`, 'Put several into one.')] }
  const problems = entries.filter((name) => NEARLY.test(name) && !IN_FOLDER.test(name)).map((name) => problem(`${FOLDER}/${name}`, 'a file of this name is not read.', 'Call it NAME.yaml or NAME.policy, of A-Z a-z 0-9 _ . - alone; or begin its name with a dot, if it is not to be read.'))
  const hasMain = await isThere(policyFile)
  // Without it the denies that it held would be gone, and what the others grant would not.
  if (!hasMain && inFolder.length > 0) problems.push(problem(main, `the file is not there, and ${FOLDER} has others.`, 'Restore it; where it has nothing to say, it says: version: 1'))
  return { names: [...(hasMain ? [main] : []), ...inFolder.map((name) => `${FOLDER}/${name}`)], problems }
}

async function isThere(place: string): Promise<boolean> {
  try {
    await lstat(place)
    return true
  } catch (error) {
    return codeOf(error) !== 'ENOENT'
  }
}

/** Reads no more than a policy may have, and does not wait at what is no file: a pipe without a writer would never end. */
async function readOne(name: string, policyFile: string): Promise<Found | { readonly problem: Problem }> {
  const isMain = name === path.basename(policyFile)
  const fix = isMain ? 'Restore the file, or name another one with policy: in sallyport.yaml.' : 'Restore the file, or remove it.'
  try {
    await using file = await open(placeOf(name, policyFile), constants.O_RDONLY | constants.O_NONBLOCK)
    const facts = await file.stat({ bigint: true })
    if (!facts.isFile()) return { problem: problem(name, 'this is not a file.', fix) }
    if (facts.size > POLICY_LIMITS.documentBytesMax) return { problem: problem(name, `the file is larger than ${POLICY_LIMITS.documentBytesMax} bytes.`, 'Divide it: policy.d has room for more.') }
    const bytes = Buffer.alloc(Number(facts.size))
    let count = 0
    for (let read = 1; read > 0 && count < bytes.length; count += read) read = (await file.read(bytes, count, bytes.length - count)).bytesRead
    return { name, text: bytes.toString('utf8', 0, count), bytes: count, stamp: stampOf(facts) }
  } catch (error) {
    return { problem: problem(name, `the file cannot be read (${wordsOf(error)}).`, fix) }
  }
}

/** A policy of which a half was read before a change and a half after it was nobody's. */
async function changedSince(policyFile: string, before: Listed, found: readonly Found[]): Promise<readonly Problem[]> {
  const after = await list(policyFile)
  const changed = (name: string): Problem => problem(name, 'the policy changed while it was read.', 'Read it again when it is written.')
  if (after.names.join('/') !== before.names.join('/')) return [changed(path.basename(policyFile))]
  const problems: Problem[] = []
  for (const { name, stamp } of found) if ((await stampAt(placeOf(name, policyFile))) !== stamp) problems.push(changed(name))
  return problems
}

async function stampAt(place: string): Promise<string | undefined> {
  try {
    return stampOf(await stat(place, { bigint: true }))
  } catch {
    return undefined // It is gone: that is a change.
  }
}

function stampOf({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return [dev, ino, size, mtimeNs, ctimeNs].join(' ')
}

const WORDS: Readonly<Record<string, string>> = { ENOENT: 'it is not there', EACCES: 'permission denied', EPERM: 'not permitted', ELOOP: 'its links lead in a circle', ENOTDIR: 'it lies below something that is not a folder', EISDIR: 'it is a folder', EMFILE: 'too many open files', EIO: 'the disk fails', ENXIO: 'it is no file', ENAMETOOLONG: 'its name is too long' }

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? 'unknown'

function wordsOf(error: unknown): string {
  const code = codeOf(error)
  return Object.hasOwn(WORDS, code) ? (WORDS[code] ?? code) : code
}

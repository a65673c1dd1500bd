// The policies that were in force: a list with numbers that are never given again, and their texts by their hash, in
// data/policies/. It keeps and forgets; what comes into force is decided in policy-apply.ts.

import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import path from 'node:path'
import { z } from 'zod'
import { writeSecretFile } from './ca/key-file.ts'
import { deny } from './core/decision.ts'
import { failureOf } from './core/errors.ts'
import { BECAUSE, type PolicyText, type PolicyVersion } from './core/policy-desk.ts'
import { POLICY_LIMITS } from './limits.ts'
import { sha256OfTexts } from './policy-file/files.ts'

/** A change of files that has begun: written before the first of them, and gone when the history has it. */
export interface Intent {
  readonly version: PolicyVersion
  /** The files that it replaces, as they were. */
  readonly before: readonly KeptFile[]
}

/** A file whose text is kept under its hash. */
export type KeptFile = Pick<PolicyVersion['files'][number], 'name' | 'sha256'>

export interface PolicyHistory {
  /** Oldest first. */
  readonly versions: readonly PolicyVersion[]
  /** The generation that these texts have: that of the last version when they are its texts, or the next one. */
  generationOf(texts: readonly PolicyText[]): number
  /** Keeps the texts, and makes this the last version. */
  record(version: Omit<PolicyVersion, 'sha256' | 'files'>, texts: readonly PolicyText[]): PolicyVersion
  /** The version of this generation. Reason: generation-unknown. */
  version(generation: number): PolicyVersion
  /** Undefined when one of them is not kept any longer. */
  textsOf(files: readonly KeptFile[]): readonly PolicyText[] | undefined
  /** Are they there, as far as a look tells? */
  isKept(files: readonly KeptFile[]): boolean
  /** Keeps the texts, those of before too, and what is about to be done with them. */
  begin(intent: Omit<PolicyVersion, 'sha256' | 'files'>, texts: readonly PolicyText[], before: readonly PolicyText[]): void
  readonly intent: Intent | undefined
  /** What was begun is done, or undone. */
  end(): void
}

const sha256 = z.string().regex(/^[0-9a-f]{64}$/)
const actor = z.union([z.object({ kind: z.enum(['operator', 'device', 'token']), name: z.string() }), z.object({ kind: z.enum(['local', 'system']) })])
const version = z.object({
  generation: z.number().int().positive(), at: z.number(), actor, because: z.enum(BECAUSE), of: z.number().int().exactOptional(), sha256,
  files: z.array(z.object({ name: z.string(), sha256, bytes: z.number().int().nonnegative() })),
})
const history = z.object({ format: z.literal('sallyport-policies'), version: z.literal(1), next: z.number().int().positive(), versions: z.array(version) })
const intention = z.object({ version, before: z.array(z.object({ name: z.string(), sha256 })) })

/** Opens the history in this folder, which is made when something is kept. `warn`: the file was damaged, and is set aside. */
export function openPolicyHistory(folder: string, warn: (message: string) => void): PolicyHistory {
  const at = { list: path.join(folder, 'history.json'), intent: path.join(folder, 'begun.json') }
  const textFile = (hash: string): string => path.join(folder, `${hash}.txt`)
  let { next, versions } = readList(at.list, warn)

  function keep(texts: readonly PolicyText[]): void {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    for (const { text } of texts) if (textOf(sha256Of(text)).length === 0) writeSecretFile(textFile(sha256Of(text)), text)
  }

  /** None where it is not there, or was changed. */
  function textOf(hash: string): readonly string[] {
    const file = textFile(hash)
    const text = existsSync(file) ? readFileSync(file, 'utf8') : undefined
    return text !== undefined && sha256Of(text) === hash ? [text] : []
  }

  /** Texts that no version names any more go; a crash leaves some, which go next time. */
  function forget(kept: readonly PolicyVersion[]): void {
    const named = new Set(kept.flatMap(({ files }) => files.map((file) => `${file.sha256}.txt`)))
    for (const name of readdirSync(folder)) if (name.endsWith('.txt') && !named.has(name)) rmSync(path.join(folder, name), { force: true })
  }

  return {
    get versions() {
      return versions
    },
    get intent() {
      return existsSync(at.intent) ? parsed(intention, at.intent) : undefined
    },
    generationOf(texts) {
      const last = versions.at(-1)
      return last?.sha256 === sha256OfTexts(texts) ? last.generation : next
    },
    record(facts, texts) {
      const recorded = versionOf(facts, texts)
      keep(texts)
      const kept = bounded([...versions, recorded])
      next = Math.max(next, recorded.generation + 1)
      writeSecretFile(at.list, `${JSON.stringify({ format: 'sallyport-policies', version: 1, next, versions: kept }, null, 1)}\n`)
      versions = kept
      forget(kept)
      return recorded
    },
    version(generation) {
      const found = versions.find((each) => each.generation === generation)
      if (found === undefined) throw failureOf(deny('generation-unknown', `generation ${generation}`))
      return found
    },
    textsOf(files) {
      const texts = files.flatMap(({ name, sha256: hash }) => textOf(hash).map((text) => ({ name, text })))
      return texts.length === files.length ? texts : undefined
    },
    isKept: (files) => files.every((file) => existsSync(textFile(file.sha256))),
    begin(facts, texts, before) {
      keep([...texts, ...before])
      const intent: Intent = { version: versionOf(facts, texts), before: before.map(({ name, text }) => ({ name, sha256: sha256Of(text) })) }
      writeSecretFile(at.intent, JSON.stringify(intent))
    },
    end: () => rmSync(at.intent, { force: true }),
  }
}

/** Of one text. */
export function sha256Of(text: string): string {
  return sha256OfTexts([{ name: '', text }])
}

function versionOf(facts: Omit<PolicyVersion, 'sha256' | 'files'>, texts: readonly PolicyText[]): PolicyVersion {
  return { ...facts, sha256: sha256OfTexts(texts), files: texts.map(({ name, text }) => ({ name, sha256: sha256Of(text), bytes: Buffer.byteLength(text) })) }
}

/** The newest ones, within the bounds; the last two in any case, so that there is a way back. */
function bounded(versions: readonly PolicyVersion[]): readonly PolicyVersion[] {
  const seen = new Set<string>()
  let bytes = 0
  let count = 0
  for (const { files } of versions.toReversed()) {
    for (const file of files) {
      bytes += seen.has(file.sha256) ? 0 : file.bytes
      seen.add(file.sha256)
    }
    if (count >= ALWAYS_KEPT && (count >= POLICY_LIMITS.historyMax || bytes > POLICY_LIMITS.historyBytesMax)) break
    count++
  }
  return versions.slice(-count)
}

const ALWAYS_KEPT = 2

function readList(file: string, warn: (message: string) => void): { readonly next: number; readonly versions: readonly PolicyVersion[] } {
  if (!existsSync(file)) return { next: 1, versions: [] }
  const read = parsed(history, file)
  if (read !== undefined) return read
  // Numbers must not be given twice: whatever can be read of it says how far they went.
  const text = readFileSync(file, 'utf8')
  const next = Math.max(0, ...[...text.matchAll(/"generation":\s*(\d{1,15})/g)].map(([, number]) => Number(number))) + 1
  renameSync(file, `${file}.damaged`)
  warn(`the history of policies is damaged and set aside as ${path.basename(file)}.damaged; it begins anew at generation ${next}`)
  return { next, versions: [] }
}

function parsed<T>(schema: z.ZodType<T>, file: string): T | undefined {
  try {
    return schema.parse(JSON.parse(readFileSync(file, 'utf8')))
  } catch {
    return undefined // Not written by this program, or not whole.
  }
}

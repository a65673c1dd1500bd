// policy.yaml → a compiled policy, or every problem of the file. The one place where the policy language meets YAML and a
// pattern engine; it decides nothing.

import { RE2JS } from 're2js'
import { readFileSync } from 'node:fs'
import { SallyportError } from './core/errors.ts'
import { compilePolicy, NOTHING_GRANTED, type CompiledPolicy } from './core/policy/compile.ts'
import { parsePolicyDocument } from './core/policy/document.ts'
import { describeProblem, type Problem } from './core/source-tree.ts'
import { readYaml } from './yaml-source.ts'

/** RE2 syntax: linear in the length of what is matched, whatever the pattern. Must match the whole value. */
function compilePattern(text: string): ((value: string) => boolean) | string {
  try {
    const pattern = RE2JS.compile(text)
    return (value) => pattern.matches(value)
  } catch (cause) {
    return cause instanceof Error ? cause.message : 'unknown syntax'
  }
}

export type PolicyRead = { readonly policy: CompiledPolicy } | { readonly problems: readonly Problem[] }

/** `file` is only a name, for positions. */
export function readPolicy(file: string, text: string, generation: number): PolicyRead {
  const { tree, problems } = readYaml(file, text)
  if (tree === undefined) return { problems }
  // R1: an empty file is a policy, and it denies everything.
  if (tree.kind === 'map' && tree.entries.length === 0) return { policy: compilePolicy(NOTHING_GRANTED, generation) }
  const read = parsePolicyDocument(tree, { pattern: compilePattern })
  return read.document === undefined ? { problems: read.problems } : { policy: compilePolicy(read.document, generation) }
}

/** Reads and compiles a file. Failure: 'policy-invalid' with all problems, at the place of the first. */
export function loadPolicy(path: string, name: string, generation: number): { readonly policy: CompiledPolicy; readonly text: string } {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    throw new SallyportError('policy-invalid', `The policy ${name} cannot be read.`, { fix: 'Restore the file, or name another one with policy: in sallyport.yaml.', cause })
  }
  const read = readPolicy(name, text, generation)
  if ('policy' in read) return { policy: read.policy, text }
  const [first] = read.problems
  throw new SallyportError('policy-invalid', read.problems.map(describeProblem).join('\n'), first === undefined ? {} : { at: first.at })
}

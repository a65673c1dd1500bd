// A text of a policy as a tree, in whichever form it is written.

import type { Problem, SourceNode } from '../core/source-tree.ts'
import { POLICY_LIMITS } from '../limits.ts'
import { readYaml } from '../yaml-source.ts'
import { partsOf, sizeOf, withoutSections } from './chunks.ts'
import { readLines } from './lines.ts'

/** The suffix of a file says in which form it is. */
export const isLineForm = (name: string): boolean => name.endsWith('.policy')

/** Of the line form there may be a tree and problems, too. */
export function readSource(name: string, text: string): { readonly tree?: SourceNode; readonly problems: readonly Problem[] } {
  const read = isLineForm(name) ? readLines(name, text) : readYaml(name, text)
  const large = read.tree === undefined ? undefined : tooLargeIn(read.tree)
  if (large === undefined) return read
  return { problems: [...read.problems, { at: large.at, message: `there are more than ${POLICY_LIMITS.valuesPerRuleMax} values in this.`, fix: 'No rule needs as many.' }] }
}

/** The first part of a tree that would hold up whoever takes it in: it is read as one. */
function tooLargeIn(tree: SourceNode): SourceNode | undefined {
  return [withoutSections(tree), ...partsOf(tree)].find((part) => sizeOf(part) > POLICY_LIMITS.valuesPerRuleMax)
}

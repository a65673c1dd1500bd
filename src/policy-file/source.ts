// A text of a policy as a tree, in whichever form it is written.

import type { Problem, SourceNode } from '../core/source-tree.ts'
import { readYaml } from '../yaml-source.ts'
import { readLines } from './lines.ts'

/** The suffix of a file says in which form it is. */
export const isLineForm = (name: string): boolean => name.endsWith('.policy')

/** Of the line form there may be a tree and problems, too. */
export function readSource(name: string, text: string): { readonly tree?: SourceNode; readonly problems: readonly Problem[] } {
  return isLineForm(name) ? readLines(name, text) : readYaml(name, text)
}

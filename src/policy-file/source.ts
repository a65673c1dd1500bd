// A text of a policy as a tree, in whichever form it is written.

import type { Problem, SourceNode } from '../core/source-tree.ts'
import { readYaml } from '../yaml-source.ts'
import { readLines } from './lines.ts'

const LINE_SUFFIX = '.policy'

/** By the suffix of its file's name: the line form, or YAML. Of the line form there may be a tree and problems, too. */
export function readSource(name: string, text: string): { readonly tree?: SourceNode; readonly problems: readonly Problem[] } {
  return name.endsWith(LINE_SUFFIX) ? readLines(name, text) : readYaml(name, text)
}

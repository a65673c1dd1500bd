// What two policies differ in, rule by rule: lines that went, lines that came.

import type { JSX } from 'preact'
import type { RuleChange } from '../shapes.ts'

export function Changes({ changes }: { readonly changes: readonly RuleChange[] }): JSX.Element {
  return (
    <ul class="lines" aria-label="Changes">
      {changes.map((change) => (
        <li key={`${change.kind} ${change.id}`}>
          <p>{change.kind} <span class="mono">{change.id}</span> {change.change}</p>
          <pre class="diff">{change.removed.map((line) => <del key={line}>{`- ${line}\n`}</del>)}{change.added.map((line) => <ins key={line}>{`+ ${line}\n`}</ins>)}</pre>
        </li>
      ))}
    </ul>
  )
}

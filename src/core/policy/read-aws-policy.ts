// An AWS IoT policy document as statements, each part with its place in the file and its path in the JSON. It knows the form of a
// policy and none of its words.

import { printable } from '../ids.ts'
import { TreeReader, type Problem, type SourceNode } from '../source-tree.ts'
import type { SourcePosition } from '../errors.ts'

export interface AwsElement {
  readonly text: string
  readonly at: SourcePosition
  /** Statement[1].Resource[0] */
  readonly path: string
}

export interface AwsCondition extends Omit<AwsElement, 'text'> {
  readonly operator: string
  readonly key: string
  readonly values: readonly string[]
}

export interface AwsStatement extends Omit<AwsElement, 'text'> {
  readonly sid: string | undefined
  readonly effect: 'Allow' | 'Deny'
  readonly actions: readonly AwsElement[]
  readonly resources: readonly AwsElement[]
  readonly conditions: readonly AwsCondition[]
  /** NotAction, NotResource or Principal: what it is about is not said by naming it. */
  readonly inverted: AwsElement | undefined
}

const TOP_KEYS = ['Version', 'Id', 'Statement']
const INVERTED_KEYS = ['NotAction', 'NotResource', 'Principal', 'NotPrincipal']
const STATEMENT_KEYS = ['Sid', 'Effect', 'Action', 'Resource', 'Condition', ...INVERTED_KEYS]
/** Since this version there are policy variables. */
const VERSION = '2012-10-17'

export function readAwsPolicy(tree: SourceNode): { readonly statements: readonly AwsStatement[]; readonly problems: readonly Problem[] } {
  const reader = new TreeReader()
  const statements = new PolicyReader(reader).statements(tree)
  return { statements, problems: reader.problems }
}

class PolicyReader {
  readonly #reader: TreeReader

  constructor(reader: TreeReader) {
    this.#reader = reader
  }

  statements(tree: SourceNode): readonly AwsStatement[] {
    if (tree.kind === 'map' && tree.entries.some(({ key }) => key === 'policyDocument')) {
      this.#reader.report(tree.at, 'this is the answer of a command, with the policy as text in it.', 'Give the document itself: aws iot get-policy --policy-name NAME --query policyDocument --output text')
      return []
    }
    const top = this.#reader.map(tree, 'the policy document', TOP_KEYS)
    if (top === undefined) return []
    const version = top.get('Version')?.value
    if (version === undefined || version.kind !== 'scalar' || version.text !== VERSION) this.#reader.report(version?.at ?? tree.at, `the Version must be "${VERSION}".`, 'AWS IoT takes no other.')
    const statement = top.get('Statement')?.value
    if (statement === undefined) return this.#reader.report(tree.at, 'the policy has no Statement.', 'A policy document is { "Version": "2012-10-17", "Statement": [ … ] }.') ?? []
    const nodes = statement.kind === 'map' ? [statement] : this.#reader.list(statement, 'Statement') ?? []
    return nodes.flatMap((node, i) => this.#statement(node, statement.kind === 'map' ? 'Statement' : `Statement[${i}]`) ?? [])
  }

  #statement(node: SourceNode, path: string): AwsStatement | undefined {
    const map = this.#reader.map(node, 'a statement', STATEMENT_KEYS)
    if (map === undefined) return undefined
    const effect = map.get('Effect')?.value
    const said = effect && this.#reader.oneOf(effect, 'Effect', ['Allow', 'Deny'])
    if (effect === undefined) this.#reader.report(node.at, 'the statement has no Effect.', 'Add "Effect": "Allow" or "Deny".')
    const inverted = INVERTED_KEYS.flatMap((key) => (map.get(key) === undefined ? [] : [{ text: key, at: map.get(key)?.keyAt ?? node.at, path: `${path}.${key}` }]))[0]
    const sid = map.get('Sid')?.value
    const parts = { actions: this.#texts(map.get('Action')?.value, `${path}.Action`), resources: this.#texts(map.get('Resource')?.value, `${path}.Resource`) }
    const isSaid = (key: string): boolean => map.get(key) !== undefined
    if (inverted === undefined && !(isSaid('Action') && isSaid('Resource'))) this.#reader.report(node.at, 'the statement needs an Action and a Resource.', 'Everything is "*".')
    const conditions = this.#conditions(map.get('Condition')?.value, `${path}.Condition`)
    return said && { at: node.at, path, sid: sid?.kind === 'scalar' ? sid.text : undefined, effect: said, ...parts, conditions, inverted }
  }

  /** A text, or a list of them. */
  #texts(node: SourceNode | undefined, path: string): readonly AwsElement[] {
    if (node === undefined) return []
    const items = node.kind === 'scalar' ? [node] : this.#reader.list(node, path) ?? []
    return items.flatMap((item, i) => {
      const own = node.kind === 'scalar' ? path : `${path}[${i}]`
      if (item.kind === 'scalar') return [{ text: String(item.value ?? ''), at: item.at, path: own }]
      return this.#reader.report(item.at, `${own} must be a text.`) ?? []
    })
  }

  #conditions(node: SourceNode | undefined, path: string): readonly AwsCondition[] {
    if (node === undefined) return []
    if (node.kind !== 'map') return this.#reader.report(node.at, 'Condition must be a mapping of operators.', 'Write { "IpAddress": { "aws:SourceIp": "10.0.0.0/8" } }.') ?? []
    return node.entries.flatMap(({ key: operator, keyAt, value }) => {
      if (value.kind !== 'map') return this.#reader.report(keyAt, `the condition ${printable(operator)} must be a mapping of keys.`) ?? []
      return value.entries.map((entry) => ({
        operator, key: entry.key, at: entry.keyAt, path: `${path}.${operator}`,
        values: this.#texts(entry.value, `${path}.${operator}`).map(({ text }) => text),
      }))
    })
  }
}

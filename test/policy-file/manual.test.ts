// docs/policy.md is exact: every policy in it is one.

import { readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import type { PolicyDocument } from '../../src/core/policy/document.ts'
import { describeProblem } from '../../src/core/source-tree.ts'
import { readPolicy } from '../../src/policy-file.ts'
import { said } from './both-forms.ts'

const MANUAL = readFileSync(path.resolve(import.meta.dirname, '../../docs/policy.md'), 'utf8')
const TASKS = readFileSync(path.resolve(import.meta.dirname, '../../docs/tasks.md'), 'utf8')

/** The blocks of code in this language that are a policy. */
const blocksOf = (page: string, language: string, begin: RegExp): readonly string[] => [...page.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].filter(([, word, text = '']) => word === language && begin.test(text)).map(([, , text = '']) => text)

function documentOf(file: string, text: string): PolicyDocument {
  const read = readPolicy(file, text, 1)
  if ('policy' in read) return read.policy.document
  throw new Error(read.problems.map(describeProblem).join('\n'))
}

describe('the manual', () => {
  test('shows one policy in both forms', () => {
    const [yaml = ''] = blocksOf(MANUAL, 'yaml', /^version: 1/)
    const [lines = ''] = blocksOf(MANUAL, 'policy', /^group/)
    expect(documentOf('p.yaml', yaml).grants).toHaveLength(2)
    expect(said(documentOf('p.policy', lines))).toEqual(said(documentOf('p.yaml', yaml)))
  })

  test('says which id a rule has that says none', () => {
    expect(MANUAL).toContain(documentOf('p.policy', 'deny pub t/+/admin/#').deny[0]?.id)
  })
})

describe('the page of tasks', () => {
  test('shows one policy in both forms', () => {
    const [yaml = ''] = blocksOf(TASKS, 'yaml', /^version: 1/)
    const [lines = ''] = blocksOf(TASKS, '', /^group sensors/)
    const withoutIds = (document: PolicyDocument): unknown => said({ ...document, grants: document.grants.map((rule) => ({ ...rule, id: '' })), deny: document.deny.map((rule) => ({ ...rule, id: '' })) })
    expect(documentOf('p.yaml', yaml).grants).toHaveLength(1)
    expect(withoutIds(documentOf('p.policy', lines))).toEqual(withoutIds(documentOf('p.yaml', yaml)))
  })
})

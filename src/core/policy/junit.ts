// Test results as JUnit XML, in the form that CI systems read: testsuites, testsuite, testcase, failure.

import type { TestResult } from './run-tests.ts'

export interface TestSuite {
  readonly name: string
  readonly results: readonly TestResult[]
}

/** `describe`: what a failed test says about itself. */
export function junitXml(suites: readonly TestSuite[], describe: (result: TestResult) => string): string {
  const all = suites.flatMap(({ results }) => results)
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites name="sallyport policy test" ${counts(all)}>`,
    ...suites.flatMap(({ name, results }) => [
      `  <testsuite name="${escaped(name)}" ${counts(results)}>`,
      ...results.map((result) => testcase(name, result, describe)),
      '  </testsuite>',
    ]),
    '</testsuites>',
    '',
  ].join('\n')
}

function counts(results: readonly TestResult[]): string {
  return `tests="${results.length}" failures="${results.filter(({ passed }) => !passed).length}" errors="0" skipped="0" time="0"`
}

function testcase(suite: string, result: TestResult, describe: (result: TestResult) => string): string {
  const { name, at, passed, expected, got } = result
  const head = `    <testcase classname="${escaped(suite)}" name="${escaped(name)}" file="${escaped(at.file)}" line="${at.line}" time="0"`
  if (passed) return `${head}/>`
  return `${head}>\n      <failure type="${escaped(got.reason)}" message="${escaped(`expected ${expected}, got ${got.effect} (${got.reason})`)}">${escaped(describe(result))}</failure>\n    </testcase>`
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&apos;', '\n': '&#10;', '\t': '&#9;' }
/** XML 1.0 has no way to write most control characters, nor half of a character. */
const UNWRITABLE = /[^\t\n\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/gu

function escaped(text: string): string {
  return text.replaceAll(UNWRITABLE, '\uFFFD').replaceAll(/[&<>"'\n\t]/g, (character) => ENTITIES[character] ?? character)
}

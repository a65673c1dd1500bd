// docs/cli.md is generated from the commands themselves: `npx vitest run test/cli/reference.test.ts -u` writes it anew, and CI fails
// when it is stale. Every command has an example, and every example is one that the program takes.

import type { Command } from 'commander'
import { expect, test } from 'vitest'
import { EXIT } from '../../src/vocabulary.ts'
import { exampleOf, listed, mistakeIn, SALLYPORT, SIMULATOR, type Listed } from '../docs/command-tree.ts'

/** What an exit code tells the script that called. */
const MEANINGS = {
  ok: 'It is done, or the answer is yes.',
  failed: 'It was tried and did not work; or a command that looks for something (`health`, `doctor`, `audit verify`, `backup verify`, `cert expiring`, `policy test`) has found something.',
  usage: 'The command line is wrong. Nothing was tried.',
  notFound: 'What was named is not there.',
  refused: 'A rule says no, with the sentence and the fix of its [reason](reasons.md); or nobody said yes to a question.',
  unreachable: 'No server answers where one was expected.',
  configuration: 'The configuration, the policy or the home is wrong. Starting again does not help; the message says what does.',
  interrupted: 'Ctrl-C.',
} as const satisfies Record<keyof typeof EXIT, string>

const COMMON = new Set(['--home', '--json', '--version', '--help'])
const cell = (text: string): string => text.replaceAll('|', String.raw`\|`)

function section({ path, command }: Listed, common: ReadonlySet<string>): string {
  const rows = [
    ...command.registeredArguments.map((argument) => {
      const name = `${argument.name()}${argument.variadic ? '...' : ''}`
      const said = [argument.description, choices(argument.argChoices), argument.required ? 'required' : '']
      return `| \`${argument.required ? `<${name}>` : `[${name}]`}\` | ${cell(said.filter(Boolean).join('; '))} |`
    }),
    ...command.options.filter(({ long }) => !common.has(long ?? '')).map((option) => {
      const extra = [choices(option.argChoices), option.mandatory && option.defaultValue === undefined ? 'required' : '', option.defaultValue === undefined || option.defaultValue === true ? '' : `default: ${String(option.defaultValue)}`]
      return `| \`${cell(option.flags)}\` | ${cell([option.description, ...extra].filter(Boolean).join('; '))} |`
    }),
  ]
  const example = exampleOf(command)
  return [
    `### ${path}`, '', command.description(), '', ...(example === undefined ? [] : ['```sh', example, '```', '']),
    ...(rows.length === 0 ? [] : ['| | |', '|---|---|', ...rows, '']),
  ].join('\n')
}

const choices = (values: readonly string[] | undefined): string => (values === undefined ? '' : `one of ${values.map((value) => `\`${value}\``).join(', ')}`)

/** The nouns as chapters; what stands alone comes under one heading. */
function chapters(root: Command): string {
  const nouns = root.commands.filter((command) => command.commands.length > 0)
  const alone = root.commands.filter((command) => command.commands.length === 0)
  const chapter = (noun: Command): string =>
    [`## ${noun.name()}`, '', ...(noun.registeredArguments.length + noun.options.length > 0 ? [] : [noun.description(), '']),
      ...listed(noun, `${root.name()} ${noun.name()}`).filter(({ command }) => runs(command)).map((each) => section(each, COMMON))].join('\n')
  return [['## Serving, watching, completing', '', ...alone.map((command) => section({ path: `${root.name()} ${command.name()}`, command }, COMMON))].join('\n'), ...nouns.map(chapter)].join('\n')
}

/** A group of commands has no options of its own and does nothing by itself. */
const runs = (command: Command): boolean => command.commands.length === 0 || command.options.length > 0

function page(): string {
  const codes = Object.entries(EXIT).map(([name, code]) => `| ${code} | ${name} | ${MEANINGS[name as keyof typeof EXIT]} |`)
  const simulated = new Set(SIMULATOR.options.map(({ long }) => long ?? ''))
  const nouns = SALLYPORT.commands.filter((command) => command.commands.length > 0).map((noun) => `[${noun.name()}](#${noun.name()})`).join(' · ')
  return `# Commands

Generated from the commands themselves; do not edit (\`npx vitest run test/cli/reference.test.ts -u\`). \`sallyport COMMAND --help\` says the same.

[Serving, watching, completing](#serving-watching-completing) · ${nouns} · [the simulator](#the-simulator) · [exit codes](#exit-codes)

- Every command takes \`--home DIR\` (default: \`SALLYPORT_HOME\`, or this folder) and \`--json\`; \`completion\` takes neither. \`NO_COLOR\` is heeded.
- Answers go to stdout, everything else to stderr. With \`--json\` an answer is one JSON document, lists are \`{items, next}\`, and \`next\` is the \`--after\` of the next page.
- While a server runs in that home, commands ask its [admin API](api.md) with the operator certificate in \`certs/local/operator/\`, or in the folder that \`SALLYPORT_OPERATOR\` names. When none runs, they open the home itself, under its lock.
- What cannot be undone asks first where there is a terminal; \`--yes\` answers. In a script nothing is asked, but for a revocation of many certificates, which is refused there without \`--yes\`.
- A failure is one sentence on stderr and, mostly, a line that begins with \`fix:\`.

## Exit codes

| code | name | what it tells a script |
|---|---|---|
${codes.join('\n')}

${chapters(SALLYPORT)}
# The simulator

\`npm run sim -- …\` in a clone, \`sallyport-sim …\` from the package. [simulator.md](simulator.md) has the tasks. It exits with 0 when every verdict is as expected, 1 when one is not, 2 when the command line is wrong. All verbs but \`report\` and \`compare\` take the options of the first one.

${listed(SIMULATOR, 'sallyport-sim').map((each, index) => section(each, index === 0 ? new Set() : simulated)).join('\n')}`.replaceAll(/\n{3,}/g, '\n\n').trimEnd() + '\n'
}

test('docs/cli.md is what the commands say', async () => {
  await expect(page()).toMatchFileSnapshot('../../docs/cli.md')
})

test('every command that does something has a description and an example', () => {
  const bare = [...listed(SALLYPORT), ...listed(SIMULATOR)].filter(({ command }) => command !== SALLYPORT && runs(command)).filter(({ command }) => command.description() === '' || exampleOf(command) === undefined)
  expect(bare.map(({ path }) => path)).toEqual([])
})

test('every example is one that the program takes', () => {
  const wrong = [...listed(SALLYPORT).map((each) => ({ ...each, root: SALLYPORT })), ...listed(SIMULATOR).map((each) => ({ ...each, root: SIMULATOR }))].flatMap(({ path, command, root }) => {
    const words = exampleOf(command)?.replace(/ > .*$/, '').replace(/^(sallyport|npm run sim --) ?/, '').split(' ')
    const mistake = words === undefined ? undefined : mistakeIn(words, root, true)
    return mistake === undefined ? [] : [`${path}: ${mistake}`]
  })
  expect(wrong).toEqual([])
})

test('a command with a wrong word, a wrong option, a wrong choice or something missing is seen', () => {
  const said = (line: string): string | undefined => mistakeIn(line.split(' '), SALLYPORT, true)
  expect(said('device add sensor-7 --group a')).toBeUndefined()
  expect(said('devices add sensor-7')).toBe('sallyport has no devices')
  expect(said('device remove sensor-7')).toBe('device has no remove')
  expect(said('device add sensor-7 --grup a')).toBe('add has no option --grup')
  expect(said('device add sensor-7 sensor-8')).toBe('add takes no sensor-8')
  expect(said('device add')).toBe('add needs id')
  expect(said('device bundle sensor-7')).toBe('bundle needs --out')
  expect(said('serve --ports all')).toBe('--ports is none of auto, configured')
  expect(said('ca rotate start --root')).toBeUndefined()
})

// docs/config.md: the reference of the configuration, made from the table.

import type { Json } from './kinds.ts'
import { environmentNameOf, type Row, type Section } from './rows.ts'
import { SECTIONS, TABLE } from './table.ts'

const INTRODUCTION = `# Configuration

This page is made from the table that the program reads the configuration by: \`npx vitest run test/config/schema.test.ts -u\`.

What is said in several places: a flag wins over the environment, the environment over \`sallyport.yaml\` in the home, the file over the default. Everything is optional.

- **Flags** of \`serve\`: \`--set KEY=VALUE\` for every key, as \`--set listen.mqtt.port=8884\`; \`--host NAME\` adds names to \`hosts\`; \`--ports auto\` picks free ports for all doors.
- **Environment**: every key has a variable, as below. A list is written with commas (\`SALLYPORT_HOSTS=a.example,b.example\`), a mapping as in YAML (\`SALLYPORT_RENEWAL_GROUPS='{ line-1: 90 }'\`). With \`_FILE\` at its end
  the variable names a file that holds the value, without its last line end: \`SALLYPORT_ORGANISATION_FILE=/run/config/organisation\`. An empty variable is none. One that begins with \`SALLYPORT_\` and means nothing is named in the log, with what it may have meant.
- **File**: an unknown key or a wrong value is refused, with its line, its column and a suggestion. A relative path begins at the file; in a flag or a variable, at the working folder.

\`sallyport config check [FILE]\` says what is wrong and ends with 78; \`sallyport config show --origin\` says what is in force and where each value comes from; \`sallyport config schema\` prints the JSON Schema, which a start also writes into the home, where
editors find it by the first line of \`sallyport.yaml\`: \`# yaml-language-server: $schema=data/sallyport.schema.json\`.

\`kill -HUP\`, \`sallyport reload\` and \`POST /v1/reload\` read everything anew: all of it or, with one mistake, none. Keys that are marked **live** are in force then; of the others the answer says that they wait for the next start. \`SALLYPORT_HOME\` and \`--home\` say where the home is.
`

/** As text of Markdown, ending in a line end. */
export function configReferenceText(): string {
  const sections: readonly [string, Section | undefined][] = [['', undefined], ...Object.entries<Section>(SECTIONS)]
  return `${INTRODUCTION}${sections.map(([name, section]) => sectionText(name, section)).join('')}`
}

function sectionText(name: string, section: Section | undefined): string {
  const rows = Object.entries<Row<unknown>>(TABLE).filter(([key]) => key.slice(0, Math.max(0, key.lastIndexOf('.'))) === name)
  if (rows.length === 0) return ''
  const heading = section === undefined ? '## At the top' : `## \`${name}\`\n\n${section.text}${section.optional === true ? ' Off, unless the file has it or one of its keys is set.' : ''}`
  const lines = rows.map(([key, row]) => `| \`${key}\` | ${words(row)} | ${presetText(row)} | ${row.effect === 'live' ? '**live**' : 'restart'} | ${row.text}<br>\`${environmentNameOf(key)}\` |`)
  return `\n${heading}\n\n| key | value | default | takes effect | |\n|---|---|---|---|---|\n${lines.join('\n')}\n`
}

const words = ({ kind, unit, secret }: Row<unknown>): string => `${kind.words}${unit === undefined ? '' : ` (${unit})`}${secret === true ? ', secret' : ''}`.replaceAll('|', '\\|')

function presetText({ preset, without }: Row<unknown>): string {
  return preset === undefined ? without ?? '' : `\`${written(preset)}\``
}

const written = (preset: Json): string => (typeof preset === 'string' ? (preset === '::' ? '"::"' : preset) : JSON.stringify(preset))

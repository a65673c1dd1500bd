// The JSON Schema of sallyport.yaml, made from the table: what editors complete, explain and underline by.

import type { Json, JsonSchema } from './kinds.ts'
import { environmentNameOf, namesBelow, type Row, type Section, type Table } from './rows.ts'
import { SECTIONS, TABLE } from './table.ts'

/** Where the first start of a home puts it, as sallyport.yaml beside `data/` names it. */
export const SCHEMA_FILE = 'data/sallyport.schema.json'

/** As text of JSON, ending in a line end. */
export function configSchemaText(): string {
  const schema = { $schema: 'https://json-schema.org/draft/2020-12/schema', title: 'Sallyport configuration', description: 'sallyport.yaml. Everything is optional; what is not said is as in the defaults.', ...schemaOfSection(TABLE, SECTIONS, '') }
  return `${JSON.stringify(schema, null, 2)}\n`
}

function schemaOfSection(table: Table, sections: Readonly<Record<string, Section>>, section: string): JsonSchema {
  const properties = namesBelow(table, section).map((name): [string, JsonSchema] => {
    const key = section === '' ? name : `${section}.${name}`
    const row = table[key]
    return [name, row === undefined ? { description: textOfSection(sections[key]), ...schemaOfSection(table, sections, key) } : schemaOfRow(key, row)]
  })
  return { type: 'object', additionalProperties: false, properties: Object.fromEntries(properties) }
}

const textOfSection = (section: Section | undefined): string => `${section?.text ?? ''}${section?.optional === true ? ' Off, unless it is here.' : ''}`

function schemaOfRow(key: string, row: Row<unknown>): JsonSchema {
  const takes = row.effect === 'live' ? 'A reload puts it in force.' : 'It takes effect at the next start.'
  const unit = row.unit === undefined ? '' : ` In ${row.unit}.`
  const preset: Readonly<Record<string, Json>> = row.preset === undefined ? {} : { default: row.preset }
  return { description: `${row.text}${unit} ${takes} ${environmentNameOf(key)}`, ...row.kind.schema, ...preset }
}

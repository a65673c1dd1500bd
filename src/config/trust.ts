// `trust:` of the configuration: the CAs of others. Two CAs of one name would share the names of their devices' certificates.

import { parseCaName, printable, type CaName } from '../core/ids.ts'
import type { SourceNode } from '../core/source-tree.ts'
import { fileThere, type Kind, type Reading } from './kinds.ts'

export interface TrustedFile {
  readonly name: CaName
  /** Absolute. */
  readonly file: string
  /** Its certificates enroll devices, and connect none. */
  readonly enrollsOnly: boolean
}

/** The names of our own CAs: a foreign CA of the same name would have its certificates recorded as ours. */
const OWN_CA_NAMES: readonly string[] = ['root', 'issuing-1']

export const trust: Kind<readonly TrustedFile[]> = {
  words: 'a list of { name, file } of CA certificates',
  schema: {
    type: 'array',
    items: {
      type: 'object', additionalProperties: false, required: ['name', 'file'],
      properties: {
        name: { type: 'string', pattern: '^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$', not: { enum: OWN_CA_NAMES }, description: 'What its certificates are recorded under; a new key needs a new name.' },
        file: { type: 'string', minLength: 1, description: 'One CA certificate, PEM.' },
        only: { enum: ['enrollment'], description: 'Keeps its devices from the MQTT port.' },
      },
    },
  },
  form: 'yaml',
  read(node, reading) {
    const seen = new Set<string>()
    return reading.reader.list(node, reading.name)?.flatMap((item) => {
      const trusted = trustOf(item, reading)
      if (trusted === undefined) return []
      if (seen.has(trusted.name)) reading.reader.report(item.at, `a trusted CA named "${trusted.name}" is listed already.`, 'Give every CA a name of its own.')
      seen.add(trusted.name)
      return [trusted]
    })
  },
}

function trustOf(node: SourceNode, reading: Reading): TrustedFile | undefined {
  const { reader } = reading
  const map = reader.map(node, 'a trusted CA', ['name', 'file', 'only'])
  const [name, file, only] = [map?.get('name'), map?.get('file'), map?.get('only')]
  if (map === undefined) return undefined
  if (name === undefined || file === undefined) return reader.report(node.at, 'a trusted CA needs a name and a file.', 'Write: { name: factory-2026, file: factory.pem }')
  const text = reader.string(name.value, 'name')
  const parsed = text === undefined ? undefined : parseCaName(text)
  if (parsed?.allow === false) return reader.report(name.value.at, `"${printable(text ?? '')}" is not a CA name.`, 'Names are 1 to 64 of A-Z a-z 0-9 _ . - and begin with a letter or digit.')
  if (parsed !== undefined && OWN_CA_NAMES.includes(parsed.value)) return reader.report(name.value.at, `"${parsed.value}" is the name of our own CA.`, 'Choose another name for the trusted one.')
  const where = fileThere(file.value, { ...reading, name: 'file' }, 'Name the PEM file of the CA, from the home or with its full path.')
  if (parsed === undefined || where === undefined) return undefined
  return { name: parsed.value, file: where, enrollsOnly: only !== undefined && reader.oneOf(only.value, 'only', ['enrollment']) === 'enrollment' }
}

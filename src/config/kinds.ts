// The kinds of values that the configuration has: how each is read out of a node, how it is told to a person, and what the JSON
// Schema says of it. A kind knows nothing of keys, files and the environment; what it refuses has the place of the node.

import { existsSync } from 'node:fs'
import { isIP } from 'node:net'
import path from 'node:path'
import { printable } from '../core/ids.ts'
import type { SourceNode, TreeReader } from '../core/source-tree.ts'

export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json }
export type JsonSchema = Readonly<Record<string, Json>>

export interface Reading {
  readonly reader: TreeReader
  /** How a person calls what is read: the key. */
  readonly name: string
  /** Where relative paths begin: the home for the file, the working folder for flags and environment. */
  readonly base: string
}

export interface Kind<T> {
  /** "a whole number from 0 to 65535": after "must be". */
  readonly words: string
  readonly schema: JsonSchema
  /** What text of a flag or of the environment is taken for. */
  readonly form: 'text' | 'number' | 'list' | 'yaml'
  /** Undefined after a report. */
  readonly read: (node: SourceNode, reading: Reading) => T | undefined
}

const HOST_NAME = /^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/
// A zone (fe80::1%eth0) means something on one machine only.
export const isHost = (text: string): boolean => (isIP(text) !== 0 && !text.includes('%')) || HOST_NAME.test(text)
/** For editors: a name, or what has the letters of an IPv6 address. */
const HOST_PATTERN = `${HOST_NAME.source}|^[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*$`
const ORIGIN = '^https://[a-z0-9.:\\[\\]_-]+$'

export function integer(min: number, max: number): Kind<number> {
  return { words: `a whole number from ${min} to ${max}`, schema: { type: 'integer', minimum: min, maximum: max }, form: 'number', read: (node, { reader, name }) => reader.integer(node, name, min, max) }
}

/** Infinity stands for off. */
export function countOrOff(max: number): Kind<number> {
  return {
    words: `a whole number from 1 to ${max}, or off`, schema: { anyOf: [{ type: 'integer', minimum: 1, maximum: max }, { const: 'off' }] }, form: 'number',
    read: (node, { reader, name }) => (node.kind === 'scalar' && node.text === 'off' ? Infinity : reader.integer(node, name, 1, max)),
  }
}

export function bytes(min: number, max: number): Kind<number> {
  return {
    words: `a size from ${min} to ${max} bytes, as 512, 8KiB or 1MiB`, schema: { type: ['integer', 'string'], minimum: min, maximum: max, pattern: '^[0-9]{1,12}(B|KiB|MiB|GiB)?$' }, form: 'number',
    read(node, { reader, name }) {
      const read = reader.bytes(node, name)
      return read === undefined || (read >= min && read <= max) ? read : reader.report(node.at, `${name} must be from ${min} to ${max} bytes.`)
    },
  }
}

export function word<const Word extends string>(words: readonly Word[]): Kind<Word> {
  return { words: words.join(' or '), schema: { enum: words }, form: 'text', read: (node, { reader, name }) => reader.oneOf(node, name, words) }
}

/** Text of this pattern. `wrong`: what is wrong with any other; `fix`: how it is written. */
export function text(pattern: RegExp, { words, wrong, fix }: { readonly words: string; readonly wrong: string; readonly fix: string }): Kind<string> {
  return {
    words, schema: { type: 'string', pattern: pattern.source }, form: 'text',
    read(node, { reader, name }) {
      const said = reader.string(node, name)
      return said === undefined || pattern.test(said) ? said : reader.report(node.at, `${name}: "${printable(said)}" ${wrong}`, fix)
    },
  }
}

export const host: Kind<string> = {
  words: 'a host name or an address', schema: { type: 'string', pattern: HOST_PATTERN }, form: 'text',
  read: (node, { reader, name }) => hostOf(reader, node, name),
}

function hostOf(reader: TreeReader, node: SourceNode, what: string): string | undefined {
  const said = reader.string(node, what)
  if (said === undefined || isHost(said)) return said
  return reader.report(node.at, `${what}: "${printable(said)}" is not a host name or an address.`, 'Write a DNS name or an IP address.')
}

/** A list; what is wrong with an item is told of the item. */
export function list<T>(words: string, items: JsonSchema, read: (node: SourceNode, reading: Reading) => T | undefined): Kind<readonly T[]> {
  return {
    words, schema: { type: 'array', items }, form: 'list',
    read: (node, reading) => reading.reader.list(node, reading.name)?.flatMap((item) => read(item, reading) ?? []),
  }
}

export function hosts(max: number): Kind<readonly string[]> {
  const read = list('a list of host names and addresses', host.schema, (node, { reader }) => hostOf(reader, node, 'a host'))
  return {
    ...read, schema: { ...read.schema, maxItems: max },
    read(node, reading) {
      const found = read.read(node, reading)
      if (found !== undefined && found.length > max) reading.reader.report(node.at, `${reading.name}: at most ${max} names fit into the server certificate, not ${found.length}.`)
      return found
    },
  }
}

/** As a browser writes it, or it would never be equal. What comes over plain http was written by whoever is on the way. */
export const origins: Kind<readonly string[]> = list('a list of origins of https pages', { type: 'string', pattern: ORIGIN }, (node, { reader }) => {
  const said = reader.string(node, 'an origin')
  if (said === undefined) return undefined
  const origin = URL.canParse(said) ? new URL(said).origin : undefined
  if (origin === said && said.startsWith('https://')) return said
  return reader.report(node.at, `"${printable(said)}" is not the origin of an https page.`, 'Write it as a browser does: https://console.example.org, with a port only where it is not 443.')
})

/** The absolute path of a file. Whether it is there is found by who opens it. */
export const file: Kind<string> = {
  words: 'the path of a file', schema: { type: 'string', minLength: 1 }, form: 'text',
  read(node, { reader, name, base }) {
    const said = reader.string(node, name)
    // Nothing, as a path, is the folder that it begins at.
    if (said === '') return reader.report(node.at, `${name} must be the path of a file, not nothing.`)
    return said === undefined ? undefined : path.resolve(base, said)
  },
}

/** The absolute path of a file that is there. */
export function fileThere(node: SourceNode, { reader, name, base }: Reading, fix: string): string | undefined {
  const said = reader.string(node, name)
  if (said === undefined) return undefined
  const resolved = path.resolve(base, said)
  return existsSync(resolved) ? resolved : reader.report(node.at, `there is no file "${printable(said)}" in the home.`, fix)
}

// What a row of the configuration table says of its key, and how the names of keys become names of environment variables. Everything
// else about a key (reader, JSON Schema, reference, completion, what a reload may change) is made from its row.

import type { Json, Kind } from './kinds.ts'

/** live: a reload puts it in force. restart: it takes effect at the next start. */
export type Effect = 'live' | 'restart'

interface RowFacts {
  readonly effect: Effect
  /** What it does, as one sentence or two. */
  readonly text: string
  /** What a number counts. */
  readonly unit?: string
  /** Never shown: not by `config show`, not by a reload, not in a message about what is wrong with it. */
  readonly secret?: true
}

export interface Row<T> extends RowFacts {
  readonly kind: Kind<T>
  /** As it would be written in the file. Absent: nothing is set. */
  readonly preset?: Json
  /** What having none means, where there is no preset. */
  readonly without?: string
  /** Carries the type alone: a key without a preset may be undefined. */
  readonly value?: T
}

export interface Section {
  readonly text: string
  /** Off, unless the file names it or one of its keys is set. */
  readonly optional?: true
}

export type Table = Readonly<Record<string, Row<unknown>>>

/** Rows of one table hold values of different types: what a row reads is known by its kind alone. */
export type ValueOf<R> = R extends { readonly kind: Kind<infer T>; readonly preset: Json } ? T : R extends { readonly kind: Kind<infer T> } ? T | undefined : never
export type Settings<T extends Table> = { readonly [Name in keyof T]: ValueOf<T[Name]> }

export interface Preset<T> extends Row<T> {
  readonly preset: Json
}

/** A key that has a default. */
export function row<T>(kind: Kind<T>, facts: RowFacts & { readonly preset: Json }): Preset<T> {
  return { kind, ...facts }
}

/** A key that may have no value. */
export function optionalRow<T>(kind: Kind<T>, facts: RowFacts & { readonly without: string }): Row<T> {
  return { kind, ...facts }
}

export const ENVIRONMENT_PREFIX = 'SALLYPORT_'
export const FROM_FILE = '_FILE'

/** listen.mqtt.port → SALLYPORT_LISTEN_MQTT_PORT, limits.packetBytesMax → SALLYPORT_LIMITS_PACKET_BYTES_MAX */
export function environmentNameOf(key: string): string {
  return ENVIRONMENT_PREFIX + key.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).replaceAll('.', '_').toUpperCase()
}

/** The names directly below a section; '' is the top. In the order of the table. */
export function namesBelow(table: Table, section: string): readonly string[] {
  const prefix = section === '' ? '' : `${section}.`
  return [...new Set(Object.keys(table).flatMap((key) => (key.startsWith(prefix) ? key.slice(prefix.length).split('.', 1) : [])))]
}

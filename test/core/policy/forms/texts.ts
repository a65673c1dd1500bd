// Short policies, each about one thing: what the tables of good and bad forms are written with.

/** A text, and what is said of it: every problem, in order, without the name of the file. */
export type BadForm = readonly [text: string, ...problems: string[]]

export const top = (body: string): string => `version: 1\n${body}\n`
export const grants = (rule: string): string => top(`grants:\n  - ${rule}`)
export const grant = (body: string): string => grants(`{ id: r, to: any, ${body} }`)
export const to = (target: string): string => grants(`{ id: r, to: ${target} }`)
export const when = (body: string): string => grant(`when: { ${body} }`)
export const pub = (terms: string): string => grant(`publish: [ { topic: a, ${terms} } ]`)
export const sub = (terms: string): string => grant(`subscribe: [ { topic: a, ${terms} } ]`)
export const will = (terms: string): string => grant(`will: [ { topic: a, ${terms} } ]`)
export const deny = (body: string): string => top(`deny:\n  - { id: r, to: any, ${body} }`)
export const identities = (rule: string): string => top(`identity:\n  - ${rule}`)
export const identity = (body: string): string => identities(`{ ca: f, ${body} }`)
export const groups = (body: string): string => top(`groups: ${body}`)

/** A problem without the rule that it is in: tables say where and what. */
export const withoutRule = (problem: string): string => problem.replace(/ \[rule [^\]]+\]$/, '')

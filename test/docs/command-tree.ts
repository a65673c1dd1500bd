// The commands of both programs as data, and what is wrong with a command that a page shows: a word that is no command, an option
// that this command does not have.

import type { Command } from 'commander'
import { program as simulator } from '../../device-sim/main.ts'
import { program as sallyport } from '../../src/cli.ts'

export const SALLYPORT = sallyport()
export const SIMULATOR = simulator(new AbortController().signal, () => undefined)

export interface Listed {
  /** As it is typed: "sallyport device add". */
  readonly path: string
  readonly command: Command
}

/** Every command below this one, in the order of the help, this one first. */
export function listed(command: Command, path = command.name()): readonly Listed[] {
  return [{ path, command }, ...command.commands.flatMap((below) => listed(below, `${path} ${below.name()}`))]
}

/** The example at the end of its help, where it has one. */
export function exampleOf(command: Command): string | undefined {
  let help = ''
  command.configureOutput({ writeOut: (text) => { help += text } }).outputHelp()
  return /\nExample:\n {2}(.+)\n?$/.exec(help)?.[1]
}

const GLOBAL = ['--help', '-h', '--version', '-V']

/** What is wrong with these words after the name of the program; undefined where nothing is. `whole`: also whether something is missing. */
export function mistakeIn(words: readonly string[], root: Command, whole = false): string | undefined {
  let command = root
  let positionals = 0
  let rest: Command[] = [...root.commands]
  for (let index = 0; index < words.length; index += 1) {
    const word = words[index] ?? ''
    if (word.startsWith('-') && word !== '-' && !/^-\d/.test(word)) {
      const [flag = '', value] = word.split('=', 2)
      if (GLOBAL.includes(flag)) continue
      const option = optionOf(command, flag)
      if (option === undefined) return `${command.name()} has no option ${flag}`
      if (option.argChoices !== undefined && whole && !option.argChoices.includes(value ?? words[index + 1] ?? '')) return `${flag} is none of ${option.argChoices.join(', ')}`
      if (value === undefined && (option.required || option.optional)) index += 1
      continue
    }
    const below = rest.find((next) => next.name() === word)
    if (below !== undefined) {
      command = below
      rest = [...below.commands]
      positionals = 0
    } else {
      positionals += 1
      if (command.registeredArguments.length === 0) return `${command.name()} has no ${word}`
      const last = command.registeredArguments.at(-1)
      if (last?.variadic !== true && positionals > command.registeredArguments.length) return `${command.name()} takes no ${word}`
      rest = []
    }
  }
  if (!whole || words.some((word) => GLOBAL.includes(word))) return undefined
  const missing = command.options.find((option) => option.mandatory && option.defaultValue === undefined && !words.some((word) => word === option.long || word.startsWith(`${option.long ?? ''}=`)))
  if (missing !== undefined) return `${command.name()} needs ${missing.long ?? ''}`
  return command.registeredArguments.filter(({ required }) => required).length > positionals ? `${command.name()} needs ${command.registeredArguments[positionals]?.name() ?? ''}` : undefined
}

/** Of the command itself, or of one above it: `ca rotate --json start`. */
function optionOf(command: Command, flag: string): Command['options'][number] | undefined {
  for (let at: Command | null = command; at !== null; at = at.parent) {
    const found = at.options.find((option) => option.long === flag || option.short === flag)
    if (found !== undefined) return found
  }
  return undefined
}

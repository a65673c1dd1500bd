// How a command looks: the options that all have, its example, and how an option is repeated.

import type { Command } from 'commander'

/** A command with the options that all have, and an example. */
export function verb(parent: Command, name: string, description: string, example: string): Command {
  return parent
    .command(name)
    .description(description)
    .option('--home <dir>', 'the home (default: SALLYPORT_HOME, or this folder)')
    .option('--json', 'answer in JSON')
    .addHelpText('after', `\nExample:\n  ${example}`)
    .exitOverride()
}

export const many = (value: string, before: readonly string[] = []): readonly string[] => [...before, value]

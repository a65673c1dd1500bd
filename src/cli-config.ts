// The commands about the configuration, and completion of all commands.

import { Argument, type Command } from 'commander'
import { verb } from './cli-verb.ts'

export function addConfig(cli: Command): void {
  const config = cli.command('config').description('The configuration: sallyport.yaml, the environment, defaults.').exitOverride()
  verb(config, 'check [file]', 'Look for what is wrong, and change nothing. Exit code 78 where something is.', 'sallyport config check ./acme/sallyport.yaml').action(async (file, options) => (await import('./commands/config.ts')).check(file, options))
  verb(config, 'show [key]', 'What the next start has, of all keys or those below one.', 'sallyport config show listen --origin')
    .option('--origin', 'with where each value comes from')
    .action(async (key, options) => (await import('./commands/config.ts')).show(key, options))
  verb(config, 'schema', 'Print the JSON Schema of sallyport.yaml, for editors.', 'sallyport config schema > sallyport.schema.json').action(async () => (await import('./commands/config.ts')).schema())
  verb(cli, 'reload', 'Have the running server read configuration, policy, trust and its certificate anew.', 'sallyport reload').action(async (options) => (await import('./commands/config.ts')).reload(options))
  cli.command('completion')
    .description('Print a script that completes commands, options and values.')
    .addArgument(new Argument('<shell>', 'for which shell').choices(['bash', 'zsh']))
    .addHelpText('after', '\nExample:\n  sallyport completion bash > /etc/bash_completion.d/sallyport')
    .exitOverride()
    .action(async (shell, _options, command: Command) => (await import('./commands/completion.ts')).completion(shell, command.parent ?? command))
}

// The commands about the configuration and the log of the running server, and completion of all commands.

import { Argument, Option, type Command } from 'commander'
import { verb } from './cli-verb.ts'
import { LOG_LEVELS, LOG_ROOMS } from './core/log-levels.ts'

export function addConfig(cli: Command): void {
  const config = cli.command('config').description('The configuration: sallyport.yaml, the environment, defaults.').exitOverride()
  verb(config, 'check [file]', 'Look for what is wrong, and change nothing. Exit code 78 where something is.', 'sallyport config check ./acme/sallyport.yaml').action(async (file, options) => (await import('./commands/config.ts')).check(file, options))
  verb(config, 'show [key]', 'What the next start has, of all keys or those below one.', 'sallyport config show listen --origin')
    .option('--origin', 'with where each value comes from')
    .action(async (key, options) => (await import('./commands/config.ts')).show(key, options))
  verb(config, 'schema', 'Print the JSON Schema of sallyport.yaml, for editors.', 'sallyport config schema > sallyport.schema.json').action(async () => (await import('./commands/config.ts')).schema())
  verb(cli, 'reload', 'Have the running server read configuration, policy, trust and its certificate anew.', 'sallyport reload').action(async (options) => (await import('./commands/config.ts')).reload(options))
  addLog(cli)
  cli.command('completion')
    .description('Print a script that completes commands, options and values.')
    .addArgument(new Argument('<shell>', 'for which shell').choices(['bash', 'zsh']))
    .addHelpText('after', '\nExample:\n  sallyport completion bash > /etc/bash_completion.d/sallyport')
    .exitOverride()
    .action(async (shell, _options, command: Command) => (await import('./commands/completion.ts')).completion(shell, command.parent ?? command))
}

function addLog(cli: Command): void {
  const log = cli.command('log').description('How much the running server says in its log.').exitOverride()
  verb(log, 'level', 'Have the server say more or less for a while. Then its configuration holds again.', 'sallyport log level debug --room broker --for 30m')
    .addArgument(new Argument('<level>', 'how much').choices([...LOG_LEVELS]))
    .addOption(new Option('--room <room>', 'only this part of the server').choices([...LOG_ROOMS]))
    .option('--for <duration>', 'how long: 90s, 15m, 24h (default: 15m)')
    .action(async (level, options) => (await import('./commands/log.ts')).level(level, options))
  verb(log, 'show', 'Which level each part of the server has, and until when.', 'sallyport log show').action(async (options) => (await import('./commands/log.ts')).show(options))
  verb(log, 'reset', 'The levels of the configuration, at once.', 'sallyport log reset').action(async (options) => (await import('./commands/log.ts')).reset(options))
}

// The commands about what is and what was: connections and refusals.

import { Option, type Command } from 'commander'
import { verb } from './cli-verb.ts'
import { STEPS } from './vocabulary.ts'

export function addLive(cli: Command): void {
  const connection = cli.command('connection').description('Who is connected.').exitOverride()
  verb(connection, 'list', 'Who is connected: from where, since when, with which certificate.', 'sallyport connection list --group sensors')
    .option('--device <id>', 'only of this device')
    .option('--group <name>', 'only devices of this group')
    .option('--find <text>', 'only where device, client id or address have this text')
    .option('--address <address>', 'only from this address')
    .addOption(new Option('--listener <name>', 'only through this door').choices(['mqtt', 'websocket']))
    .option('--after <cursor>', 'the "next" of the page before')
    .option('--limit <count>', 'connections on a page')
    .action(async (options) => (await import('./commands/connection.ts')).list(options))
  verb(connection, 'end <id>', 'End a connection. The device may come back; suspend it to keep it out.', 'sallyport connection end 42')
    .option('--yes', 'do not ask')
    .action(async (id, options) => (await import('./commands/connection.ts')).end(id, options))
  const refusal = cli.command('refusal').description('Who was refused.').exitOverride()
  verb(refusal, 'list', 'Refusals, newest first.', 'sallyport refusal list --step tls')
    .addOption(new Option('--step <step>', 'only at this step').choices([...STEPS]))
    .option('--reason <code>', 'only for this reason')
    .option('--device <id>', 'only of this device, or of who claimed its name')
    .option('--address <address>', 'only from this address')
    .option('--find <text>', 'only where any of its texts has this one')
    .option('--groups', 'count those of one reason and one peer together')
    .option('--after <cursor>', 'the "next" of the page before')
    .option('--limit <count>', 'refusals on a page')
    .action(async (options) => (await import('./commands/refusal.ts')).list(options))
  verb(refusal, 'show <id>', 'One refusal: all that is known of it, and where on its way the connection was stopped.', 'sallyport refusal show 1207').action(async (id, options) => (await import('./commands/refusal.ts')).show(id, options))
}

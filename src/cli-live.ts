// The commands about what is and what was: connections, refusals, and who is told of them.

import { InvalidArgumentError, Option, type Command } from 'commander'
import { many, verb } from './cli-verb.ts'
import { FEED_KINDS } from './core/feed.ts'
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
  addWebhook(cli)
}

function addWebhook(cli: Command): void {
  const webhook = cli.command('webhook').description('Programs elsewhere that are told what happens, by HTTPS.').exitOverride()
  verb(webhook, 'add <url>', 'Tell this URL what happens from now on. What its messages are signed with is shown now and never again.', 'sallyport webhook add https://hooks.example.org/fleet --events refusal --events detection')
    .addOption(new Option('--events <kind>', 'only events of this kind (repeatable): connection, refusal, registry, detection, policy, ca or server').argParser(kindsOf))
    .option('--name <name>', 'how it is called here (default: one is made)')
    .action(async (url, options) => (await import('./commands/webhook.ts')).add(url, options))
  verb(webhook, 'list', 'Who is told what, how far it is, and what does not arrive.', 'sallyport webhook list').action(async (options) => (await import('./commands/webhook.ts')).list(options))
  verb(webhook, 'remove <name>', 'Tell it nothing more, and forget what it was not told.', 'sallyport webhook remove pager')
    .option('--yes', 'do not ask')
    .action(async (name, options) => (await import('./commands/webhook.ts')).remove(name, options))
  verb(webhook, 'test <name>', 'Send it a message that says it is a test. Exit code 1 when it does not arrive.', 'sallyport webhook test pager').action(async (name, options) => (await import('./commands/webhook.ts')).test(name, options))
  verb(webhook, 'deliveries <name>', 'The last attempts, and the messages that were given up.', 'sallyport webhook deliveries pager').action(async (name, options) => (await import('./commands/webhook.ts')).deliveries(name, options))
  verb(webhook, 'retry <name>', 'Send what was given up once more, oldest first, until one does not arrive. Exit code 1 when some are left.', 'sallyport webhook retry pager')
    .option('--letter <id>', 'only this one')
    .action(async (name, options) => (await import('./commands/webhook.ts')).retry(name, options))
}

/** With a comma, too: --events refusal,detection. */
function kindsOf(value: string, before: readonly string[] = []): readonly string[] {
  const kinds = value.split(',')
  const unknown = kinds.find((kind) => !FEED_KINDS.some((known) => known === kind))
  if (unknown !== undefined) throw new InvalidArgumentError(`${unknown} is none of ${FEED_KINDS.join(', ')}.`)
  return kinds.reduce<readonly string[]>((all, kind) => many(kind, all), before)
}

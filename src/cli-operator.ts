// The commands about operators, as they are typed.

import { Option, type Command } from 'commander'
import { verb } from './cli-verb.ts'
import { ROLES } from './core/operator.ts'

export function addOperator(cli: Command): void {
  const operator = cli.command('operator').description('Who may use the admin API and the console, and for what.').exitOverride()
  verb(operator, 'add <name>', 'Make an operator: key, certificate, and a file for a browser.', 'sallyport operator add anna --role operator')
    .addOption(new Option('--role <role>', 'viewer looks; operator acts on devices, certificates and tokens; admin changes what holds for everybody').choices(ROLES).makeOptionMandatory())
    .option('--tenant <tenant>', 'sees and changes what is of this tenant alone')
    .option('--out <dir>', 'the folder (default: operators/NAME of the home)')
    .option('--password-file <file>', 'the password of browser.p12, its first line; without it one is made and shown')
    .action(async (name, options) => (await import('./commands/operator.ts')).add(name, options))
  verb(operator, 'renew <name>', 'Give an operator a further certificate. Those before it stay as they are.', 'sallyport operator renew anna --out anna-2027')
    .option('--out <dir>', 'the folder (default: operators/NAME of the home)')
    .option('--password-file <file>', 'the password of browser.p12, its first line; without it one is made and shown')
    .action(async (name, options) => (await import('./commands/operator.ts')).renew(name, options))
  verb(operator, 'list', 'Who there is, in which role, and until when the certificate lasts.', 'sallyport operator list')
    .option('--after <cursor>', 'the "next" of the page before')
    .option('--limit <count>', 'operators on a page')
    .action(async (options) => (await import('./commands/operator.ts')).list(options))
  verb(operator, 'role <name> <role>', `Give an operator another role: ${ROLES.join(', ')}. From the next request on.`, 'sallyport operator role anna viewer')
    .action(async (name, role, options) => (await import('./commands/operator.ts')).role(name, role, options))
  verb(operator, 'revoke <name>', 'End an operator, with all certificates.', 'sallyport operator revoke anna')
    .option('--yes', 'do not ask')
    .action(async (name, options) => (await import('./commands/operator.ts')).revoke(name, options))
}

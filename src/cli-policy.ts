// sallyport policy …: argv → one command. The commands are loaded when they are asked for.

import { Argument, Option, type Command } from 'commander'
import { many, verb } from './cli-verb.ts'

export function addPolicy(cli: Command): void {
  const policy = cli.command('policy').description('The policy.').exitOverride()
  verb(policy, 'check [file]', 'Check a policy: a file, and policy.d beside it.', 'sallyport policy check policy.yaml').action(async (file, options) => (await import('./commands/policy.ts')).check(file, options))
  verb(policy, 'schema', 'Print the JSON Schema of a policy, for editors.', 'sallyport policy schema > policy.schema.json').action(async () => (await import('./commands/policy-schema.ts')).schema())
  verb(policy, 'test <file...>', 'Run tests of a policy: what it must allow and deny. Exit code 1 when one fails.', 'sallyport policy test policy.test.yaml --junit report.xml')
    .option('--policy <file>', 'the policy to ask (default: the one that a file of tests names, or that of the home)')
    .option('--junit <file>', 'write a report in JUnit XML')
    .action(async (files, options) => (await import('./commands/policy-test.ts')).test(files, options))
  verb(policy, 'lint [file]', 'Look for what is hardly ever meant.', 'sallyport policy lint --fleet --strict')
    .option('--fleet', 'ask the devices of the registry, too')
    .option('--strict', 'exit code 1 when something is found')
    .action(async (file, options) => (await import('./commands/policy-lint.ts')).lint(file, options))
  addPolicyQuestions(policy)
  addPolicyChanges(policy)
  addPolicyTranslations(policy)
}

/** The terms of a question, and where and when it is asked. */
function asked(command: Command): Command {
  return command
    .addOption(new Option('--qos <qos>', 'with this QoS').choices(['0', '1', '2']))
    .option('--retain', 'as a retained message')
    .option('--bytes <count>', 'with a payload of this size')
    .option('--source <address>', 'from this address (default: not known)')
    .addOption(new Option('--tls <version>', 'over this version of TLS (default: not known)').choices(['1.2', '1.3']))
    .option('--at <instant>', 'at this time (default: now)')
    .option('--policy <file>', 'by this policy (default: the one in force)')
}

function addPolicyQuestions(policy: Command): void {
  asked(verb(policy, 'explain', 'Say whether a device may, by which rule, and what is missing.', 'sallyport policy explain --device sensor-7 --publish t/sensor-7/a --qos 1')
    .requiredOption('--device <id>', 'who')
    .option('--publish <topic>', 'may it publish to this topic?')
    .option('--subscribe <filter>', 'may it subscribe to this filter?')
    .option('--receive <topic>', 'may it be sent this topic?')
    .option('--will <topic>', 'may it have a Will on this topic?')
    .option('--connect <client id>', 'may it connect with this client id?')
    .option('--client-id <id>', 'as this client (default: the device id)'))
    .action(async (options) => (await import('./commands/policy-explain.ts')).explain(options))
  asked(verb(policy, 'who-can', 'List the devices that may, and by which rule.', 'sallyport policy who-can publish t/sensor-7/temperature')
    .addArgument(new Argument('<action>', 'what').choices(['publish', 'subscribe', 'receive', 'will']))
    .argument('<topic>', 'a topic, or for subscribe a filter')
    .option('--limit <count>', 'devices that are listed (default: 20); all are counted'))
    .action(async (action, topic, options) => (await import('./commands/policy-explain.ts')).whoCan(action, topic, options))
}

function addPolicyChanges(policy: Command): void {
  const changing = (name: string, description: string, example: string): Command =>
    verb(policy, name, description, example)
      .option('--base <generation>', 'only if this generation is still in force')
      .option('--dry-run', 'show and check; change nothing')
      .option('--force', 'even if no connected device keeps a grant, or an edit of the file is overwritten')
      .option('--yes', 'do not ask')
  verb(policy, 'diff [new]', 'Compare a policy with the one in force (default: the edited files of the home). Nothing changes.', 'sallyport policy diff new.yaml --fleet')
    .option('--from <old>', 'compare with this file, or this generation, instead')
    .option('--fleet', 'say which devices and sessions gain or lose what')
    .option('--limit <count>', 'devices that are listed (default: 20); all are counted')
    .action(async (file, options) => (await import('./commands/policy-diff.ts')).diff(file, options))
  changing('apply [file]', 'Check a policy, show what it changes, and put it in force (default: the edited files of the home).', 'sallyport policy apply new.yaml')
    .action(async (file, options) => (await import('./commands/policy-apply.ts')).apply(file, options))
  changing('rollback [generation]', 'Put a policy in force again that was (default: the one before).', 'sallyport policy rollback 4')
    .action(async (generation, options) => (await import('./commands/policy-apply.ts')).rollback(generation, options))
  verb(policy, 'history', 'List the policies that were in force, and by whom.', 'sallyport policy history').action(async (options) => (await import('./commands/policy-apply.ts')).history(options))
}

function addPolicyTranslations(policy: Command): void {
  const exporting = policy.command('export').description('The part of the policy that another broker can hold. Exit code 4 when it does not hold all.').exitOverride()
  verb(exporting, 'mosquitto', 'Make an ACL file.', 'sallyport policy export mosquitto --setting retain_available=false --out acl')
    .option('--policy <file>', 'the policy (default: that of the home)')
    .option('--setting <name=value>', 'what mosquitto.conf says: retain_available, max_qos, message_size_limit (repeatable)', many)
    .option('--out <file>', 'where the ACL file goes (default: it is printed)')
    .option('--force', 'replace a file that is there')
    .action(async (options) => (await import('./commands/policy-export.ts')).mosquitto(options))
  const importing = policy.command('import').description('Translate the policy of another broker: never wider, and line by line what is lost. Exit code 4 when something is.').exitOverride()
  const format = (name: string, description: string, example: string): Command =>
    verb(importing, name, description, example)
      .option('--out <file>', 'where the policy goes (default: it is printed)')
      .option('--force', 'replace a file that is there')
  format('mosquitto <file>', 'Translate an ACL file.', 'sallyport policy import mosquitto acl --out policy.yaml').action(async (file, options) => (await import('./commands/policy-import.ts')).mosquitto(file, options))
  format('emqx <file>', 'Translate an acl.conf.', 'sallyport policy import emqx acl.conf --out policy.yaml').action(async (file, options) => (await import('./commands/policy-import.ts')).emqx(file, options))
  format('aws <file...>', 'Translate the IoT policies that are attached together.', 'sallyport policy import aws sensors.json --out policy.yaml')
    .option('--to <whom>', 'the group that they are attached to, or any (default: the name of the first file)')
    .action(async (files, options) => (await import('./commands/policy-import.ts')).aws(files, options))
}

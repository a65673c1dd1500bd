// argv → one command. The commands are loaded when they are asked for, so that a short one starts fast. Failures become one
// sentence, a fix and an exit code; nothing else is ever printed for them.

import { Argument, Command, CommanderError, Option } from 'commander'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { FAILURES, SallyportError } from './core/errors.ts'
import { printable } from './core/ids.ts'
import { EXIT, REVOCATION_REASONS, type ExitCode } from './vocabulary.ts'

export const VERSION = (JSON.parse(readFileSync(path.resolve(import.meta.dirname, '../package.json'), 'utf8')) as { version: string }).version

const MESSAGE_LINE_CHARS_MAX = 400
const LINGER_MS = 200

/** Runs one command and sets the exit code of the process. */
export async function run(argv: readonly string[]): Promise<void> {
  // A reader that has seen enough (| head) is no failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? EXIT.ok : EXIT.failed))
  process.exitCode = await outcome(argv)
  // A handle that something left open must not keep a command alive that has ended: a start that failed is over.
  setTimeout(() => process.exit(), LINGER_MS).unref()
}

async function outcome(argv: readonly string[]): Promise<ExitCode> {
  try {
    await program().parseAsync([...argv], { from: 'user' })
    return (process.exitCode as ExitCode | undefined) ?? EXIT.ok
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage
    const failure = error instanceof SallyportError ? error : systemFailure(error)
    if (failure === undefined) throw error
    process.stderr.write(`sallyport: ${failure.message}\n${failure.fix === undefined ? '' : `fix: ${failure.fix}\n`}`)
    return FAILURES[failure.code]
  }
}

/** What the operating system says of a file, as a sentence. Anything else is a mistake of this program, and shows its stack. */
const SYSTEM: Readonly<Record<string, string>> = {
  EACCES: 'cannot be opened: permission denied', EPERM: 'cannot be changed: not permitted', ENOENT: 'is not there', EISDIR: 'is a folder, not a file',
  ENOTDIR: 'lies below something that is not a folder', ENOSPC: 'cannot be written: the disk is full', EROFS: 'cannot be written: the disk is read-only',
  EDQUOT: 'cannot be written: the quota is used up', EMFILE: 'cannot be opened: too many open files', EIO: 'cannot be read or written: the disk fails',
}

function systemFailure(error: unknown): SallyportError | undefined {
  const { code = '', path: file, syscall } = error as NodeJS.ErrnoException
  const sentence = Object.hasOwn(SYSTEM, code) ? SYSTEM[code] : undefined
  return sentence === undefined ? undefined : new SallyportError('internal', `${file ?? syscall ?? 'A file'} ${sentence}.`, { fix: 'Check the path, its owner and the disk.', cause: error })
}

function program(): Command {
  const cli = new Command('sallyport')
    .description('Device identity for fleets: certificate authority, enrollment desk, mutual-TLS MQTT broker, topic policy and revocation switch.')
    .version(VERSION)
    .exitOverride()
    .showHelpAfterError('fix: --help shows how.')
    .configureOutput({ outputError: (text, write) => write(shown(text).replace(/^error: /, 'sallyport: ')) })
    .configureHelp({ showGlobalOptions: true })
  addServe(cli)
  addCa(cli)
  addDevice(cli)
  addCert(cli)
  addPolicy(cli)
  addDetection(cli)
  addRest(cli)
  return cli
}

/** Arguments are repeated in messages: without control characters, and not for pages. */
function shown(text: string): string {
  return text.split('\n').map((line) => printable(line, MESSAGE_LINE_CHARS_MAX)).join('\n')
}

/** A command with the options that all have, and an example. */
function verb(parent: Command, name: string, description: string, example: string): Command {
  return parent
    .command(name)
    .description(description)
    .option('--home <dir>', 'the home (default: SALLYPORT_HOME, or this folder)')
    .option('--json', 'answer in JSON')
    .addHelpText('after', `\nExample:\n  ${example}`)
    .exitOverride()
}

const many = (value: string, before: readonly string[] = []): readonly string[] => [...before, value]

function addServe(cli: Command): void {
  verb(cli, 'serve', 'Serve: the first start makes everything that is missing.', 'sallyport serve --home ./acme --host mqtt.acme.example')
    .addOption(new Option('--ports <how>', 'auto picks free ports').choices(['auto', 'configured']).default('configured'))
    .option('--host <name>', 'a name or address for the server certificate (repeatable)', many)
    .action(async (options) => (await import('./commands/serve.ts')).serveCommand(options))
}

function addCa(cli: Command): void {
  const ca = cli.command('ca').description('The certificate authority.').exitOverride()
  verb(ca, 'init', 'Make the CA of this home, or import one.', 'sallyport ca init --import-cert issuing.pem --import-key issuing.key --import-chain root.pem')
    .option('--import-cert <file>', 'PEM of a root or an issuing CA')
    .option('--import-key <file>', 'PEM of its key, mode 0600')
    .option('--import-chain <file>', 'PEM of the chain up to the root')
    .option('--import-key-passphrase-file <file>', 'the passphrase of an encrypted key')
    .action(async (options) => (await import('./commands/ca.ts')).init(options))
  verb(ca, 'show', 'Show the CAs.', 'sallyport ca show').action(async (options) => (await import('./commands/ca.ts')).show(options))
}

function addDevice(cli: Command): void {
  const device = cli.command('device').description('Devices.').exitOverride()
  verb(device, 'add [id]', 'Register a device, or a file of them.', 'sallyport device add sensor-7 --group sensors --attr model=k2')
    .option('--group <name>', 'a group of the policy (repeatable)', many)
    .option('--attr <name=value>', 'an attribute (repeatable)', many)
    .option('--tenant <name>', 'the tenant that it belongs to (default: default)')
    .option('--file <csv>', 'a CSV file with the columns id, group (several: a;b) and attributes')
    .action(async (id, options) => (await import('./commands/device.ts')).add(id, options))
  verb(device, 'set <id>', 'Change its groups and attributes, for its live sessions, too.', 'sallyport device set sensor-7 --group line-2 --attr model=k3 --unset site')
    .option('--group <name>', 'all of its groups from now on (repeatable)', many)
    .option('--no-groups', 'it is in no group any longer')
    .option('--attr <name=value>', 'set an attribute (repeatable)', many)
    .option('--unset <name>', 'take an attribute away (repeatable)', many)
    .option('--revision <number>', 'only if nobody has changed it since')
    .action(async (id, options) => (await import('./commands/device.ts')).set(id, options))
  verb(device, 'list', 'List devices.', 'sallyport device list --group sensors --limit 20')
    .option('--group <name>', 'only of this group')
    .option('--state <state>', 'only in this state')
    .option('--after <cursor>', 'the "next" of the page before')
    .option('--limit <count>', 'devices on a page')
    .action(async (options) => (await import('./commands/device.ts')).list(options))
  verb(device, 'show <id>', 'Show a device and its certificates.', 'sallyport device show sensor-7').action(async (id, options) => (await import('./commands/device.ts')).show(id, options))
  verb(device, 'bundle <id>', 'Make key and certificate of a device.', 'sallyport device bundle sensor-7 --out ./sensor-7')
    .requiredOption('--out <dir>', 'the folder for device.pem, chain.pem, ca.pem, device.key and connection.json')
    .option('--force', 'replace a key that is there')
    .action(async (id, options) => (await import('./commands/device.ts')).bundle(id, options))
  verb(device, 'enroll <id>', 'Sign a request that the device made.', 'sallyport device enroll sensor-7 --csr sensor-7.csr --out sensor-7.pem')
    .requiredOption('--csr <file>', 'the request, PEM')
    .requiredOption('--out <file>', 'where the certificate and its chain go')
    .action(async (id, options) => (await import('./commands/device.ts')).enroll(id, options))
  for (const [action, what] of [['suspend', 'Close its sessions and refuse it until it is resumed.'], ['resume', 'Let a device back in.'], ['quarantine', 'Leave it what the policy grants in quarantine, and nothing else.'], ['retire', 'Close its sessions and refuse it for ever.']] as const) {
    verb(device, `${action} <id>`, what, `sallyport device ${action} sensor-7`)
      .option('--yes', 'do not ask')
      .action(async (id, options) => (await import('./commands/device.ts')).change(id, action, options))
  }
}

function addCert(cli: Command): void {
  const cert = cli.command('cert').description('Certificates.').exitOverride()
  verb(cert, 'list', 'List certificates.', 'sallyport cert list --device sensor-7')
    .option('--device <id>', 'only of this device')
    .option('--state <state>', 'only in this state')
    .option('--after <cursor>', 'the "next" of the page before')
    .option('--limit <count>', 'certificates on a page')
    .action(async (options) => (await import('./commands/cert.ts')).list(options))
  verb(cert, 'show <serial>', 'Show a certificate.', 'sallyport cert show 4925e6ef2117d57d4bdd1a1bfca3d44a').action(async (serial, options) => (await import('./commands/cert.ts')).show(serial, options))
  verb(cert, 'journal', 'What was planned and what came of it; revoke what nobody works on any more.', 'sallyport cert journal --state orphaned')
    .option('--state <state>', 'planned, issued or orphaned')
    .option('--clear', 'revoke the orphans: their serial numbers are never used again')
    .action(async (options) => (await import('./commands/cert-journal.ts')).journal(options))
  verb(cert, 'revoke', 'Revoke, and close the sessions at once.', 'sallyport cert revoke --device sensor-7 --reason keyCompromise')
    .option('--device <id>', 'all certificates of this device')
    .option('--serial <serial>', 'this certificate')
    .addOption(new Option('--reason <reason>', 'why, as RFC 5280 names it').choices(Object.keys(REVOCATION_REASONS)).default('unspecified'))
    .option('--yes', 'do not ask')
    .action(async (options) => (await import('./commands/cert.ts')).revoke(options))
}

function addPolicy(cli: Command): void {
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

function addDetection(cli: Command): void {
  const detection = cli.command('detection').description('Devices that behave as if somebody else had them.').exitOverride()
  verb(detection, 'list', 'Who is on the ladder: on which rung, since when, until when, and why.', 'sallyport detection list').action(async (options) => (await import('./commands/detection.ts')).list(options))
  verb(detection, 'clear <id>', 'Take a device off the ladder, and take back what the ladder did to it.', 'sallyport detection clear sensor-7').action(async (id, options) => (await import('./commands/detection.ts')).clear(id, options))
}

function addRest(cli: Command): void {
  verb(cli, 'why <device>', 'Why was this device refused?', 'sallyport why sensor-7').action(async (id, options) => (await import('./commands/why.ts')).why(id, options))
  const audit = cli.command('audit').description('The audit log.').exitOverride()
  verb(audit, 'tail', 'The last records.', 'sallyport audit tail --count 20')
    .option('--count <count>', 'how many', '20')
    .action(async (options) => (await import('./commands/audit.ts')).tail(options))
  verb(audit, 'verify', 'Verify the chain.', 'sallyport audit verify').action(async (options) => (await import('./commands/audit.ts')).verify(options))
  const doctor = verb(cli, 'doctor', 'Look for what is wrong in this home.', 'sallyport doctor').action(async (options) => (await import('./commands/doctor.ts')).doctor(options))
  verb(doctor, 'connect', 'Connect with a certificate, and say which check refuses it.', 'sallyport doctor connect --cert device.pem --key device.key')
    .requiredOption('--cert <file>', 'the certificate, with its chain')
    .requiredOption('--key <file>', 'its key')
    .option('--ca <file>', 'what the server is verified with (default: the root of this home)')
    .option('--host <name>', 'the server', 'localhost')
    .option('--port <port>', 'its port (default: that of the running server)')
    .action(async (options, command: Command) => (await import('./commands/doctor-connect.ts')).doctorConnect({ ...command.parent?.opts(), ...options }))
}

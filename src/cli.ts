// argv → one command. The commands are loaded when they are asked for, so that a short one starts fast. Failures become one
// sentence, a fix and an exit code; nothing else is ever printed for them.

import { Command, CommanderError, Option } from 'commander'
import { createRequire } from 'node:module'
import { addOperator } from './cli-operator.ts'
import { addConfig } from './cli-config.ts'
import { addPolicy } from './cli-policy.ts'
import { addLive } from './cli-live.ts'
import { many, verb } from './cli-verb.ts'
import { FAILURES, SallyportError } from './core/errors.ts'
import { harmless, printable } from './core/ids.ts'
import { EXIT, REVOCATION_REASONS, type ExitCode } from './vocabulary.ts'

export const VERSION = (createRequire(import.meta.url)('sallyport/package.json') as { readonly version: string }).version

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
    process.stderr.write(harmless(`sallyport: ${failure.message}\n${failure.fix === undefined ? '' : `fix: ${failure.fix}\n`}`))
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

/** All commands with their options, as commander holds them: what is parsed, completed and put into docs/cli.md. */
export function program(): Command {
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
  addEnrollment(cli)
  addPolicy(cli)
  addLive(cli)
  addOperator(cli)
  addDetection(cli)
  addBackup(cli)
  addRest(cli)
  addConfig(cli)
  return cli
}

/** Arguments are repeated in messages: without control characters, and not for pages. */
function shown(text: string): string {
  return text.split('\n').map((line) => printable(line, MESSAGE_LINE_CHARS_MAX)).join('\n')
}

function addServe(cli: Command): void {
  verb(cli, 'serve', 'Serve: the first start makes everything that is missing.', 'sallyport serve --home ./acme --host mqtt.acme.example')
    .addOption(new Option('--ports <how>', 'auto picks free ports').choices(['auto', 'configured']).default('configured'))
    .option('--host <name>', 'a name or address for the server certificate (repeatable)', many)
    .option('--set <key=value>', 'any key of the configuration, as listen.mqtt.port=8884 (repeatable)', many)
    .action(async (options) => (await import('./commands/serve.ts')).serveCommand(options))
  verb(cli, 'console', 'Print a link that opens the console once, in a browser on this machine.', 'sallyport console')
    .action(async (options) => (await import('./commands/console.ts')).consoleCommand(options))
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
  addCaRotation(ca)
  verb(ca, 'csr', 'Make a request for the next issuing CA, to be signed elsewhere. Its key stays here.', 'sallyport ca csr --out issuing-2.csr')
    .option('--out <file>', 'where the request goes (default: it is printed)')
    .action(async (options) => (await import('./commands/ca-import.ts')).csr(options))
  verb(ca, 'import', 'Take in the certificate for that request. Go on with: ca rotate trust.', 'sallyport ca import --cert issuing-2.pem --chain root.pem')
    .requiredOption('--cert <file>', 'PEM of the issuing CA')
    .option('--chain <file>', 'PEM of the chain up to the root, where the root is not one of this home')
    .option('--ids <pattern>', 'device ids that it may name, as plant-7-* (repeatable; \'*\' for any; default: as the one before)', many)
    .action(async (options) => (await import('./commands/ca-import.ts')).importIssuing(options))
  verb(ca, 'export-root-key', 'Write the key of a root to a file.', 'sallyport ca export-root-key --out root.key --passphrase-file root.pass')
    .requiredOption('--out <file>', 'where it goes; a file that is there is not overwritten')
    .option('--ca <name>', 'which root (default: the current one)')
    .option('--passphrase-file <file>', 'seal it with the passphrase in this file (default: that of this home)')
    .option('--pem', 'as encrypted PKCS#8, for other programs; needs --passphrase-file')
    .action(async (options) => (await import('./commands/ca-root-key.ts')).exportKey(options))
  verb(ca, 'remove-root-key', 'Take the key of a root out of this home, where an export of it is at hand.', 'sallyport ca remove-root-key --exported root.key --passphrase-file root.pass')
    .requiredOption('--exported <file>', 'the file that ca export-root-key wrote: it is opened, and must hold that key')
    .option('--ca <name>', 'which root (default: the current one)')
    .option('--passphrase-file <file>', 'the passphrase of that file')
    .option('--yes', 'do not ask')
    .action(async (options) => (await import('./commands/ca-root-key.ts')).removeKey(options))
}

function addCaRotation(ca: Command): void {
  const rotate = verb(ca, 'rotate', 'Replace the issuing CA, or the root, while devices are connected: which step is next, and what it does.', 'sallyport ca rotate').action(async (options) => (await import('./commands/ca-rotate.ts')).next(options))
  const step = (name: string, description: string): Command =>
    verb(rotate, name, description, `sallyport ca rotate ${name}`)
      .option('--dry-run', 'say what it would do and who would break; change nothing')
      .action(async (options, command: Command) => (await import('./commands/ca-rotate.ts')).step(name, { ...rotate.opts(), ...command.opts(), ...options }))
  const lent = (command: Command): Command =>
    command
      .option('--root-key <file>', 'the key of the root, where it was taken out of this home; it is used for this step and kept nowhere')
      .option('--root-key-passphrase-file <file>', 'the passphrase of that file')
  lent(step('start', '1. Make the new CA.').option('--root', 'below a new root')
    .option('--ids <pattern>', 'device ids that it may name, as plant-7-* (repeatable; \'*\' for any; default: as the one before)', many)
    .option('--unit <name>', 'put all its subjects into this organisational unit, and have X.509 permit it no others (\'*\' for no limit; default: as the one before)'))
  step('trust', '2. The door takes its certificates, and devices are given both roots.')
  lent(step('cross-sign', '3. Of a new root: old and new root vouch for each other.'))
  step('switch', '4. New certificates come from it.')
  step('retire', '5. The old one is trusted no longer. Refused while devices have certificates of it.')
    .option('--force', 'revoke what is still in force, and end its sessions')
    .option('--yes', 'do not ask')
  step('abort', 'Give the new CA up, before the switch.')
  verb(rotate, 'status', 'Who depends on which CA: certificates, devices, sessions.', 'sallyport ca rotate status').action(async (options) => (await import('./commands/ca-rotate.ts')).status({ ...rotate.opts(), ...options }))
}

function addDevice(cli: Command): void {
  const device = cli.command('device').description('Devices.').exitOverride()
  verb(device, 'add <id>', 'Register a device; a file of them: device import.', 'sallyport device add sensor-7 --group sensors --attr model=k2')
    .option('--group <name>', 'a group of the policy (repeatable)', many)
    .option('--attr <name=value>', 'an attribute (repeatable)', many)
    .option('--tenant <name>', 'the tenant that it belongs to (default: default)')
    .action(async (id, options) => (await import('./commands/device.ts')).add(id, options))
  addDeviceImport(device)
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
    .option('--tenant <name>', 'only of this tenant')
    .option('--find <text>', 'only those with this in their id')
    .option('--attr <name=value>', 'only those that have this attribute')
    .option('--expiring <duration>', 'only those whose certificates end within this time: 24h, 30d')
    .option('--after <cursor>', 'the "next" of the page before')
    .option('--limit <count>', 'devices on a page')
    .action(async (options) => (await import('./commands/device.ts')).list(options))
  verb(device, 'show <id>', 'Show a device and its certificates.', 'sallyport device show sensor-7').action(async (id, options) => (await import('./commands/device.ts')).show(id, options))
  verb(device, 'bundle <id>', 'Make key and certificate of a device.', 'sallyport device bundle sensor-7 --out ./sensor-7')
    .requiredOption('--out <path>', 'the folder for device.pem, chain.pem, ca.pem, device.key and connection.json, or the file of another format')
    .addOption(new Option('--format <format>', 'a folder of PEM files, a zip archive of them, a header for firmware in C, or PKCS#12').choices(['pem', 'zip', 'c-header', 'p12']).default('pem'))
    .option('--password-file <file>', 'the password of a PKCS#12 file, ASCII (default: one is made and shown)')
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

function addDeviceImport(device: Command): void {
  verb(device, 'import <file>', 'Register a file of devices: CSV, or NDJSON where its name ends so. Interrupted, it is resumed. Exit code 4 when a row is refused.', 'sallyport device import devices.csv --group sensors --dry-run')
    .option('--group <name>', 'a group for every device, besides its own (repeatable)', many)
    .option('--dry-run', 'judge every row, and write nothing')
    .addOption(new Option('--bundle <kind>', 'what every device gets').choices(['pem', 'zip', 'c-header', 'p12', 'sheet']))
    .option('--out <path>', 'the folder for bundles and certificates, or the file of the sheet')
    .option('--password-file <file>', 'one password for all PKCS#12 files (default: each has its own, in the results)')
    .option('--expires <duration>', 'how long one-time passwords can be used, of a sheet or of a column', '30d')
    .option('--per-page <count>', 'one-time passwords on a page of the sheet', '6')
    .option('--resume', 'go on where an interrupted import stopped')
    .action(async (file, options) => (await import('./commands/device-import.ts')).importFile(file, options))
}

function addCert(cli: Command): void {
  const cert = cli.command('cert').description('Certificates.').exitOverride()
  verb(cert, 'list', 'List certificates.', 'sallyport cert list --device sensor-7')
    .option('--device <id>', 'only of this device')
    .option('--state <state>', 'only in this state')
    .option('--token <name>', 'only what came through this token, renewals included')
    .option('--after <cursor>', 'the "next" of the page before')
    .option('--limit <count>', 'certificates on a page')
    .action(async (options) => (await import('./commands/cert.ts')).list(options))
  verb(cert, 'show <serial>', 'Show a certificate.', 'sallyport cert show 4925e6ef2117d57d4bdd1a1bfca3d44a').action(async (serial, options) => (await import('./commands/cert.ts')).show(serial, options))
  verb(cert, 'expiring', 'What ends soon: CAs, credentials of the server, certificates of devices. Exit code 1 where something does.', 'sallyport cert expiring --within 30d --group sensors')
    .option('--within <duration>', 'in this time: 24h, 30d', '30d')
    .option('--group <name>', 'only devices of this group')
    .option('--after <cursor>', 'the "next" of the page before')
    .option('--limit <count>', 'certificates on a page')
    .action(async (options) => (await import('./commands/cert-expiring.ts')).expiring(options))
  verb(cert, 'renew', 'Ask devices to renew now; they are told over MQTT, those that are away when they come.', 'sallyport cert renew --group sensors --over 6h')
    .option('--device <id>', 'this device')
    .option('--group <name>', 'those of this group')
    .option('--ca <name>', 'those with a certificate of this CA')
    .option('--issued-before <time>', 'those whose certificate was issued before this time')
    .option('--over <duration>', 'spread over this time (default: 1h, of one device now)')
    .option('--dry-run', 'count them, and name the first; ask nobody')
    .option('--status', 'the orders that are open, and how far each has come')
    .option('--end <order>', 'ask nobody else by this order')
    .addOption(new Option('--own <credential>', 'issue the certificate of the server or the operator anew').choices(['server', 'operator']))
    .action(async (options) => (await import('./commands/cert-renew.ts')).renew(options))
  verb(cert, 'journal', 'What was planned and what came of it; revoke what nobody works on any more.', 'sallyport cert journal --state orphaned')
    .option('--state <state>', 'planned, issued or orphaned')
    .option('--by <who>', 'only what these have planned: operator, token, claim, manufacturer, device, local or system, or one of them, as operator:NAME')
    .option('--token <name>', 'only what came through this token, renewals included')
    .option('--clear', 'revoke the orphans: their serial numbers are never used again')
    .action(async (options) => (await import('./commands/cert-journal.ts')).journal(options))
  verb(cert, 'revoke', 'Revoke, and close the sessions at once.', 'sallyport cert revoke --device sensor-7 --reason keyCompromise')
    .option('--device <id>', 'all certificates of this device')
    .option('--serial <serial>', 'this certificate')
    .option('--group <name>', 'those of all devices of this group')
    .option('--ca <name>', 'those of devices that this CA has issued')
    .option('--token <name>', 'what came through this enrollment token, renewals included, and the token itself')
    .option('--claim <name>', 'the same of a claim, with its own certificate')
    .option('--issued-after <time>', 'those that were issued at this time or later')
    .option('--issued-before <time>', 'those that were issued before this time')
    .option('--dry-run', 'count them, and name the first devices; revoke nothing')
    .option('--reason <reason>', `why, as RFC 5280 names it: ${Object.keys(REVOCATION_REASONS).join(', ')}`, 'unspecified')
    .option('--yes', 'do not ask')
    .action(async (options) => (await import('./commands/cert.ts')).revoke(options))
}

function addEnrollment(cli: Command): void {
  const token = cli.command('token').description('Enrollment tokens: what a first certificate is had with.').exitOverride()
  verb(token, 'create', 'Make a token. What proves it is a secret, shown now and never again; or the certificate of a claim, or of a manufacturer.', 'sallyport token create --id sensor-9 --expires 24h')
    .option('--claim <dir>', 'proven by a certificate, for a line of production: the folder for claim.pem, ca.pem and claim.key')
    .option('--csr <file>', 'the request for that certificate, PEM; without it the key is made here')
    .option('--manufacturer <ca>', 'proven by certificates of this CA of trust: in sallyport.yaml, each for the device that it names')
    .addOption(new Option('--name-from <attribute>', 'where they name it (default: CN)').choices(['CN', 'serialNumber']))
    .option('--prefix <text>', 'what stands before that name in the device id')
    .option('--id <id>', 'for this device')
    .option('--pattern <pattern>', 'for every device whose id fits, as in line-1-*')
    .option('--register', 'a device that is not registered is registered with its first use')
    .option('--group <name>', 'the groups of devices that it registers (repeatable)', many)
    .option('--uses <count>', 'how many devices or keys it is good for (default: 1; of a manufacturer, as many as it makes)')
    .option('--expires <duration>', 'how long it can be used: 90s, 15m, 24h, 30d (default: 24h; of a claim 30d, of a manufacturer 366d)')
    .option('--cidr <network>', 'only from this network (repeatable)', many)
    .addOption(new Option('--approve <how>', 'operator: each enrollment waits until one approves it').choices(['auto', 'operator']).default('auto'))
    .action(async (options) => (await import('./commands/token.ts')).create(options))
  verb(token, 'list', 'List tokens, without their secrets.', 'sallyport token list')
    .option('--after <cursor>', 'the "next" of the page before')
    .option('--limit <count>', 'tokens on a page')
    .action(async (options) => (await import('./commands/token.ts')).list(options))
  for (const [name, suspended, what] of [['suspend', true, 'Refuse a token until it is resumed.'], ['resume', false, 'Let a token be used again.']] as const) {
    verb(token, `${name} <name>`, what, `sallyport token ${name} 7QF2M9AK`).action(async (token, options) => (await import('./commands/token.ts')).suspend(token, suspended, options))
  }
  verb(token, 'revoke <name>', 'End a token. Who has its certificate keeps it.', 'sallyport token revoke 7QF2M9AK').action(async (name, options) => (await import('./commands/token.ts')).revoke(name, options))
  const enrollment = cli.command('enrollment').description('Enrollments that wait for an operator.').exitOverride()
  verb(enrollment, 'list', 'Who waits, from where, with which key.', 'sallyport enrollment list')
    .addOption(new Option('--state <state>', 'those in this state').choices(['pending', 'approved', 'rejected']).default('pending'))
    .option('--after <cursor>', 'the "next" of the page before')
    .option('--limit <count>', 'enrollments on a page')
    .action(async (options) => (await import('./commands/token.ts')).enrollments(options))
  for (const [name, state, what] of [['approve', 'approved', 'It gets its certificate when it asks again.'], ['reject', 'rejected', 'This key gets none with this token.']] as const) {
    verb(enrollment, `${name} <id>`, what, `sallyport enrollment ${name} 7QF2M9AK-9f86d081884c`).action(async (id, options) => (await import('./commands/token.ts')).decide(id, state, options))
  }
}

function addDetection(cli: Command): void {
  const detection = cli.command('detection').description('Devices that behave as if somebody else had them.').exitOverride()
  verb(detection, 'list', 'Who is on the ladder: on which rung, since when, until when, and why.', 'sallyport detection list').action(async (options) => (await import('./commands/detection.ts')).list(options))
  verb(detection, 'clear <id>', 'Take a device off the ladder, and take back what the ladder did to it.', 'sallyport detection clear sensor-7').action(async (id, options) => (await import('./commands/detection.ts')).clear(id, options))
}

function addBackup(cli: Command): void {
  const backup = cli.command('backup').description('Backups of a home.').exitOverride()
  verb(backup, 'create', 'Save a home in one file, beside a running server, too.', 'sallyport backup create --out acme.backup')
    .requiredOption('--out <file>', 'where it goes; nothing is written over')
    .option('--sessions', 'with what is kept for sessions: queues, retained messages, Wills')
    .option('--with-passphrase', 'with the passphrase of the CA: the file is then all that a thief needs')
    .action(async (options) => (await import('./commands/backup.ts')).create(options))
  verb(backup, 'verify <file>', 'Look whether a backup is whole: hashes, databases, audit chain, CA key.', 'sallyport backup verify acme.backup')
    .option('--passphrase-file <file>', 'the passphrase that has to open the CA key')
    .action(async (file, options) => (await import('./commands/backup.ts')).verify(file, options))
  verb(backup, 'restore <file>', 'Make a home from a backup. What the home there knows and the backup does not is never forgotten without a word.', 'sallyport backup restore acme.backup --home ./acme')
    .option('--reimport', 'take over what the registry of the home knows and the backup does not')
    .option('--audit <file>', 'take revocations over from this audit log, which goes on after the backup')
    .option('--accept-loss', 'go back all the same')
    .option('--passphrase-file <file>', 'the passphrase that has to open the CA key')
    .option('--yes', 'do not ask')
    .action(async (file, options) => (await import('./commands/backup.ts')).restore(file, options))
}

function addRest(cli: Command): void {
  verb(cli, 'why <device>', 'Why was this device refused?', 'sallyport why sensor-7').action(async (id, options) => (await import('./commands/why.ts')).why(id, options))
  const audit = cli.command('audit').description('The audit log.').exitOverride()
  verb(audit, 'tail', 'The last records.', 'sallyport audit tail --count 20')
    .option('--count <count>', 'how many', '20')
    .action(async (options) => (await import('./commands/audit.ts')).tail(options))
  verb(audit, 'list', 'All records, newest first, in pages; those that fit. A page may be short, and not be the last.', 'sallyport audit list --action device-changed --find pump-7')
    .option('--action <name>', 'only where this happened, as device-changed or refusal')
    .option('--device <id>', 'only of this device, or of who claimed its name')
    .option('--find <text>', 'only where something in it has this text')
    .option('--after <cursor>', 'the "next" of the page before')
    .option('--limit <count>', 'records on a page')
    .action(async (options) => (await import('./commands/audit.ts')).list(options))
  verb(audit, 'verify', 'Verify the chain.', 'sallyport audit verify').action(async (options) => (await import('./commands/audit.ts')).verify(options))
  verb(cli, 'health', 'Ask the running server whether it is well, and what is not.', 'sallyport health').action(async (options) => (await import('./commands/health.ts')).health(options))
  const doctor = verb(cli, 'doctor', 'Look for what is wrong in this home.', 'sallyport doctor').action(async (options) => (await import('./commands/doctor.ts')).doctor(options))
  verb(doctor, 'connect', 'Connect with a certificate, and say which check refuses it.', 'sallyport doctor connect --cert device.pem --key device.key')
    .requiredOption('--cert <file>', 'the certificate, with its chain')
    .requiredOption('--key <file>', 'its key')
    .option('--ca <file>', 'what the server is verified with (default: the root of this home)')
    .option('--host <name>', 'the server', 'localhost')
    .option('--port <port>', 'its port (default: that of the running server)')
    .action(async (options, command: Command) => (await import('./commands/doctor-connect.ts')).doctorConnect({ ...command.parent?.opts(), ...options }))
}

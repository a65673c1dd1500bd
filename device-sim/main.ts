// `npm run sim`: argv → one run, and its end: printed, written down, and told by the exit code. Composition only; whoever
// interrupts it gets what there is, and finds no server and no folder left behind.

import { writeFile } from 'node:fs/promises'
import { Command, CommanderError, InvalidArgumentError } from 'commander'
import { EXIT, type ExitCode } from '../src/vocabulary.ts'
import { speaksStarterTopics } from './acl.ts'
import { audit, auditAll, factsOf, onStage, type Stage } from './audit.ts'
import { catalogueText, chooseCases, closest, type CaseWishes } from './case-choice.ts'
import { isStarted, type TargetWishes } from './chosen-target.ts'
import { SimError } from './failure.ts'
import { runFleet } from './fleet.ts'
import { openIdentityCache, whyNotKept } from './identity-cache.ts'
import { handshakeText, tellHandshake, tellOneWay } from './handshake.ts'
import { SIM_LIMITS } from './limits.ts'
import type { Qos } from './load/light-peer.ts'
import { compare, compareText } from './report/compare.ts'
import { refuseUnwritable, reportText, writeReport, type RunReport } from './report/json-file.ts'
import { junitOf } from './report/junit.ts'
import { leaveBehind } from './report/left-behind.ts'
import { readReport } from './report/read-report.ts'
import { packListText } from './report/pack-text.ts'
import { scenarioPage } from './report/scenario-page.ts'
import { scenarioPicture } from './report/scenario-picture.ts'
import { scenarioText } from './report/scenario-text.ts'
import { aftermathText } from './report/aftermath-text.ts'
import { casesText, fleetText, paperOf } from './report/text.ts'
import { readScenarioFile } from './scenario/read-scenario.ts'
import { loadScenario, soakScenario, stormScenario, type LoadWishes, type SoakWishes, type StormWishes } from './scenario/ready-made.ts'
import { operatorStep } from './scenario/operator.ts'
import { runScenario } from './scenario/run-scenario.ts'
import type { Scenario } from './scenario/scenario.ts'
import { openSources } from './target.ts'

interface CommonOptions extends TargetWishes {
  readonly json?: string
  readonly html?: string
  readonly junit?: string
}

interface AttackOptions extends CommonOptions, CaseWishes {
  readonly list?: true
}

interface HandshakeOptions extends CommonOptions {
  readonly explain?: true
  readonly oneWay?: true
}

interface CacheOptions {
  readonly cache?: string
}

type PlayOptions = CommonOptions & CacheOptions
type LoadOptions = PlayOptions & LoadWishes
type StormOptions = CommonOptions & StormWishes
type SoakOptions = CommonOptions & SoakWishes

type Outcome = Pick<RunReport, 'ok' | 'fleet' | 'cases' | 'aftermath' | 'scenario'>

/** Runs one verb and sets the exit code of the process. */
export async function run(argv: readonly string[]): Promise<void> {
  const ending = new AbortController()
  const end = (): void => ending.abort()
  // Ctrl-C, the end of the terminal, and a reader that has seen enough (| head): the server must not outlive any of them.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, end)
  for (const stream of [process.stdout, process.stderr]) stream.on('error', end)
  // A mistake in one case must not leave a server behind, either.
  const faults: Error[] = []
  process.on('uncaughtException', (fault) => {
    faults.push(fault)
    end()
  })
  try {
    process.exitCode = await outcome(argv, ending.signal)
    for (const fault of faults) process.stderr.write(`sim: ${fault.stack ?? fault.message}\n`)
    if (faults.length > 0) process.exitCode = EXIT.failed
  } finally {
    // What an interrupted case still has open must not keep a run alive that has ended.
    setTimeout(() => process.exit(), SIM_LIMITS.lingerMs).unref()
  }
}

async function outcome(argv: readonly string[], signal: AbortSignal): Promise<ExitCode> {
  try {
    let code: ExitCode = EXIT.ok
    await program(signal, (ended) => void (code = ended)).parseAsync([...argv], { from: 'user' })
    return code
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage
    if (signal.aborted) {
      process.stderr.write('sim: interrupted before there was a result\n')
      return EXIT.interrupted
    }
    if (!(error instanceof SimError)) throw error
    process.stderr.write(`sim: ${error.message}\n`)
    return EXIT[error.code]
  }
}

/** All verbs with their options, as commander holds them: what is parsed, and put into docs/cli.md. */
export function program(signal: AbortSignal, ended: (code: ExitCode) => void): Command {
  const sim = common(new Command('sim'), 'Run a fleet and then every attack, on a home and server of its own.', 'npm run sim -- --json report.json')
    .enablePositionalOptions()
    // So that a mistyped verb can be told from an argument.
    .allowExcessArguments()
    .action(async (options: CommonOptions, command: Command) => {
      const [verb] = command.args
      if (verb !== undefined) throw unknownVerb(verb, command)
      ended(await perform(options, signal, simulate))
    })
  common(sim.command('attack'), 'Run attacks only. Each must be refused, beside something that must work.', 'npm run sim -- attack --case T01,T02 --json report.json')
    .option('--case <ids>', 'only these cases, separated by commas')
    .option('--family <names>', 'only these families, separated by commas')
    .option('--pack <names>', 'the story of an attack that mutual TLS exists to stop; --list shows all')
    .option('--floods', 'send floods to a target that is not this machine, too')
    .option('--list', 'say what the cases are, and run none')
    .action(async (options: AttackOptions) => {
      const cases = chooseCases(options)
      const everything = options.case === undefined && options.family === undefined && options.pack === undefined
      if (options.list === true) return void process.stdout.write(`${catalogueText(cases)}${everything ? `\n${packListText()}` : ''}`)
      ended(await auditAll(options, cases, signal))
    })
  common(sim.command('load'), 'Connect many devices and publish at a given rate.', 'npm run sim -- load --devices 1000 --rate 2000 --seconds 30')
    .requiredOption('--devices <count>', 'each with a certificate of its own', whole('devices', SIM_LIMITS.loadDevicesMax))
    .requiredOption('--rate <per second>', 'messages of all devices together', whole('rate', SIM_LIMITS.loadRatePerSecondMax))
    .requiredOption('--seconds <count>', 'how long', whole('seconds', SIM_LIMITS.loadSecondsMax))
    .option('--qos <qos>', '0, 1 or 2', qos, 1 as const)
    .option(...CACHE)
    .action(async (options: LoadOptions) => ended(await perform(options, signal, (stage) => play(stage, loadScenario(options), options))))
  common(sim.command('storm'), 'All devices lose their connections at once, and come back.', 'npm run sim -- storm --devices 1000')
    .requiredOption('--devices <count>', 'each with a certificate of its own', whole('devices', SIM_LIMITS.loadDevicesMax))
    .option('--backoff-seconds <count>', 'a device comes back after a random time up to this', whole('backoff-seconds', SIM_LIMITS.stormBackoffSecondsMax), 2)
    .action(async (options: StormOptions) => ended(await perform(options, signal, (stage) => play(stage, stormScenario(options), {}))))
  common(sim.command('soak'), 'Traffic like night and day for a long time, and a storm half-way.', 'npm run sim -- soak --devices 200 --rate 500 --minutes 480 --html soak.html')
    .requiredOption('--devices <count>', 'each with a certificate of its own', whole('devices', SIM_LIMITS.loadDevicesMax))
    .requiredOption('--rate <per second>', 'messages of all devices together, at noon', whole('rate', SIM_LIMITS.loadRatePerSecondMax))
    .requiredOption('--minutes <count>', 'how long', whole('minutes', SIM_LIMITS.loadSecondsMax / 60))
    .action(async (options: SoakOptions) => ended(await perform(options, signal, (stage) => play(stage, soakScenario(options), {}))))
  common(sim.command('run'), 'Play a scenario: groups of devices, phase after phase, held to what the file expects.', 'npm run sim -- run device-sim/scenarios/revoke-under-load.yaml')
    .argument('<scenario>', 'a file, or the name of one that comes along (device-sim/scenarios), as first-day')
    .option(...CACHE)
    .action(async (file: string, options: PlayOptions) => {
      const scenario = await readScenarioFile(file)
      ended(await perform(options, signal, (stage) => play(stage, scenario, options)))
    })
  common(sim.command('handshake'), 'Shake hands as a device, and show the seven steps with the real certificates.', 'npm run sim -- handshake --explain')
    .option('--explain', 'say of each step what it is for, and what it stops')
    .option('--one-way', 'what plain TLS leaves open, beside it')
    .action(async (options: HandshakeOptions) => ended(await perform(options, signal, (stage) => handshake(stage, options))))
  sim.command('report')
    .description('The page of a scenario that was played before.')
    .argument('<report>', 'the JSON file of a run')
    .requiredOption('--html <file>', 'where to write it')
    .addHelpText('after', '\nExample:\n  npm run sim -- report report.json --html report.html')
    .exitOverride()
    .action(async (file: string, { html }: { readonly html: string }) => {
      await refuseUnwritable('--html', html)
      const report = await readReport(file)
      if (report.scenario === undefined) throw new SimError('usage', `${file} is no report of a scenario: sim run writes one with --json.`)
      await writeFile(html, scenarioPage(report, report.scenario))
    })
  sim.command('compare')
    .description('Two runs side by side: what became worse.')
    .argument('<before>', 'the JSON file of a run')
    .argument('<after>', 'that of a later one')
    .option('--worse-by <percent>', 'a time may become longer by this', whole('worse-by', 1_000), 20)
    .addHelpText('after', '\nExample:\n  npm run sim -- compare yesterday.json today.json --worse-by 30')
    .exitOverride()
    .action(async (before: string, after: string, { worseBy }: { readonly worseBy: number }) => {
      const changes = compare(await readReport(before), await readReport(after), worseBy / 100)
      process.stdout.write(compareText(changes, paperOf(process.stdout)))
      ended(changes.some(({ verdict }) => verdict === 'worse') ? EXIT.failed : EXIT.ok)
    })
  return sim
}

const CACHE = ['--cache <folder>', 'of a target that stays: keep its devices there, and begin with them next time'] as const

function common(command: Command, description: string, example: string): Command {
  return command
    .description(description)
    .option('--target <target>', 'a home that is being served on this machine, mqtts://host:port, or what is started: sallyport, mosquitto (default: sallyport)')
    .option('--address <url>', 'mqtts://host:port, where that home is reached')
    .option('--ca <file>', 'of mqtts://…: what devices trust, PEM')
    .option('--issuer-cert <file>', 'of mqtts://…: the CA that issues to devices, PEM')
    .option('--issuer-key <file>', 'of mqtts://…: its key, with which devices are made, PEM')
    .option('--acl <file>', 'of mqtts://…: what devices may publish and subscribe, YAML (default: as in the starter policy)')
    .option('--server-name <name>', 'of mqtts://…: the name in the certificate of the server, where it is not that of the address')
    .option('--i-own-this-target', 'the target is not this machine, and it is yours')
    .option('--json <file>', 'write the result there, too')
    .option('--junit <file>', 'the verdicts as JUnit XML')
    .option('--html <file>', 'the same as a page: of a scenario (without --html and --json both are left in reports/), or of attacks, where several targets (separated by commas) stand side by side')
    .addHelpText('after', `\nExample:\n  ${example}`)
    .exitOverride()
    .showHelpAfterError('fix: --help shows how.')
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'sim: ')) })
}

function unknownVerb(verb: string, sim: Command): SimError {
  const near = closest(verb, sim.commands.map((command) => command.name()))
  return new SimError('usage', `There is no ${JSON.stringify(verb)}.${near === undefined ? '' : ` Did you mean ${near}?`} --help shows how.`)
}

function whole(name: string, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : 0
    if (value < 1 || value > max) throw new InvalidArgumentError(`${name} must be a whole number from 1 to ${max}.`)
    return value
  }
}

function qos(text: string): Qos {
  const found = ([0, 1, 2] as const).find((each) => String(each) === text)
  if (found === undefined) throw new InvalidArgumentError('It is 0, 1 or 2.')
  return found
}

/** Chooses the target, does the work, ends what it began, and only then writes the report. */
async function perform(options: CommonOptions, signal: AbortSignal, work: (stage: Stage) => Promise<Outcome>): Promise<ExitCode> {
  for (const [option, file] of [['--json', options.json], ['--html', options.html], ['--junit', options.junit]] as const) if (file !== undefined) await refuseUnwritable(option, file)
  const started = new Date()
  const report = await onStage(options, signal, async (stage): Promise<RunReport> => {
    const outcome = await work(stage)
    const interrupted = signal.aborted
    return { startedAt: started.toISOString(), durationMs: Date.now() - started.getTime(), target: factsOf(stage.chosen), interrupted, ...outcome, ok: outcome.ok && !interrupted }
  })
  if (options.json !== undefined) await writeReport(options.json, report)
  if (options.junit !== undefined) await writeFile(options.junit, junitOf(report))
  if (options.html !== undefined && report.scenario !== undefined) await writeFile(options.html, scenarioPage(report, report.scenario))
  if (options.html === undefined && options.json === undefined && report.scenario !== undefined) {
    process.stdout.write(await leaveBehind(report.scenario.name, { page: scenarioPage(report, report.scenario), json: reportText(report) }, 'reports'))
  }
  if (report.interrupted) process.stderr.write('sim: interrupted\n')
  return report.interrupted ? EXIT.interrupted : report.ok ? EXIT.ok : EXIT.failed
}

/** Prints on the result stream, where no changing line is in the way. */
function print({ progress }: Stage, text: string): void {
  progress.clear()
  process.stdout.write(text)
}

async function simulate(stage: Stage): Promise<Outcome> {
  const { chosen: { home, aim }, signal, progress } = stage
  if (home === undefined) throw new SimError('usage', `A fleet enrolls as people enroll devices, and ${aim.name} has no enrollment. Without it: npm run sim -- attack --target …, or load.`)
  const fleet = await runFleet({
    home, identities: aim.identities, signal, devices: SIM_LIMITS.fleetDevices, messagesPerDevice: SIM_LIMITS.fleetMessagesPerDevice,
    arriveMs: SIM_LIMITS.fleetMs,
    onPhase: (phase) => progress.step(`fleet: ${phase}`),
  })
  print(stage, `${fleetText(fleet, paperOf(process.stdout))}\n`)
  if (signal.aborted) return { ok: false, fleet }
  const cases = chooseCases({})
  const { results, ok, aftermath } = await audit(stage, cases)
  const paper = paperOf(process.stdout)
  print(stage, `${casesText(results, cases.length, paper)}${aftermath === undefined ? '' : aftermathText(aftermath, paper)}`)
  return { cases: results, fleet, ok: ok && fleet.ok, ...(aftermath === undefined ? {} : { aftermath }) }
}

async function handshake(stage: Stage, { explain, oneWay }: HandshakeOptions): Promise<Outcome> {
  const { home, aim: { name, target, identities } } = stage.chosen
  if (home === undefined) throw new SimError('usage', `The seventh step is what Sallyport judges of a device, and ${name} is no home of Sallyport.`)
  const story = oneWay === true ? await tellOneWay(target) : await tellHandshake(target, await identities.fresh('hand'))
  print(stage, handshakeText(story, paperOf(process.stdout), explain === true || oneWay === true))
  return { ok: story.ok }
}

async function play(stage: Stage, scenario: Scenario, { cache: folder, target }: CacheOptions & TargetWishes): Promise<Outcome> {
  const { chosen: { aim, home, run }, signal, progress } = stage
  if (folder !== undefined && isStarted(target)) throw new SimError('usage', '--cache goes with --target HOME or mqtts://…: what is started for one run has a CA of its own, whose certificates are good for nothing afterwards.')
  if (!speaksStarterTopics(aim.acl)) throw new SimError('usage', 'The devices of a scenario speak on the topics of the starter policy, and the --acl file does not grant these.')
  const byOperator = home === undefined ? operatorStep(scenario) : undefined
  if (byOperator !== undefined) throw new SimError('usage', `${scenario.file}:${byOperator.line}: ${byOperator.kind} needs an operator of the target, and ${aim.name} is no home of Sallyport.`)
  const reason = folder === undefined ? undefined : whyNotKept(scenario)
  if (reason !== undefined) progress.step(`devices are made anew: ${reason}`)
  await using cache = folder === undefined || reason !== undefined ? undefined : await openIdentityCache(folder, aim.issuing, scenario, aim.identities)
  const { run: prefix, identities } = cache ?? { run, identities: aim.identities }
  const result = await runScenario({
    scenario, target: aim.target, identities, home, pid: () => aim.pid(), sources: openSources(aim.target), prefix, signal,
    onPhase: (text) => progress.step(text), onProgress: (text, facts) => progress.status(text, facts === undefined ? undefined : (size) => scenarioPicture(facts(), size)),
  })
  print(stage, scenarioText(result, paperOf(process.stdout)))
  return { ok: result.ok, scenario: result }
}

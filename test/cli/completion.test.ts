// Completion, in the shells that people have: the script is made by the program, read by a real shell, and asked what would come next.

import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { has } from '../e2e/program.ts'
import { sallyport } from './shell.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-completion-'))
const at = (name: string): string => path.join(folder, name)
afterAll(() => rmSync(folder, { recursive: true, force: true }))
beforeAll(async () => {
  for (const shell of ['bash', 'zsh']) {
    const { status, stdout, stderr } = await sallyport(['completion', shell])
    if (status !== 0) throw new Error(stderr)
    writeFileSync(at(shell), stdout)
  }
  writeFileSync(at('factory key.pem'), '')
  mkdirSync(at('factory-2026'))
  writeFileSync(at('zsh-asked'), ASKED)
})

/** What is offered after these words, the last of which is begun. */
const CASES: readonly (readonly [words: readonly string[], offered: readonly string[], not: readonly string[]])[] = [
  [['dev'], ['device'], ['detection']],
  [['device', ''], ['add', 'list', 'quarantine'], ['rotate', 'serve']],
  [['ca', 'rotate', 's'], ['start', 'switch', 'status'], ['abort']],
  [['device', 'add', 'sensor-7', '--'], ['--group', '--attr', '--home', '--json'], ['--ports']],
  // The value of an option is no command, whatever it is called.
  [['device', 'list', '--group', 'ca', '--st'], ['--state'], []],
  [['serve', '--ports', ''], ['auto', 'configured'], ['--home']],
  [['device', 'bundle', 'x', '--format', 'p'], ['pem', 'p12'], ['zip']],
  [['completion', ''], ['bash', 'zsh'], []],
  [['serve', '--set', 'listen.mqtt.'], ['listen.mqtt.host=', 'listen.mqtt.port='], ['listen.admin.port=']],
  [['config', 'show', 'listen.web'], ['listen.websocket', 'listen.websocket.path'], []],
  [['device', 'enroll', 'x', '--csr', 'fac'], ['factory key.pem', 'factory-2026'], []],
  [['serve', '--home', 'fac'], ['factory-2026'], ['factory key.pem']],
]

function inBash(words: readonly string[]): readonly string[] {
  const script = 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _sallyport; printf "%s\\n" "${COMPREPLY[@]}"'
  const { stdout, stderr, status } = spawnSync('bash', ['--noprofile', '--norc', '-c', script, 'bash', at('bash'), 'sallyport', ...words], { encoding: 'utf8', cwd: folder })
  expect([status, stderr]).toEqual([0, ''])
  return stdout.split('\n').filter((line) => line !== '')
}

/** An interactive zsh on a terminal of its own, which is asked by the key for it, and says what it would add. */
const ASKED = `zmodload zsh/zpty
zpty asked zsh -f -i
cat > $1/zsh-setup <<'SETUP'
PROMPT=
autoload -Uz compinit
compinit -u -D
source ./zsh
bindkey '^I' complete-word
asking () { print -r -- '<<<' }
answered () { print -r -- '>>>'; exit }
compprefuncs=( asking )
comppostfuncs=( answered )
zstyle ':completion:*' insert-tab false
compadd () {
  if [[ \${@[1,(i)(-|--)]} == *-(O|A|D)\\ * ]]; then builtin compadd "$@"; return; fi
  local -a hits
  builtin compadd -A hits "$@"
  print -rl -- $hits
  builtin compadd "$@"
}
print READY
SETUP
cd $1
zpty -w asked "cd $1; source ./zsh-setup"
zpty -m asked dummy '*READY*'
zpty -w -n asked "$2"$'\\t'
out=
while zpty -r asked chunk; do out+=$chunk; [[ $out == *'>>>'* ]] && break; done
print -r -- $out
zpty -d asked
`

function inZsh(words: readonly string[]): readonly string[] {
  const line = ['sallyport', ...words].join(' ')
  const { stdout } = spawnSync('zsh', ['-f', at('zsh-asked'), folder, line], { encoding: 'utf8', cwd: folder, timeout: 10_000 })
  const offered = stdout.slice(stdout.indexOf('<<<') + 3, stdout.indexOf('>>>'))
  // As it would stand on the command line.
  return offered.split(/\r?\n/).filter((text) => text !== '').map((text) => text.replaceAll('\\ ', ' '))
}

describe.each([['bash', inBash], ['zsh', inZsh]] as const)('in %s (needs it)', (shell, ask) => {
  test.skipIf(!has(shell)).each(CASES)(`in ${shell}, after %j`, (words, offered, not) => {
    const found = ask(words)
    expect(found).toEqual(expect.arrayContaining([...offered]))
    expect(found.filter((each) => not.includes(each))).toEqual([])
  })
})

test.skipIf(!has('shellcheck'))('shellcheck finds nothing in the script for bash (needs shellcheck)', () => {
  // Words are split on purpose: each is one that may come next.
  const { stdout } = spawnSync('shellcheck', ['--shell=bash', '--exclude=SC2207', at('bash')], { encoding: 'utf8' })
  expect(stdout).toBe('')
})

test('another shell is refused with those that there are', async () => {
  expect(await sallyport(['completion', 'fish'])).toMatchObject({ status: 2, stderr: expect.stringContaining('Allowed choices are bash, zsh') as string })
})

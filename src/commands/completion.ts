// sallyport completion bash | zsh: a script that is made from the commands themselves, and asks nobody when it runs. What takes a file is
// completed with files, what takes a folder with folders, and what has choices with these.

import type { Command, Option } from 'commander'
import { SECTIONS, TABLE } from '../config/table.ts'

interface Completed {
  /** "device add"; '' is the program. */
  readonly path: string
  readonly description: string
  readonly below: readonly Completed[]
  readonly options: readonly CompletedOption[]
  /** What its arguments are completed with. */
  readonly argument: Value
}

interface CompletedOption {
  readonly flag: string
  readonly description: string
  /** Undefined: it takes none. */
  readonly value: Value | undefined
  readonly repeats: boolean
}

type Value = 'file' | 'folder' | 'anything' | readonly string[]

export function completion(shell: 'bash' | 'zsh', program: Command): void {
  const root = read(program, '')
  process.stdout.write(shell === 'bash' ? bashScript(program.name(), root) : zshScript(program.name(), root))
}

function read(command: Command, path: string): Completed {
  const argument = command.registeredArguments[0]
  const below = command.commands.map((sub) => read(sub, `${path} ${sub.name()}`.trim()))
  return {
    path, below, description: command.description(),
    // `help` knows the commands beside it.
    options: [...command.options.map(optionOf), { flag: '--help', description: 'display help for command', value: undefined, repeats: false }],
    argument: argument === undefined ? 'anything' : argument.argChoices ?? valueOf(argument.name()),
  }
}

function optionOf(option: Option): CompletedOption {
  const takes = option.required || option.optional
  return { flag: option.long ?? option.short ?? '', description: option.description, value: takes ? option.argChoices ?? valueOf(option.flags) : undefined, repeats: option.description.includes('(repeatable)') }
}

/** By the word in its brackets: `--out <file>`, `--home <dir>`, `--set <key=value>`, `show [key]`. */
function valueOf(words: string): Value {
  if (words.includes('key=value')) return Object.keys(TABLE).map((key) => `${key}=`)
  if (words === 'key') return [...Object.keys(TABLE), ...Object.keys(SECTIONS)]
  if (/\b(file|path)\b/.test(words)) return 'file'
  return /\bdir\b/.test(words) ? 'folder' : 'anything'
}

const all = (command: Completed): readonly Completed[] => [command, ...command.below.flatMap(all)]
const quoted = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`

function bashScript(name: string, root: Completed): string {
  const commands = all(root)
  const deeper = commands.filter(({ path }) => path !== '').map(({ path }) => quoted(path))
  const takers = commands.flatMap(({ path, options }) => options.filter(({ value }) => value !== undefined).map(({ flag }) => quoted(`${path} ${flag}`)))
  const values = commands.flatMap(({ path, options }) => options.flatMap(({ flag, value }) => (value === undefined ? [] : [`    ${quoted(`${path} ${flag}`)}) ${bashValue(value)}; return ;;`])))
  const words = commands.map(({ path, below, options, argument }) => {
    const flags = options.map(({ flag }) => flag).join(' ')
    const names = below.map((sub) => sub.path.slice(sub.path.lastIndexOf(' ') + 1)).join(' ')
    const plain = names === '' ? bashValue(argument) : `COMPREPLY=($(compgen -W ${quoted(names)} -- "$cur"))`
    return `    ${quoted(path)}) if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W ${quoted(flags)} -- "$cur")); else ${plain}; fi ;;`
  })
  return `# Completion of ${name} for bash: source this file, or put it into /etc/bash_completion.d or ~/.local/share/bash-completion/completions.
_${name}() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} at='' i word
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    case "$at $word" in
      ${takers.join('|')}) ((i++)); continue ;;
    esac
    case "\${at:+$at }$word" in
      ${deeper.join('|')}) at="\${at:+$at }$word" ;;
    esac
  done
  case "$at $prev" in
${values.join('\n')}
  esac
  case "$at" in
${words.join('\n')}
  esac
}
complete -F _${name} ${name}
`
}

function bashValue(value: Value): string {
  if (value === 'anything') return 'COMPREPLY=()'
  if (value === 'file' || value === 'folder') return `local IFS=$'\\n'; compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen ${value === 'file' ? '-f' : '-d'} -- "$cur"))`
  const begun = value.some((word) => word.endsWith('=')) ? 'compopt -o nospace 2>/dev/null; ' : ''
  return `${begun}COMPREPLY=($(compgen -W ${quoted(value.join(' '))} -- "$cur"))`
}

function zshScript(name: string, root: Completed): string {
  return `#compdef ${name}
# Completion of ${name} for zsh: put this file as _${name} into a folder of $fpath, or source it after compinit.
${all(root).map((command) => zshFunction(name, command)).join('\n')}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _${name} "$@"; else compdef _${name} ${name}; fi
`
}

const zshName = (name: string, path: string): string => `_${name}${path === '' ? '' : `_${path.replaceAll(/[ -]/g, '_')}`}`

function zshFunction(name: string, { path, below, options, argument }: Completed): string {
  const specs = options.map(({ flag, description, value, repeats }) => quoted(`${repeats ? '*' : ''}${flag}[${zshText(description)}]${value === undefined ? '' : zshValue(value)}`))
  if (below.length === 0) return `${zshName(name, path)}() {\n  _arguments ${[...specs, quoted(`*${zshValue(argument)}`)].join(' ')}\n}`
  const names = below.map((sub) => quoted(`${zshWord(sub.path)}:${zshText(sub.description)}`))
  const cases = below.map((sub) => `      ${zshWord(sub.path)}) ${zshName(name, sub.path)} ;;`)
  return `${zshName(name, path)}() {
  local state line
  local -A opt_args
  _arguments -C ${specs.join(' ')} '1: :->command' '*:: :->rest'
  case $state in
    command) local -a commands=(${names.join(' ')}); _describe command commands ;;
    rest) case $line[1] in
${cases.join('\n')}
    esac ;;
  esac
}`
}

const zshWord = (path: string): string => path.slice(path.lastIndexOf(' ') + 1)
/** In a specification a colon and a bracket mean something. */
const zshText = (text: string): string => text.replaceAll(/[\\[\]:]/g, String.raw`\$&`)

function zshValue(value: Value): string {
  if (value === 'anything') return ': :'
  if (value === 'file') return ':file:_files'
  if (value === 'folder') return ':folder:_files -/'
  return value.some((word) => word.endsWith('=')) ? `: :compadd -S "" -- ${value.join(' ')}` : `: :(${value.join(' ')})`
}

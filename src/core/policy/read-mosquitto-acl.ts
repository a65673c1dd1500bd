// The lines of a Mosquitto ACL file as Mosquitto 2.0 reads them: words are parted by spaces alone, a comment begins in the first
// column, and what it would refuse to start with is a problem here, too.

import { printable } from '../ids.ts'
import type { Problem } from '../source-tree.ts'
import type { SourcePosition } from '../errors.ts'

const ACCESSES = ['read', 'write', 'readwrite', 'deny'] as const
type Access = (typeof ACCESSES)[number]

export interface AclLine {
  /** Of the topic. */
  readonly at: SourcePosition
  readonly text: string
  readonly isPattern: boolean
  /** Undefined above the first user: for clients without a name. Of a pattern it means nothing. */
  readonly user: string | undefined
  readonly access: Access
  readonly topic: string
  /** The line ends after its access, which Mosquitto then takes for the topic. */
  readonly accessAsTopic: boolean
}

/** What C calls space; of which the ends of a line are freed. */
const ENDS = /^[ \t\n\v\f\r]+|[ \t\n\v\f\r]+$/g
const FIX = 'Lines are: user NAME, topic [read|write|readwrite|deny] TOPIC, pattern [read|write|readwrite|deny] TOPIC, and comments that begin in the first column.'

export function readAcl(file: string, text: string): { readonly lines: readonly AclLine[]; readonly problems: readonly Problem[] } {
  const lines: AclLine[] = []
  const problems: Problem[] = []
  let user: string | undefined
  for (const [i, whole] of text.split('\n').entries()) {
    const line = whole.replace(/[ \t\v\f\r]+$/, '')
    const [, keyword, rest = ''] = /^ *([^ ]+) ?(.*)$/s.exec(line) ?? []
    if (keyword === undefined || line.startsWith('#')) continue
    const at = (tail: string): SourcePosition => ({ file, line: i + 1, column: line.length - tail.length + 1 })
    const said = keyword === 'user' ? readUser(rest) : keyword === 'topic' || keyword === 'pattern' ? readTopic(rest) : `"${printable(keyword)}" is no keyword of an ACL file.`
    if (typeof said === 'string') problems.push({ at: at(line.replace(/^ +/, '')), message: said, fix: FIX })
    else if ('user' in said) ({ user } = said)
    else lines.push({ ...said, at: at(said.tail), text: line.replace(/^ +/, ''), isPattern: keyword === 'pattern', user })
  }
  return { lines, problems }
}

function readUser(rest: string): { readonly user: string } | string {
  const user = rest.replaceAll(ENDS, '')
  return user === '' ? 'the user has no name.' : { user }
}

function readTopic(rest: string): { readonly access: Access; readonly topic: string; readonly accessAsTopic: boolean; readonly tail: string } | string {
  const [, first, behind = ''] = /^ *([^ ]+) ?(.*)$/s.exec(rest) ?? []
  if (first === undefined) return 'the topic is missing.'
  const topic = behind === '' ? first : behind.replaceAll(ENDS, '')
  const access = behind === '' ? 'readwrite' : ACCESSES.find((known) => known === first)
  if (access === undefined) return `"${printable(first)}" is no kind of access.`
  if (!isFilter(topic)) return `"${printable(topic)}" is no topic filter.`
  return { access, topic, accessAsTopic: behind === '' && ACCESSES.some((known) => known === first), tail: behind === '' ? rest.trimStart() : behind.trimStart() }
}

/** [MQTT-4.7.1-1], [MQTT-4.7.1-2] */
function isFilter(topic: string): boolean {
  const levels = topic.split('/')
  return !topic.includes('\0') && levels.every((level, i) => (level.length === 1 && level === '#' ? i === levels.length - 1 : level === '+' || !/[+#]/.test(level)))
}

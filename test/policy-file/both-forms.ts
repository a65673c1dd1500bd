// Random policies as plain data, and how they are written in the two forms. The data are the YAML form's own, so that JSON
// is its printer; the line form is printed by hand.

import * as fc from 'fast-check'

/** A topic with its terms, as the YAML form has them. */
type Line = Readonly<Record<string, unknown>> & { readonly topic: string }
type Fields = Readonly<Record<string, unknown>>

interface Body {
  readonly connect?: Fields | undefined
  readonly publish?: readonly Line[] | undefined
  readonly subscribe?: readonly Line[] | undefined
  readonly will?: readonly Line[] | undefined
}
interface Rule {
  readonly id: string
  readonly to: 'any' | Fields
  readonly when?: Fields | undefined
}
type Grant = Rule & Body
type Deny = Rule & { readonly publish?: readonly Line[] | undefined; readonly subscribe?: readonly Line[] | undefined; readonly receive?: readonly Line[] | undefined; readonly onDeny?: string | undefined }

interface Policy {
  readonly settings: Fields
  readonly groups: Readonly<Record<string, readonly string[]>>
  readonly identity: readonly Fields[]
  readonly grants: readonly Grant[]
  readonly deny: readonly Deny[]
  readonly quarantine?: Body | undefined
}

const optional = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(arbitrary, { nil: undefined })
const name = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,6}$/)
const piece = fc.oneof(fc.stringMatching(/^[a-z]{1,3}$/), fc.constantFrom(' ', 'a b', '"', '\\', ',', '=', '<=1', 'ä', '😀', '${device.id}', 'x${device.attr.k}y', '$${', "'", 'qos<=1', ':', '{', '-', '\u00A0', '%u'))
const level = fc.oneof({ weight: 4, arbitrary: fc.array(piece, { maxLength: 3 }).map((parts) => parts.join('')) }, { weight: 1, arbitrary: fc.constant('+') })
const topic = fc.tuple(fc.array(level, { minLength: 1, maxLength: 4 }), fc.boolean()).map(([levels, all]) => `${levels.join('/')}${all ? '/#' : ''}`).map((text) => (text === '' || /^\$(?!\{)/.test(text) ? `t${text}` : text))
const anyTopic = fc.oneof({ weight: 8, arbitrary: topic }, { weight: 1, arbitrary: fc.constantFrom('#', '+', '/') })

const qos = optional(fc.constantFrom(0, 1, 2))
const bytes = optional(fc.constantFrom('512', '8KiB', '1MiB'))
const lines = (terms: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<readonly Line[] | undefined> => optional(fc.array(fc.record({ topic: anyTopic, ...terms }) as fc.Arbitrary<Line>, { maxLength: 3 }))
const rates = fc.oneof(fc.constant({}), fc.record({ rate: fc.constantFrom('1/s', '600/m', '100/h') }), fc.record({ rate: fc.constantFrom('20/s'), burst: fc.integer({ min: 1, max: 1_000 }) }))
const published = optional(fc.array(fc.tuple(fc.record({ topic: anyTopic, qos, retain: optional(fc.boolean()), maxBytes: bytes }), rates).map(([line, rate]): Line => ({ ...line, ...rate })), { maxLength: 3 }))
const shareName = fc.oneof(fc.constantFrom('*', 'fw*', 'a b', 'x,y', '"', 'ü'), name)
const body = fc.record({
  connect: optional(fc.record({ clientId: optional(fc.array(fc.constantFrom('${device.id}', '${device.id}:*', '*', 'a b', 'x,y', '"q"'), { minLength: 1, maxLength: 3 })), sessions: optional(fc.integer({ min: 1, max: 32 })), sessionExpiryMax: optional(fc.constantFrom('24h', '7d', '999ms')) })),
  publish: published,
  subscribe: lines({ qos, wildcard: optional(fc.constantFrom('contain', 'forbid', 'filter')), share: optional(fc.array(shareName, { minLength: 1, maxLength: 3 })) }),
  will: lines({ qos, retain: optional(fc.boolean()), maxBytes: bytes }),
})
const attributes = fc.dictionary(fc.stringMatching(/^[a-z][A-Za-z0-9_]{0,4}$/), fc.array(fc.constantFrom('X1', 'north', 'a b', 'x,y', '7', 'true', '"'), { minLength: 1, maxLength: 3 }), { minKeys: 1, maxKeys: 3, noNullPrototype: true })
const target = fc.oneof(fc.constant('any' as const), ...['group', 'device', 'ca', 'tenant'].map((kind) => name.map((text) => ({ [kind]: text }))), attributes.map((attr) => ({ attr })))
const time = fc.record({ days: optional(fc.array(fc.constantFrom('mon', 'sat-mon', 'mon-fri'), { minLength: 1, maxLength: 2 })), from: optional(fc.constantFrom('06:00', '22:30')), to: optional(fc.constantFrom('06:30', '24:00')), zone: optional(fc.constantFrom('Europe/Berlin', 'UTC')) })
const conditions = fc.record({
  source: optional(fc.array(fc.constantFrom('10.0.0.0/8', '2001:db8::/32', '::1'), { minLength: 1, maxLength: 3 })),
  tls: optional(fc.constantFrom('1.2', '1.3', '>=1.2', '>=1.3')),
  time: optional(time.filter((window) => Object.values(window).some((value) => value !== undefined))),
  notBefore: optional(fc.constant('2027-03-01T06:00:00Z')), notAfter: optional(fc.constant('2027-04-01T06:00:00+02:00')),
  certificateAge: optional(fc.constantFrom('>=1d', '<90d', '>=1d <90d')), attested: optional(fc.boolean()), state: optional(fc.array(fc.constantFrom('active', 'quarantined'), { minLength: 1, maxLength: 2 })),
}).filter((when) => Object.values(when).some((value) => value !== undefined))
const rule = { to: target, when: optional(conditions) }
const denied = lines({})

export const policies: fc.Arbitrary<Policy> = fc.record({
  settings: fc.record({ onDeny: optional(fc.constantFrom('drop', 'disconnect')), strictDeny: optional(fc.boolean()), retained: optional(fc.constantFrom('hide', 'keep', 'purge')), willOnKick: optional(fc.constantFrom('suppress', 'publish')) }),
  // A group contains those whose names come later: there is no circle.
  groups: fc.uniqueArray(name, { maxLength: 5 }).map((names) => Object.fromEntries(names.toSorted().map((group, i, all) => [`g${i}-${group}`, all.slice(i + 1).map((inner, j) => `g${i + 1 + j}-${inner}`)]).filter(([, contains]) => (contains?.length ?? 0) > 0))),
  identity: fc.uniqueArray(fc.record({ ca: name, device: fc.constantFrom('${cert.subject.CN}', 'a b', 'x'), idPattern: optional(fc.constantFrom('^[A-Z ]{2}$', '#"\\d+', 'a,b')), groups: optional(fc.array(fc.constantFrom('${cert.subject.OU}', 'a b'), { minLength: 1, maxLength: 2 })), register: optional(fc.constantFrom('known', 'auto')) }), { maxLength: 2, selector: ({ ca }) => ca }),
  grants: fc.array(fc.tuple(fc.record(rule), body), { maxLength: 3 }).map((all) => all.map(([head, rest], i): Grant => ({ id: `grant-${i}`, ...head, ...rest }))),
  deny: fc.array(fc.record({ ...rule, publish: denied, subscribe: denied, receive: denied, onDeny: optional(fc.constantFrom('drop', 'disconnect')) }), { maxLength: 3 }).map((all) => all.map((each, i): Deny => ({ id: `deny-${i}`, ...each }))),
  quarantine: optional(body),
})

/** JSON is YAML; what is undefined is not said. */
export function asYaml({ settings, ...rest }: Policy): string {
  return JSON.stringify({ version: 1, ...settings, ...rest })
}

/** How a person likes to write: what needs no quotes may have some. */
interface Style {
  readonly indent: string
  readonly blank: string
  readonly quotes: boolean
  readonly comment: string
  readonly newline: string
}

export const styles: fc.Arbitrary<Style> = fc.record({
  indent: fc.constantFrom('  ', '\t', ' \t '), blank: fc.constantFrom(' ', '   ', '\t'), quotes: fc.boolean(), comment: fc.constantFrom('', '# why', '#', '# "a" # b', '#x=1'), newline: fc.constantFrom('\n', '\r\n', '\n\n', '\n   \n', '\n# note\n', '\n  # note\n'),
})

export function asLines({ settings, groups, identity, grants, deny, quarantine }: Policy, style: Style): string {
  const quoted = (text: string, bare: RegExp): string => (!style.quotes && bare.test(text) ? text : JSON.stringify(text))
  const word = (text: unknown): string => quoted(String(text), /^(?!#)[^\s"]+$/)
  const topicWord = (text: string): string => (text === '#' && !style.quotes ? '#' : word(text))
  const value = (text: unknown): string => quoted(String(text), /^[^\s",]+$/)
  const values = (all: unknown): string => (all as readonly unknown[]).map(value).join(',')
  const number = String
  const yesNo = (is: unknown): string => (is === true ? 'yes' : 'no')
  const line = (indent: string, ...words: readonly (string | undefined)[]): string => `${indent}${[...words.filter((each) => each !== undefined && each !== ''), ...(style.comment === '' ? [] : [style.comment])].join(style.blank)}${style.newline}`
  const inside = (...words: readonly (string | undefined)[]): string => line(style.indent, ...words)
  const term = (said: unknown, text: (said: unknown) => string): string | undefined => (said === undefined ? undefined : text(said))

  const terms = (each: Line): string[] => [
    term(each['qos'], (n) => `qos<=${number(n)}`), term(each['retain'], (n) => `retain=${yesNo(n)}`), term(each['maxBytes'], (n) => `max=${value(n)}`), term(each['rate'], (n) => `rate=${value(n)}`), term(each['burst'], (n) => `burst=${number(n)}`),
    term(each['wildcard'], (n) => `wildcard=${value(n)}`), term(each['share'], (n) => `share=${values(n)}`),
  ].filter((text) => text !== undefined)
  const topics = (verb: string, all: readonly Line[] | undefined): string => (all ?? []).map((each) => inside(verb, topicWord(each.topic), ...terms(each))).join('')
  const when = (conditions_: Fields | undefined): string => {
    if (conditions_ === undefined) return ''
    const { source, tls, time: window, notBefore, notAfter, certificateAge, attested, state } = conditions_
    const { days, from, to, zone } = (window ?? {}) as Fields
    const said = [
      term(source, (n) => `source=${values(n)}`), term(tls, (n) => (String(n).startsWith('>=') ? `tls>=${String(n).slice(2)}` : `tls=${String(n)}`)), term(days, (n) => `days=${values(n)}`), term(from, (n) => `from=${value(n)}`), term(to, (n) => `to=${value(n)}`), term(zone, (n) => `zone=${value(n)}`),
      term(notBefore, (n) => `notBefore=${value(n)}`), term(notAfter, (n) => `notAfter=${value(n)}`), term(certificateAge, (n) => String(n).split(' ').map((bound) => `certificateAge${bound}`).join(style.blank)), term(attested, (n) => `attested=${yesNo(n)}`), term(state, (n) => `state=${values(n)}`),
    ].filter((text) => text !== undefined)
    // In one line, or in one for each.
    return style.quotes ? said.map((text) => inside('when', text)).join('') : inside('when', ...said)
  }
  const connect = (said: Fields | undefined): string => {
    const all = [term(said?.['clientId'], (n) => `clientId=${values(n)}`), term(said?.['sessions'], (n) => `sessions=${number(n)}`), term(said?.['sessionExpiryMax'], (n) => `sessionExpiryMax=${value(n)}`)].filter((text) => text !== undefined)
    return all.length === 0 ? '' : inside('connect', ...all)
  }
  const allowed = (said: Body): string => `${connect(said.connect)}${topics('pub', said.publish)}${topics('sub', said.subscribe)}${topics('will', said.will)}`
  const whom = (to: Rule['to']): string[] => {
    if (to === 'any') return ['any']
    const [only] = Object.entries(to)
    const [kind, who] = only ?? ['', undefined]
    return kind === 'attr' ? [kind, ...Object.entries(who as Readonly<Record<string, unknown>>).map(([key, all]) => `${key}=${values(all)}`)] : [kind, word(who)]
  }
  return [
    ...Object.entries(settings).filter(([, said]) => said !== undefined).map(([key, said]) => line('', key, typeof said === 'boolean' ? yesNo(said) : word(said))),
    ...Object.entries(groups).map(([group, contains]) => line('', 'group', word(group), 'contains', ...contains.map(word))),
    ...grants.map((each) => `${line('', ...whom(each.to))}${inside('id', each.id)}${when(each.when)}${allowed(each)}`),
    ...deny.map((each) => `${line('', 'deny', ...whom(each.to))}${inside('id', each.id)}${when(each.when)}${topics('pub', each.publish)}${topics('sub', each.subscribe)}${topics('recv', each.receive)}${each.onDeny === undefined ? '' : inside('onDeny', each.onDeny)}`),
    ...identity.map(({ ca, device, idPattern, groups: all, register }) => `${line('', 'identity', word(ca))}${inside('device', word(device))}${idPattern === undefined ? '' : inside('idPattern', word(idPattern))}${all === undefined ? '' : inside('groups', ...(all as readonly string[]).map(word))}${register === undefined ? '' : inside('register', word(register))}`),
    ...(quarantine === undefined ? [] : [`${line('', 'quarantine')}${allowed(quarantine)}`]),
  ].join('')
}

const INSTANTS = [Date.parse('2027-03-01T06:00:00Z'), Date.parse('2027-07-01T23:30:00Z')]
const SAMPLES = ['AB', 'AB-12345678', 'a,b', '#"7', '10.0.0.1', '::1', '2001:db8::1']

/** What a document says, without its places; a function is what it answers. */
export function said(value: unknown): unknown {
  if (typeof value === 'function') return [...INSTANTS, ...SAMPLES].map((sample) => answer(value as (sample: unknown) => unknown, sample))
  if (Array.isArray(value)) return value.map(said)
  if (typeof value !== 'object' || value === null) return value
  // A variable is told by its name, and not by how it is read.
  return Object.fromEntries(Object.entries(value).filter(([key]) => key !== 'at' && key !== 'read').map(([key, inner]) => [key, said(inner)]))
}

function answer(ask: (sample: unknown) => unknown, sample: unknown): unknown {
  try {
    return ask(sample)
  } catch {
    return 'none'
  }
}

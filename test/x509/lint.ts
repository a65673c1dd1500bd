// A lint of our own for everything that the program signs: certificates, CRLs and OCSP responses, to the letter of RFC 5280 and RFC 6960. It
// reads DER with a reader of its own and shares nothing with the program: what both get wrong in the same way would be seen by nobody.

import { createHash } from 'node:crypto'

interface Node {
  readonly tag: number
  readonly body: Buffer
  readonly raw: Buffer
  readonly kids: readonly Node[]
  readonly problems: readonly string[]
}

const T = { boolean: 1, integer: 2, bits: 3, octets: 4, null: 5, oid: 6, enumerated: 10, utf8: 12, printable: 19, ia5: 22, utc: 23, generalized: 24, sequence: 0x30, set: 0x31 } as const

/** Reads one element, and everything in it, as DER alone allows it. Problems are collected, not thrown. */
function read(bytes: Buffer, at = 0): Node & { readonly end: number } {
  const problems: string[] = []
  const tag = bytes[at] ?? 0
  let [length, start] = [bytes[at + 1] ?? 0, at + 2]
  if (length >= 0x80) {
    const octets = length & 0x7f
    length = octets === 0 || octets > 4 ? Number.NaN : bytes.readUIntBE(start, octets)
    start += octets
    if (!(length >= 0x80) || bytes[at + 2] === 0) problems.push('a length that is not the shortest')
  }
  const end = start + length
  if (!(end <= bytes.length)) return { tag, body: Buffer.alloc(0), raw: bytes.subarray(at), kids: [], problems: ['an element that goes beyond its end'], end: bytes.length }
  const body = bytes.subarray(start, end)
  const kids: Node[] = []
  if ((tag & 0x20) !== 0) for (let next = start; next < end;) {
    const kid = read(bytes.subarray(0, end), next)
    kids.push(kid)
    next = kid.end
  }
  if (tag === T.boolean && (body.length !== 1 || (body[0] !== 0 && body[0] !== 0xff))) problems.push('a BOOLEAN that is neither 00 nor ff')
  if ((tag === T.integer || tag === T.enumerated) && (body.length === 0 || (body.length > 1 && ((body[0] === 0 && body[1]! < 0x80) || (body[0] === 0xff && body[1]! >= 0x80))))) problems.push('an INTEGER that is not the shortest')
  if (tag === T.bits && (body.length === 0 || body[0]! > 7 || (body.length > 1 && (body.at(-1)! & ((1 << body[0]!) - 1)) !== 0))) problems.push('a BIT STRING with unused bits that are set')
  if (tag === T.set && kids.some((kid, i) => i > 0 && Buffer.compare(kids[i - 1]!.raw, kid.raw) > 0)) problems.push('a SET OF that is not sorted')
  if (tag === T.null && body.length > 0) problems.push('a NULL with something in it')
  return { tag, body, raw: bytes.subarray(at, end), kids, problems: [...problems, ...kids.flatMap((kid) => kid.problems)], end }
}

function whole(der: Uint8Array): Node {
  const node = read(Buffer.from(der))
  return node.end === der.length ? node : { ...node, problems: [...node.problems, 'bytes behind the end'] }
}

function oidOf({ body }: Node): string {
  const arcs: number[] = []
  let arc = 0
  for (const octet of body) {
    arc = arc * 128 + (octet & 0x7f)
    if (octet < 0x80) {
      arcs.push(arc)
      arc = 0
    }
  }
  const [first = 0, ...rest] = arcs
  return [Math.min(2, Math.floor(first / 40)), first - 40 * Math.min(2, Math.floor(first / 40)), ...rest].join('.')
}

const hex = ({ body }: Node): string => body.toString('hex')

/** Milliseconds, and whether it is written as RFC 5280 §4.1.2.5 wants that year. `generalized`: always that type, RFC 6960 §4.2.2.1. */
function time(node: Node | undefined, what: string, problems: string[], generalized = false): number {
  const text = node?.body.toString('latin1') ?? ''
  const digits = node?.tag === T.utc ? `${Number(text.slice(0, 2)) < 50 ? '20' : '19'}${text}` : text
  const [, y, mo, d, h, mi, s] = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(digits) ?? []
  if (y === undefined) problems.push(`${what} is no time in whole seconds and Z`)
  else if (node?.tag !== (generalized || Number(y) >= 2050 ? T.generalized : T.utc)) problems.push(`${what} is of the wrong type for its year`)
  return Date.parse(`${y}-${mo}-${d}T${h}:${mi}:${s}Z`)
}

function serial(node: Node | undefined, problems: string[], octetsMin: number): void {
  if (node?.tag !== T.integer || node.body[0]! >= 0x80 || /^0*$/.test(hex(node))) problems.push('the serial number is not positive')
  else if (node.body.length > 20) problems.push('the serial number is longer than 20 octets')
  else if (node.body.length < octetsMin) problems.push('the serial number has less than 64 bits')
}

/** RFC 5758 §3.2: ECDSA has no parameters; RFC 4055 §5: RSA has NULL; RFC 8410 §3: EdDSA has none. */
const ALGORITHMS: Readonly<Record<string, number>> = { '1.2.840.10045.4.3.2': 1, '1.2.840.10045.4.3.3': 1, '1.2.840.113549.1.1.11': 2, '1.3.101.112': 1 }
function algorithm(node: Node | undefined, problems: string[]): void {
  const [oid, parameters] = node?.kids ?? []
  const kids = oid === undefined ? undefined : ALGORITHMS[oidOf(oid)]
  if (kids === undefined) problems.push('a signature algorithm that nobody should use')
  else if (node?.kids.length !== kids || (parameters !== undefined && parameters.tag !== T.null)) problems.push('a signature algorithm with parameters that it does not have')
}

/** One attribute in each RDN, text of a type that RFC 5280 §4.1.2.4 wants, not empty and within its bound. */
function name(node: Node | undefined, what: string, problems: string[]): void {
  if (node?.tag !== T.sequence || node.kids.length === 0) problems.push(`${what} is empty`)
  for (const rdn of node?.kids ?? []) {
    const [type, value] = rdn.kids[0]?.kids ?? []
    if (rdn.tag !== T.set || rdn.kids.length !== 1 || type === undefined || value === undefined) problems.push(`${what} has an RDN of several attributes`)
    else if (value.tag !== T.utf8 && value.tag !== T.printable) problems.push(`${what} has text of another type`)
    else if (value.body.length === 0 || value.body.toString('utf8').length > 64) problems.push(`${what} has text that is empty or longer than 64`)
  }
}

interface Extension {
  readonly critical: boolean
  readonly value: Node
}

/** By OID. An explicit FALSE, a second one of its kind and a value that is no DER are problems. */
function extensionsOf(list: readonly Node[], problems: string[]): ReadonlyMap<string, Extension> {
  const found = new Map<string, Extension>()
  for (const { tag, kids } of list) {
    const oid = kids[0] === undefined ? '' : oidOf(kids[0])
    const octets = kids.at(-1)
    if (tag !== T.sequence || octets?.tag !== T.octets) problems.push(`extension ${oid} is none`)
    if (kids.length === 3 && kids[1]?.body[0] !== 0xff) problems.push(`extension ${oid} says FALSE`)
    if (found.has(oid)) problems.push(`extension ${oid} is there twice`)
    const value = whole(octets?.body ?? Buffer.alloc(0))
    problems.push(...value.problems)
    found.set(oid, { critical: kids.length === 3, value })
  }
  return found
}

const E = { ski: '2.5.29.14', ku: '2.5.29.15', san: '2.5.29.17', bc: '2.5.29.19', crlNumber: '2.5.29.20', reason: '2.5.29.21', idp: '2.5.29.28', nc: '2.5.29.30', crldp: '2.5.29.31', aki: '2.5.29.35', eku: '2.5.29.37', aia: '1.3.6.1.5.5.7.1.1', noCheck: '1.3.6.1.5.5.7.48.1.5', nonce: '1.3.6.1.5.5.7.48.1.2' } as const

/** What each kind must have, and may have; and what of it is critical. Anything else is a problem. RFC 5280 §4.2, RFC 6960 §4.2.2.2. */
interface Kind {
  readonly must: readonly string[]
  readonly may: readonly string[]
  readonly pathLength?: number
  /** KeyUsage as its BIT STRING; key purposes. */
  readonly usage: string
  readonly purposes: readonly string[]
}
const LEAF = { must: [E.bc, E.ku, E.eku, E.ski, E.aki], may: [E.aia, E.crldp] } as const
const KINDS = {
  'root': { must: [E.bc, E.ku, E.ski], may: [], pathLength: 1, usage: '0106', purposes: [] },
  'cross': { must: [E.bc, E.ku, E.ski, E.aki], may: [], pathLength: 1, usage: '0106', purposes: [] },
  'issuing': { must: [E.bc, E.ku, E.ski, E.aki], may: [E.nc], pathLength: 0, usage: '0106', purposes: [] },
  'server': { ...LEAF, must: [...LEAF.must, E.san], usage: '0780', purposes: ['1.3.6.1.5.5.7.3.1'] },
  'operator': { ...LEAF, usage: '0780', purposes: ['1.3.6.1.5.5.7.3.2'] },
  'device': { ...LEAF, usage: '0780', purposes: ['1.3.6.1.5.5.7.3.2'] },
  'claim': { ...LEAF, usage: '0780', purposes: ['1.3.6.1.5.5.7.3.2'] },
  'ocsp-responder': { must: [...LEAF.must, E.noCheck], may: [], usage: '0780', purposes: ['1.3.6.1.5.5.7.3.9'] },
} as const satisfies Readonly<Record<string, Kind>>
export type LintedKind = keyof typeof KINDS
const CRITICAL: ReadonlySet<string> = new Set([E.bc, E.ku, E.nc, E.idp])

interface Taken {
  readonly tbs: readonly Node[]
  readonly extensions: ReadonlyMap<string, Extension>
  readonly subject: Node | undefined
  readonly keyId: string
  readonly spki: Node | undefined
}

function take(der: Uint8Array, problems: string[]): Taken {
  const root = whole(der)
  problems.push(...root.problems)
  const fields = root.kids[0]?.kids ?? []
  const extensions = extensionsOf(fields.find(({ tag }) => tag === 0xa3)?.kids[0]?.kids ?? [], problems)
  return { tbs: fields, extensions, subject: fields[5], keyId: hexOf(extensions.get(E.ski)?.value), spki: fields[6] }
}
const hexOf = (node: Node | undefined): string => (node === undefined ? '' : hex(node))
/** [0] keyIdentifier and nothing else. */
const authorityOf = (extension: Extension | undefined): string => (extension?.value.kids.length === 1 && extension.value.kids[0]?.tag === 0x80 ? hex(extension.value.kids[0]) : 'none')

export interface Door {
  readonly url: string
  readonly issuer: string
  /** The file of a CRL that is published for this serial number. */
  readonly crl: string
}

/** What is wrong with a certificate of this kind, below this issuer; `door`: where it must point, or nowhere. */
export function lintCertificate(der: Uint8Array, kind: LintedKind, issuer: Uint8Array = der, door?: Door): readonly string[] {
  const problems: string[] = []
  const { must, may, usage, purposes, ...rest } = KINDS[kind] as Kind
  const { tbs, extensions, subject, keyId, spki } = take(der, problems)
  const above = take(issuer, [])
  const [version, number, inner, by, validity] = tbs
  if (tbs.length !== 8 || version?.tag !== 0xa0 || hexOf(version.kids[0]) !== '02') problems.push('it is not of version 3 with the fields of RFC 5280 §4.1')
  serial(number, problems, 9)
  algorithm(inner, problems)
  if (!whole(der).kids[1]?.raw.equals(inner?.raw ?? Buffer.alloc(0))) problems.push('two signature algorithms')
  name(by, 'the issuer', problems)
  name(subject, 'the subject', problems)
  if (by?.raw.equals(above.subject?.raw ?? Buffer.alloc(0)) !== true) problems.push('the issuer is not the subject of the issuer')
  const [from, to] = [time(validity?.kids[0], 'notBefore', problems), time(validity?.kids[1], 'notAfter', problems)]
  if (!(from < to)) problems.push('it ends before it begins')
  const [aboveFrom, aboveTo] = [time(above.tbs[4]?.kids[0], 'x', []), time(above.tbs[4]?.kids[1], 'x', [])]
  if (from < aboveFrom || to > aboveTo) problems.push('it is valid beyond its issuer')
  for (const oid of must) if (!extensions.has(oid)) problems.push(`extension ${oid} is missing`)
  for (const [oid, { critical }] of extensions) {
    if (!must.includes(oid) && !may.includes(oid)) problems.push(`extension ${oid} does not belong there`)
    if (critical !== CRITICAL.has(oid)) problems.push(`extension ${oid} is ${critical ? '' : 'not '}critical`)
  }
  const constraints = extensions.get(E.bc)?.value.kids.map(hex).join(' ')
  const wanted = rest.pathLength === undefined ? '' : `ff 0${rest.pathLength}`
  if (constraints !== wanted) problems.push(`basic constraints are ${constraints}`)
  if (hexOf(extensions.get(E.ku)?.value) !== usage) problems.push('key usage')
  if ((extensions.get(E.eku)?.value.kids ?? []).map(oidOf).join() !== purposes.join()) problems.push('extended key usage')
  // RFC 7093 §2 method 1. A key that came with an identifier keeps it.
  const bits = spki?.kids[1]?.body.subarray(1) ?? Buffer.alloc(0)
  if (keyId !== createHash('sha256').update(bits).digest('hex').slice(0, 40)) problems.push('the subject key identifier is another one')
  if (kind !== 'root' && authorityOf(extensions.get(E.aki)) !== above.keyId) problems.push('the authority key identifier is not the subject key identifier of the issuer')
  for (const each of extensions.get(E.san)?.value.kids ?? []) {
    if (each.tag === 0x82 ? !/^[a-z0-9.-]+$/i.test(each.body.toString('latin1')) : each.tag !== 0x87 || (each.body.length !== 4 && each.body.length !== 16)) problems.push('an alternative name that is neither DNS name nor address')
  }
  const points = [extensions.get(E.aia), extensions.get(E.crldp)].flatMap((extension) => (extension === undefined ? [] : urisOf(extension.value)))
  const shouldPoint = door === undefined || kind === 'ocsp-responder' || rest.pathLength !== undefined ? [] : [`${door.url}/ocsp`, `${door.url}/ca/${door.issuer}.cer`, `${door.url}/crl/${door.crl}`]
  if (points.join() !== shouldPoint.join()) problems.push(`it points to ${points.join(', ') || 'nothing'}`)
  return problems
}

/** All uniformResourceIdentifier [6] in it, in their order. */
function urisOf(node: Node): readonly string[] {
  return node.tag === 0x86 ? [node.body.toString('latin1')] : node.kids.flatMap(urisOf)
}

/** The serial number of a certificate, as hex, and the URIs that it points to. */
export function pointsOf(der: Uint8Array): { readonly serial: string; readonly uris: readonly string[] } {
  const { tbs, extensions } = take(der, [])
  return { serial: hexOf(tbs[1]), uris: [E.aia, E.crldp].flatMap((oid) => (extensions.has(oid) ? urisOf(extensions.get(oid)!.value) : [])) }
}

/** By what an OCSP request names this CA: its subject, DER, and the bits of its key. */
export function issuerOf(der: Uint8Array): { readonly subject: Uint8Array; readonly keyBits: Uint8Array } {
  const { subject, spki } = take(der, [])
  return { subject: subject?.raw ?? Buffer.alloc(0), keyBits: spki?.kids[1]?.body.subarray(1) ?? Buffer.alloc(0) }
}

/** What is wrong with a CRL of this CA; `shard`: the URL under which certificates find it, where it is a part. RFC 5280 §5. */
export function lintCrl(der: Uint8Array, issuer: Uint8Array, shard?: string): readonly string[] {
  const problems: string[] = []
  const root = whole(der)
  problems.push(...root.problems)
  const above = take(issuer, [])
  const fields = root.kids[0]?.kids ?? []
  const [version, inner, by, from, to, ...more] = fields
  const list = more.length === 2 ? more[0] : undefined
  if (hexOf(version) !== '01' || version?.tag !== T.integer || more.length > 2 || more.at(-1)?.tag !== 0xa0) problems.push('it is not of version 2 with the fields of RFC 5280 §5.1')
  algorithm(inner, problems)
  if (!root.kids[1]?.raw.equals(inner?.raw ?? Buffer.alloc(0))) problems.push('two signature algorithms')
  if (!by?.raw.equals(above.subject?.raw ?? Buffer.alloc(0))) problems.push('the issuer is not the CA')
  const [thisUpdate, nextUpdate] = [time(from, 'thisUpdate', problems), time(to, 'nextUpdate', problems)]
  if (!(thisUpdate < nextUpdate)) problems.push('it ends before it begins')
  if (list !== undefined && list.kids.length === 0) problems.push('a list of nothing is left out')
  const seen = new Set<string>()
  for (const { kids: [number, at, extra] } of list?.kids ?? []) {
    serial(number, problems, 1)
    if (seen.has(hexOf(number))) problems.push('a serial number twice')
    seen.add(hexOf(number))
    if (time(at, 'a revocation', problems) > thisUpdate) problems.push('a revocation of the future')
    const extensions = extensionsOf(extra?.kids ?? [], problems)
    if (extra?.kids.length === 0) problems.push('extensions of nothing are left out')
    for (const [oid, { critical, value }] of extensions) if (oid !== E.reason || critical || value.tag !== T.enumerated || ![1, 2, 3, 4, 5, 6, 9, 10].includes(value.body[0] ?? 0)) problems.push('an entry with an extension that it may not have')
  }
  const extensions = extensionsOf(more.at(-1)?.kids[0]?.kids ?? [], problems)
  if (authorityOf(extensions.get(E.aki)) !== above.keyId) problems.push('the authority key identifier is not that of the CA')
  const number = extensions.get(E.crlNumber)?.value
  if (number?.tag !== T.integer || number.body.length > 20 || number.body[0]! >= 0x80) problems.push('the CRL number')
  for (const [oid, { critical }] of extensions) {
    if (![E.aki, E.crlNumber, ...(shard === undefined ? [] : [E.idp])].includes(oid as never)) problems.push(`extension ${oid} does not belong there`)
    if (critical !== CRITICAL.has(oid)) problems.push(`extension ${oid} is ${critical ? '' : 'not '}critical`)
  }
  if (shard !== undefined && extensions.has(E.idp) && urisOf(extensions.get(E.idp)!.value).join() !== shard) problems.push('it is not found where it says')
  if (shard !== undefined && !extensions.has(E.idp)) problems.push('a part that does not say that it is one')
  return problems
}

/** What is wrong with a successful OCSP response for certificates of this CA. RFC 6960 §4.2. */
export function lintOcsp(der: Uint8Array, issuer: Uint8Array, nonce?: Uint8Array): readonly string[] {
  const problems: string[] = []
  const root = whole(der)
  problems.push(...root.problems)
  const bytes = root.kids[1]?.kids[0]
  if (hexOf(root.kids[0]) !== '00' || root.kids[0]?.tag !== T.enumerated || bytes?.kids[0] === undefined || oidOf(bytes.kids[0]) !== '1.3.6.1.5.5.7.48.1.1') return [...problems, 'it is no successful basic response']
  const basic = whole(bytes.kids[1]?.body ?? Buffer.alloc(0))
  problems.push(...basic.problems)
  const [data, by, signature, certificates] = basic.kids
  algorithm(by, problems)
  if (signature?.tag !== T.bits || certificates?.tag !== 0xa0 || certificates.kids[0]?.kids.length !== 1) problems.push('signature or certificates')
  const responder = certificates?.kids[0]?.kids[0]?.raw ?? Buffer.alloc(0)
  problems.push(...lintCertificate(responder, 'ocsp-responder', issuer).map((problem) => `responder: ${problem}`))
  const fields = [...(data?.kids ?? [])]
  // v1 is the default, which DER leaves out.
  if (fields[0]?.tag === 0xa0) problems.push('a version that is left out')
  const [id, produced, answers, more] = fields
  const key = take(responder, []).spki?.kids[1]?.body.subarray(1) ?? Buffer.alloc(0)
  if (id?.tag !== 0xa2 || hexOf(id.kids[0]) !== createHash('sha1').update(key).digest('hex')) problems.push('the responder is not named by its key')
  const producedAt = time(produced, 'producedAt', problems, true)
  for (const { kids: [, status, from, until, none] } of answers?.kids ?? []) {
    const thisUpdate = time(from, 'thisUpdate', problems, true)
    if (until?.tag !== 0xa0 || none !== undefined) problems.push('no nextUpdate, or extensions')
    const nextUpdate = time(until?.kids[0], 'nextUpdate', problems, true)
    if (!(thisUpdate <= producedAt && producedAt < nextUpdate)) problems.push('times out of their order')
    if (status?.tag === 0xa1) {
      if (!(time(status.kids[0], 'a revocation', problems, true) <= producedAt)) problems.push('a revocation of the future')
      const reason = status.kids[1]
      if (reason !== undefined && (reason.tag !== 0xa0 || reason.kids[0]?.tag !== T.enumerated || reason.kids[0].body[0] === 0)) problems.push('a reason that is left out, or none')
    } else if ((status?.tag !== 0x80 && status?.tag !== 0x82) || status.body.length !== 0) problems.push('a status that there is not')
  }
  const extensions = extensionsOf(more?.kids[0]?.kids ?? [], problems)
  const echoed = extensions.get(E.nonce)
  if ([...extensions.keys()].some((oid) => oid !== E.nonce) || echoed?.critical === true || hexOf(echoed?.value) !== Buffer.from(nonce ?? []).toString('hex')) problems.push('the nonce is not the one that was sent')
  return problems
}

// Family I: names in certificates that are not what they look like: with characters that cut, hide or join, in encodings that
// two programs read differently. They are shown by hand, for not every TLS library would load them.

import { forgeLeaf, type ForgedLeaf } from '../forge/authority.ts'
import { commonName, OID, type Attribute } from '../forge/der.ts'
import { proofWith } from '../forge/proof.ts'
import { auditOf, connectFrom, MQTT_VERSIONS, type Arena, type Bench, type Runner } from './arena.ts'
import { flawedByHand, ofOurCa, ofTrustedCa, type Flaw } from './flawed.ts'
import { admittedByHand } from './handmade.ts'
import { factoryId, factoryOf, presenting } from './impostors.ts'

const cn = (value: string | Buffer, encoding?: Attribute['encoding']): Attribute => ({ type: OID.commonName, value, ...(encoding === undefined ? {} : { encoding }) })
const organization = (value: string): Attribute => ({ type: OID.organization, value })

/** Common names made of a device's id, one flaw each. */
const names = (made: Readonly<Record<string, (id: string) => string>>): Runner =>
  flawedByHand((id) => Object.fromEntries(Object.entries(made).map(([label, make]) => [label, { subject: commonName(make(id)) }])))

/** I03: of another CA the policy says where the name stands; there two values are too many, and another kind of value is no name. */
async function joined(arena: Arena, bench: Bench): Promise<void> {
  const withUserId = (id: string): Flaw => ({ subject: [[cn(id), { type: OID.userId, value: 'admin' }]] })
  const twice = (id: string): Readonly<Record<string, Flaw>> => ({ 'CN + CN': { subject: [[cn(id), cn('admin')]] } })
  await ofOurCa((id) => ({ ...twice(id), 'CN + UID': withUserId(id), 'CN + O': { subject: [[cn(id), organization('Acme')]] } }))(arena, bench)
  await ofTrustedCa(twice)(arena, bench)
  await onlyAsItself(arena, bench, 'the UID beside its name', withUserId, 'admin')
}

/** What is not of the type that its tag says. */
const ENCODINGS: Readonly<Record<string, (id: string) => Attribute>> = {
  'UTF8String that is cut off': (id) => cn(Buffer.concat([Buffer.from(id), Buffer.from([0xc3])])),
  'UTF8String with an overlong slash': (id) => cn(Buffer.concat([Buffer.from(id), Buffer.from([0xc0, 0xaf])])),
  'UTF8String with half a pair': (id) => cn(Buffer.concat([Buffer.from(id), Buffer.from([0xed, 0xa0, 0x80])])),
  'BMPString of odd length': (id) => cn(Buffer.concat([Buffer.from(id, 'utf16le').swap16(), Buffer.from([0])]), 'bmp'),
  'BMPString with half a pair': (id) => cn(Buffer.concat([Buffer.from(id, 'utf16le').swap16(), Buffer.from([0xd8, 0x00])]), 'bmp'),
  'T61String': (id) => cn(id, 'teletex'),
  'PrintableString with characters of another type': (id) => cn(`${id}_@*`, 'printable'),
}

/** I05: only who reads names as one text finds this common name in an organisation. */
async function smuggledNames(arena: Arena, bench: Bench): Promise<void> {
  await names({
    'a line break and another name': (id) => `${id}\nCN=admin`,
    'a carriage return': (id) => `${id}\r\nCN=admin`,
    'a comma and another name': (id) => `${id}, CN=admin`,
    'a slash and another name': (id) => `${id}/CN=admin`,
    'another name first': (id) => `admin\nCN=${id}`,
  })(arena, bench)
  const victim = await arena.identities.fresh('i05')
  await onlyAsItself(arena, bench, 'the name in its organisation', (id) => ({ subject: [[organization(`Acme\nCN=${victim.id}`)], [cn(id)]] }), victim.id)
}

/** I19: what an alternative name says is nobody's name; the common name is. */
async function otherAlternatives(arena: Arena, bench: Bench): Promise<void> {
  await ofOurCa((id) => ({ 'another DNS name': { names: ['other.example'] }, 'another URI': { names: [`urn://${id}/other`] } }))(arena, bench)
  const other = factoryId()
  await onlyAsItself(arena, bench, 'its alternative name', () => ({ names: [other] }), other)
}

/** A device of the factory comes in under its common name, whatever else its certificate says, and under that alone. */
async function onlyAsItself(arena: Arena, bench: Bench, label: string, wishes: (id: string) => Flaw, said: string): Promise<void> {
  const id = factoryId()
  const leaf: ForgedLeaf = forgeLeaf(factoryOf(arena), id, wishes(id))
  await admittedByHand(arena, bench, 'its common name', { chain: [leaf.certificate], proof: proofWith(leaf.key) }, id)
  for (const version of MQTT_VERSIONS) {
    const { seen, peer } = await connectFrom(arena, { credentials: presenting(leaf), version }, said)
    bench.attack('client', `${label} as client id, MQTT ${version}`, seen, auditOf(peer))
    peer.end()
  }
}

export const IDENTITY_NAME_CASES = {
  I03: joined,
  I04: names({ 'NUL and another domain': (id) => `${id}\0.evil`, 'NUL at the end': (id) => `${id}\0`, 'NUL at the beginning': (id) => `\0${id}` }),
  I05: smuggledNames,
  I06: names({
    'a Cyrillic letter': (id) => id.replace('a', '\u0430').concat('\u0430'),
    'a letter and its accent apart': (id) => `${id}e\u0301`,
    'a letter with its accent': (id) => `${id}\u00e9`,
    'a joiner of no width': (id) => `${id}\u200d`,
    'written from the right': (id) => `\u202e${id}`,
    'wide digits': (id) => `${id}\uff11`,
  }),
  I09: names({ '%c': (id) => `${id}%c`, '%u': () => '%u', 'a variable of the policy': () => '${device.id}', 'a variable of somebody else': () => '${clientId}', 'braces': () => '{{id}}' }),
  I11: names({ '65 characters': (id) => id.padEnd(65, 'x'), '60 kB': (id) => id.padEnd(60_000, 'x') }),
  I12: flawedByHand((id) => Object.fromEntries(Object.entries(ENCODINGS).map(([label, make]) => [label, { subject: [[make(id)]] }]))),
  I15: names({ 'in capitals': (id) => id.toUpperCase(), 'a space behind it': (id) => `${id} `, 'a space before it': (id) => ` ${id}`, 'a full stop behind it': (id) => `${id}.` }),
  I19: otherAlternatives,
} as const satisfies Record<string, Runner>

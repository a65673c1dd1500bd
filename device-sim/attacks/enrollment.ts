// Family E: requests that lie about their key or their name, or ask for what no device may have. All are sent through the
// admin API with a good operator credential: what is refused is the request, not the asker.

import { name, commonName, OID } from '../forge/der.ts'
import { pem, readCertificate, unpem } from '../forge/certificate.ts'
import { privateKey, WEAK_KEYS } from '../forge/keys.ts'
import { flipSignature, forgeRequest, GREEDY_EXTENSIONS, type RequestWishes } from '../forge/request.ts'
import { enrolledFrom } from '../admin.ts'
import type { Observed } from '../oracle.ts'
import type { Arena, Bench, Runner } from './arena.ts'

/** Sends a request for this device from an address of its own and lays the answer on the bench. */
async function ask(arena: Arena, bench: Bench, label: string, id: string, csr: string): Promise<void> {
  const source = arena.sources.next()
  const before = await arena.admin.certificatesOf(id)
  const answer = await arena.admin.tryEnroll(id, csr, source)
  const recorded = (await arena.admin.certificatesOf(id)) - before
  bench.attack('attack', label, { kind: 'answered', status: answer.status, code: answer.code, recorded }, { address: source })
}

async function honestRequestWorks(arena: Arena, bench: Bench, id: string): Promise<void> {
  const answer = await arena.admin.tryEnroll(id, forgeRequest(privateKey(), id))
  bench.control('an honest request for the same device', enrolledFrom(answer) !== undefined, `HTTP ${answer.status}`)
}

async function unprovenPossession(arena: Arena, bench: Bench): Promise<void> {
  const id = await arena.identities.registered('e01')
  const [der] = unpem(forgeRequest(privateKey(), id), 'CERTIFICATE REQUEST')
  if (der === undefined) throw new Error('the forge made no request')
  await ask(arena, bench, 'a flipped bit in the signature', id, pem('CERTIFICATE REQUEST', flipSignature(der)))
  await ask(arena, bench, 'signed by another key', id, forgeRequest(privateKey(), id, { signWith: privateKey() }))
  await honestRequestWorks(arena, bench, id)
}

async function foreignNames(arena: Arena, bench: Bench): Promise<void> {
  const [id, other] = [await arena.identities.registered('e02'), await arena.identities.registered('e02')]
  const cn = (value: string) => ({ type: OID.commonName, value })
  const wishes: Readonly<Record<string, RequestWishes>> = {
    'the name of another device': { subject: commonName(other) },
    'its name, then another': { subject: [[cn(id)], [cn(other)]] },
    'another, then its name': { subject: [[cn(other)], [cn(id)]] },
    'a wildcard': { subject: commonName('+') },
    'its name in capitals': { subject: commonName(id.toUpperCase()) },
  }
  for (const [label, wish] of Object.entries(wishes)) await ask(arena, bench, label, id, forgeRequest(privateKey(), id, wish))
  bench.control('the other device got nothing', (await arena.admin.certificatesOf(other)) === 0, other)
  await honestRequestWorks(arena, bench, id)
}

/** What every certificate of the device profile has, and nothing else. certs/profiles/device.yaml */
const PROFILE_EXTENSIONS: readonly string[] = [OID.basicConstraints, OID.keyUsage, OID.extendedKeyUsage, OID.subjectKeyId, OID.authorityKeyId]

/** What the certificate holds beyond the profile, compared with one that was asked for without wishes. */
export function surplusOf(certificate: Buffer, plain: Buffer, id: string): readonly string[] {
  const [got, honest] = [readCertificate(certificate), readCertificate(plain)]
  const same = (oid: string): boolean => {
    const [a, b] = [got, honest].map((fields) => fields.extensions.find((extension) => extension.id === oid)?.der)
    return a !== undefined && b !== undefined && a.equals(b)
  }
  return [
    ...got.extensions.map((extension) => extension.id).filter((oid) => !PROFILE_EXTENSIONS.includes(oid)).map((oid) => `extension ${oid}`),
    ...[OID.basicConstraints, OID.keyUsage, OID.extendedKeyUsage, OID.authorityKeyId].filter((oid) => !same(oid)).map((oid) => `another value of ${oid}`),
    ...(got.subject.equals(name(commonName(id))) ? [] : ['another subject']),
  ]
}

async function greedy(arena: Arena, bench: Bench): Promise<void> {
  const honest = await arena.identities.registered('e07')
  const [plain] = unpem((await arena.admin.enroll(honest, forgeRequest(privateKey(), honest))).certificate)
  if (plain === undefined) throw new Error('no certificate came back')
  bench.control('a request without wishes', surplusOf(plain, plain, honest).length === 0, 'issued by the profile alone')
  const wishes: Readonly<Record<string, (id: string) => RequestWishes>> = {
    ...Object.fromEntries(Object.entries(GREEDY_EXTENSIONS).map(([label, extension]) => [label, () => ({ extensions: [extension] })])),
    'all of them': () => ({ extensions: Object.values(GREEDY_EXTENSIONS) }),
    'an organisation': (id) => ({ subject: [[{ type: OID.organization, value: 'Operators' }], [{ type: OID.commonName, value: id }]] }),
  }
  for (const [label, wish] of Object.entries(wishes)) {
    const id = await arena.identities.registered('e07')
    const source = arena.sources.next()
    const answer = await arena.admin.tryEnroll(id, forgeRequest(privateKey(), id, wish(id)), source)
    const enrolled = enrolledFrom(answer)
    const [certificate] = enrolled === undefined ? [] : unpem(enrolled.certificate)
    const seen: Observed = certificate === undefined
      ? { kind: 'answered', status: answer.status, code: answer.code, recorded: await arena.admin.certificatesOf(id) }
      : { kind: 'issued', surplus: surplusOf(certificate, plain, id) }
    bench.attack('attack', label, seen, { address: source })
  }
}

async function weakKeys(arena: Arena, bench: Bench): Promise<void> {
  const id = await arena.identities.registered('e10')
  for (const [label, makeKey] of Object.entries(WEAK_KEYS)) await ask(arena, bench, label, id, forgeRequest(makeKey(), id))
  await honestRequestWorks(arena, bench, id)
}

async function keysOfOthers(arena: Arena, bench: Bench): Promise<void> {
  const [other, gone] = await arena.identities.batch('e11', 2)
  if (other === undefined || gone === undefined) throw new Error('two devices are needed')
  const id = await arena.identities.registered('e11')
  await ask(arena, bench, 'the key of another device', id, forgeRequest(other.keyObject, id))
  await arena.admin.revoke({ serial: gone.serial }, 'keyCompromise')
  await ask(arena, bench, 'the key of a revoked certificate, by its own device', gone.id, forgeRequest(gone.keyObject, gone.id))
  await ask(arena, bench, 'the key of a revoked certificate, by another device', id, forgeRequest(gone.keyObject, id))
  if (arena.issuingAuthority === undefined) bench.skip('the key of the CA', 'it is not at hand')
  else await ask(arena, bench, 'the key of the CA', id, forgeRequest(arena.issuingAuthority.key, id))
  await honestRequestWorks(arena, bench, id)
}

export const ENROLLMENT_CASES = {
  E01: unprovenPossession,
  E02: foreignNames,
  E07: greedy,
  E10: weakKeys,
  E11: keysOfOthers,
} as const satisfies Record<string, Runner>

// Family E: certificates that would renew themselves though they are over or are somebody else's, and what the operator and everybody
// may ask about revocations.

import { randomBytes } from 'node:crypto'
import { forgeIssuing, forgeLeaf, forgeRoot } from '../forge/authority.ts'
import type { ForgedExtension } from '../forge/certificate.ts'
import { commonName, OID, tlv, type ForgedName } from '../forge/der.ts'
import { privateKey } from '../forge/keys.ts'
import type { Identity } from '../identities.ts'
import { MQTT_LIMITS } from '../mqtt-limits.ts'
import { askOcsp, ocspRequest, type OcspAnswer } from '../ocsp.ts'
import type { Observed } from '../oracle.ts'
import { connectFrom, type Arena, type Bench, type Runner } from './arena.ts'
import { askEst, attackEst, issued } from './est-door.ts'
import { presenting } from './impostors.ts'
import { NotOffered } from './powers.ts'

const REENROLL = '/.well-known/est/simplereenroll'

async function renewsHonestly(arena: Arena, bench: Bench, label: string, device: Identity): Promise<void> {
  const answer = await askEst(arena, { id: device.id, credentials: device, path: REENROLL })
  bench.control(label, issued(answer)?.subject === `CN=${device.id}`, `HTTP ${answer.status}${answer.reason === undefined ? '' : ` ${answer.reason}`}`)
}

async function overAndDone(arena: Arena, bench: Bench): Promise<void> {
  const [honest, revoked, replaced, suspended] = await arena.identities.batch('e18', 4)
  if (honest === undefined || revoked === undefined || replaced === undefined || suspended === undefined) throw new Error('four devices are needed')
  await renewsHonestly(arena, bench, 'a certificate in force', honest)
  const renewing = (label: string, claim: string, device: Identity): Promise<void> => attackEst(arena, bench, claim, label, { id: device.id, credentials: device, path: REENROLL })
  await arena.admin.revoke({ device: revoked.id }, 'keyCompromise')
  await renewing('a certificate that was revoked', 'revoked', revoked)
  // The next one is used at the broker: from then on this one is over.
  const key = privateKey()
  const next = issued(await askEst(arena, { id: replaced.id, credentials: replaced, path: REENROLL, key }))
  if (next === undefined) throw new Error('no next certificate came back')
  const { seen, peer } = await connectFrom(arena, { credentials: presenting({ certificate: next.raw, key }, arena.issuing), version: 5 }, replaced.id)
  bench.control('the next certificate at the broker', seen.kind === 'admitted', seen.kind)
  peer.end()
  await renewing('a certificate that was replaced', 'superseded', replaced)
  await arena.admin.changeState(suspended.id, 'suspend')
  await renewing('a certificate of a device that is suspended', 'suspended', suspended)
  const stranger = forgeIssuing(forgeRoot('Stranger'), 'Stranger')
  const forged = presenting(forgeLeaf(stranger, honest.id), stranger.certificate)
  await attackEst(arena, bench, 'unrecorded', 'a certificate of another CA in its name', { id: honest.id, credentials: forged, path: REENROLL })
  await attackEst(arena, bench, 'nothing', 'no certificate', { id: honest.id, path: REENROLL })
  await attackEst(arena, bench, 'nothing', 'a token, where a certificate belongs', { id: honest.id, token: await arena.admin.createToken(honest.id), path: REENROLL })
}

const alternative: ForgedExtension = { id: OID.subjectAltName, critical: false, value: tlv(0x30, tlv(0x82, Buffer.from('mqtt.example.org'))) }

/** E19: RFC 7030 §4.2.2: subject and alternative names are those of the certificate. */
async function otherNames(arena: Arena, bench: Bench): Promise<void> {
  const [device, other] = await arena.identities.batch('e19', 2)
  if (device === undefined || other === undefined) throw new Error('two devices are needed')
  const cn = (value: string): ForgedName[number][number] => ({ type: OID.commonName, value })
  const subjects: Readonly<Record<string, ForgedName>> = {
    'the name of another device': commonName(other.id),
    'its name and another': [[cn(device.id)], [cn(other.id)]],
    'an organisation besides': [[{ type: OID.organization, value: 'Operators' }], [cn(device.id)]],
    'its name in capitals': commonName(device.id.toUpperCase()),
    'no name': [],
  }
  for (const [label, subject] of Object.entries(subjects)) await attackEst(arena, bench, 'attack', label, { id: device.id, credentials: device, path: REENROLL, wishes: { subject } })
  await attackEst(arena, bench, 'attack', 'an alternative name', { id: device.id, credentials: device, path: REENROLL, wishes: { extensions: [alternative] } })
  await renewsHonestly(arena, bench, 'the same name', device)
}

/** E20: a new key is what renewal is for, the same key is the operator's choice; that of another device is neither. */
async function keysOfRenewal(arena: Arena, bench: Bench): Promise<void> {
  const [device, other] = await arena.identities.batch('e20', 2)
  if (device === undefined || other === undefined) throw new Error('two devices are needed')
  await attackEst(arena, bench, 'attack', 'the key of another device', { id: device.id, credentials: device, path: REENROLL, key: other.keyObject })
  if (arena.issuingAuthority === undefined) bench.skip('the key of the CA', 'it is not at hand')
  else await attackEst(arena, bench, 'attack', 'the key of the CA', { id: device.id, credentials: device, path: REENROLL, key: arena.issuingAuthority.key })
  await attackEst(arena, bench, 'unproven', 'a new key that it does not hold', { id: device.id, credentials: device, path: REENROLL, wishes: { signWith: privateKey() } })
  await renewsHonestly(arena, bench, 'a new key', device)
  const same = await askEst(arena, { id: other.id, credentials: other, path: REENROLL, key: other.keyObject })
  bench.control('the same key: granted, or refused in words', issued(same) !== undefined || same.reason === 'renewal-same-key', `HTTP ${same.status}`)
}

/** E29. */
async function revocations(arena: Arena, bench: Bench): Promise<void> {
  const [device, bystander] = await arena.identities.batch('e29', 2)
  if (device === undefined || bystander === undefined) throw new Error('two devices are needed')
  const ask = async (claim: string, label: string, target: { readonly device: string } | { readonly serial: string }, reason = 'keyCompromise'): Promise<void> => {
    const { status, code } = await arena.admin.tryRevoke(target, reason, arena.sources.next())
    bench.attack(claim, label, { kind: 'answered', status, code, recorded: 0 })
  }
  await ask('missing', 'a serial number that nobody has', { serial: randomBytes(16).toString('hex') })
  await ask('missing', 'a device that is not there', { device: 'nobody-is-called-so' })
  await ask('malformed', 'a serial number that is none', { serial: '../../ca' })
  await ask('malformed', 'all devices', { device: '*' })
  await ask('malformed', 'a reason that there is not', { device: device.id }, 'becauseISaySo')
  const first = await arena.admin.tryRevoke({ serial: device.serial }, 'superseded')
  bench.control('a certificate that is in force', first.status === 200, `HTTP ${first.status}`)
  const again = await arena.admin.tryRevoke({ serial: device.serial }, 'superseded')
  bench.attack('again', 'the same once more', again.status === 200 ? { kind: 'withstood', how: 'answered again' } : { kind: 'disturbed', how: `HTTP ${again.status}` })
  const { seen, peer } = await connectFrom(arena, { credentials: bystander, version: 5 }, bystander.id)
  bench.control('nobody else is concerned', seen.kind === 'admitted', seen.kind)
  peer.end()
}

const said = ({ http, response, status }: OcspAnswer): string => `HTTP ${http}, ${response === undefined ? 'no OCSP' : `OCSP ${response}`}${status === undefined ? '' : `, ${status}`}`

/** E30: whoever relies on OCSP takes "good" for true. */
async function ocsp(arena: Arena, bench: Bench): Promise<void> {
  arena.take('ocsp')
  const pki = arena.doors?.pki
  if (pki === undefined) throw new NotOffered('ocsp')
  const [good, revoked] = await arena.identities.batch('e30', 2)
  if (good === undefined || revoked === undefined) throw new Error('two devices are needed')
  await arena.admin.revoke({ serial: revoked.serial }, 'keyCompromise')
  const ask = (body: Buffer): Promise<OcspAnswer> => askOcsp(pki, { body }, arena.sources.next())
  const honest = await ask(ocspRequest(arena.issuing, good.serial))
  bench.control('a certificate in force', honest.status === 'good', said(honest))
  const never = (label: string, answer: OcspAnswer, allowed: boolean): void => bench.attack('attack', label, allowed && answer.status !== 'good' ? { kind: 'withstood', how: said(answer) } : { kind: 'disturbed', how: said(answer) })
  const wrong = await ask(ocspRequest(arena.issuing, revoked.serial))
  never('a certificate that was revoked', wrong, wrong.status === 'revoked')
  const unknown = await ask(ocspRequest(arena.issuing, randomBytes(16).toString('hex')))
  never('a serial number that nobody has', unknown, unknown.status === 'unknown' || unknown.status === 'revoked')
  const foreign = await ask(ocspRequest(forgeIssuing(forgeRoot('Stranger'), 'Stranger').certificate, good.serial))
  never('a certificate of another CA', foreign, foreign.response === 6 || foreign.status === 'unknown')
  const cut = ocspRequest(arena.issuing, good.serial).subarray(0, -3)
  for (const [label, body] of Object.entries({ 'nothing': Buffer.alloc(0), 'noise': randomBytes(200), 'half a request': cut, '1 MB': Buffer.alloc(1_048_576, 0x30) })) {
    const answer = await ask(body).catch((): OcspAnswer => ({ http: 413, response: undefined, status: undefined }))
    never(label, answer, answer.response === 1 || answer.http === 413 || answer.http === 400)
  }
  const long = await askOcsp(pki, { path: `/ocsp/${'A'.repeat(64_000)}` }, arena.sources.next()).catch((): OcspAnswer => ({ http: 431, response: undefined, status: undefined }))
  never('64 kB in the path', long, [400, 414, 431].includes(long.http) || long.response === 1)
  bench.attack('flood', `${MQTT_LIMITS.ocspFlood} questions at once`, await ocspFlood(arena, pki, ocspRequest(arena.issuing, good.serial)))
}

async function ocspFlood(arena: Arena, pki: { readonly host: string; readonly port: number }, body: Buffer): Promise<Observed> {
  const source = arena.sources.next()
  const answers = await Promise.all(Array.from({ length: MQTT_LIMITS.ocspFlood }, () => askOcsp(pki, { body }, source).catch(() => undefined)))
  const trip = await arena.canary.roundTrip()
  if (trip === undefined) return { kind: 'disturbed', how: 'the canary device no longer hears itself' }
  const lies = answers.filter((answer) => answer?.status !== undefined && answer.status !== 'good').length
  return lies === 0 ? { kind: 'withstood', how: 'each answered with the truth, or turned away' } : { kind: 'disturbed', how: `${lies} answers say something else` }
}

export const EST_RENEWAL_CASES = {
  E18: overAndDone,
  E19: otherNames,
  E20: keysOfRenewal,
  E29: revocations,
  E30: ocsp,
} as const satisfies Record<string, Runner>

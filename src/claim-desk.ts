// What an operator does about tokens that a certificate proves: a claim is made, with its certificate, in one commit; a manufacturer is
// admitted; and any token is suspended and resumed. How they are used is the business of enrollment-desk.ts and certificate-door.ts.

import { randomBytes } from 'node:crypto'
import { chainOf, rootsInForce } from './ca/chains.ts'
import type { Authority } from './ca/issue.ts'
import { CLAIM_LIMITS } from './claim-limits.ts'
import type { Actor } from './core/audit.ts'
import { isSignatureAccepted } from './core/certificate-rules.ts'
import { deny } from './core/decision.ts'
import type { EnrollmentDesk, NewToken, TokenShown } from './core/enrollment-desk.ts'
import { failureOf } from './core/errors.ts'
import type { EpochMs, TokenName } from './core/ids.ts'
import type { Registry } from './core/registry.ts'
import type { TokenProof, TokenRecord } from './core/token.ts'
import { parseCsr } from './x509/csr.ts'
import { encodePem } from './x509/pem.ts'

interface ClaimDeskPorts {
  readonly registry: Registry
  readonly authority: Authority
  readonly clock: () => EpochMs
}

/** Crockford's base 32. */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const NAME_CHARS = 8
const SECOND_MS = 1_000

export const tokenLetters = (count: number): string => Array.from(randomBytes(count), (byte) => ALPHABET[byte & 31]).join('')
export const newTokenName = (): TokenName => tokenLetters(NAME_CHARS) as TokenName

/** All but what would let anybody guess. */
export function shownToken({ proof, ...rest }: TokenRecord): TokenShown {
  return { ...rest, proof: proof.kind === 'secret' ? { kind: 'secret' } : proof }
}

export function openClaimDesk({ registry, authority, clock }: ClaimDeskPorts, actor: Actor): Pick<EnrollmentDesk, 'createClaim' | 'admitManufacturer' | 'suspendToken'> {
  return {
    async createClaim(token, text) {
      const csr = parseCsr(text)
      if (!csr.allow) throw failureOf(csr)
      const { possessionProven, signatureAlgorithm, key, spki } = csr.value
      if (!possessionProven) throw failureOf(deny('csr-signature-invalid'))
      if (!isSignatureAccepted(signatureAlgorithm)) throw failureOf(deny('csr-signature-invalid', `signature algorithm ${signatureAlgorithm}`))
      const at = clock()
      // A certificate ends at a whole second, and the claim with it.
      const record = recordOf(token, { kind: 'claim', sha256: key.spkiSha256 }, at)
      const claim: TokenRecord = { ...record, expiresAt: Math.floor(record.expiresAt / SECOND_MS) * SECOND_MS }
      // One that is over before it is handed out would be a failure of the CA, which it is not.
      if (claim.expiresAt < at + SECOND_MS) throw failureOf(deny('request-invalid', 'a claim lives for two seconds at least'))
      const issued = await authority.issue({
        // No device is called so: nobody takes it for one, at other people's doors either.
        profile: 'claim', commonName: `claim ${claim.name}`, spki, until: claim.expiresAt, through: claim.name,
        along: { changes: [{ kind: 'token-added', token: claim }], audit: [{ kind: 'token-created', at, token: claim.name, actor }] },
      }, actor)
      if (!issued.allow) throw failureOf(issued)
      const { record: certificate, der } = issued.value
      const cas = registry.cas()
      return {
        name: claim.name, target: claim.target, expiresAt: claim.expiresAt, serial: certificate.serial,
        certificate: encodePem('CERTIFICATE', der),
        chain: chainOf(certificate.issuer, cas).map((ca) => encodePem('CERTIFICATE', ca)),
        root: rootsInForce(cas).map((root) => encodePem('CERTIFICATE', root.der)).join(''),
      }
    },
    async admitManufacturer(token, rule) {
      const ca = registry.cas().find(({ name, role }) => name === rule.ca && role === 'trusted')
      if (ca === undefined) throw failureOf(deny('request-invalid', `there is no trusted CA ${rule.ca}: list it in trust: of sallyport.yaml, and let the server read that`))
      const rules = registry.tokensProvenBy(ca.spkiSha256)
      if (rules.length >= CLAIM_LIMITS.rulesPerManufacturerMax) throw failureOf(deny('request-invalid', `there are ${rules.length} rules for ${ca.name} already`))
      const at = clock()
      const record = recordOf(token, { kind: 'manufacturer', sha256: ca.spkiSha256, ...rule }, at)
      const committed = await registry.commit([{ kind: 'token-added', token: record }], [], [{ kind: 'token-created', at, token: record.name, ca: ca.name, actor }])
      if (!committed.allow) throw failureOf(committed)
      return shownToken(record)
    },
    async suspendToken(name, suspended) {
      const token = registry.token(name)
      if (token === undefined) throw failureOf(deny('token-not-found', name))
      if (token.revokedAt !== undefined) throw failureOf(deny('state-transition', `${name} is revoked`))
      const at = clock()
      if (suspended !== (token.suspendedAt !== undefined)) {
        const committed = await registry.commit([{ kind: 'token-suspended', name, ...(suspended ? { at } : {}) }], [], [{ kind: suspended ? 'token-suspended' : 'token-resumed', at, token: name, actor }])
        if (!committed.allow) throw failureOf(committed)
      }
      return shownToken(registry.token(name) ?? token)
    },
  }
}

function recordOf({ uses, lifeMs, ...token }: NewToken, proof: TokenProof, at: EpochMs): TokenRecord {
  return { ...token, proof, name: newTokenName(), usesMax: uses, uses: 0, createdAt: at, expiresAt: at + lifeMs }
}

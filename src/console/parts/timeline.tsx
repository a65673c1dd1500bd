// The life of a device's certificates, newest first: issued, first used, renewed, superseded, revoked, and when it ends.

import type { ComponentChildren, JSX } from 'preact'
import { useState } from 'preact/hooks'
import { Link } from '../router.tsx'
import type { Certificate, CertificateLife } from '../shapes.ts'
import { For } from '../who.tsx'
import { CERTIFICATE_TONES, expiry, grouped, toneOfExpiry } from '../words.ts'
import { Revoke } from './device-actions.tsx'
import { State, Time, useNow } from './shown.tsx'

export interface TimelineProps {
  readonly certificates: readonly Certificate[]
  /** What the audit log knows beyond them, once it has answered. */
  readonly lives: readonly CertificateLife[] | undefined
  readonly onDone: () => void
}

export function Timeline({ certificates, lives, onDone }: TimelineProps): JSX.Element | null {
  const now = useNow()
  const [revoking, setRevoking] = useState<string>()
  if (certificates.length === 0) return null
  return (
    <section aria-labelledby="certificates">
      <h2 id="certificates">Certificates</h2>
      <ol class="timeline">
        {certificates.toSorted((a, b) => b.createdAt - a.createdAt).map((certificate) => {
          const { serial, issuer, state, notAfter } = certificate
          const inForce = state === 'active' || state === 'issued'
          return (
            <li key={`${issuer} ${serial}`}>
              <p>
                <Link to={`/certificates?serial=${serial}`} class="mono">{grouped(serial)}</Link> <State tone={inForce ? toneOfExpiry(notAfter, now) : CERTIFICATE_TONES[state] ?? 'idle'}>{inForce && notAfter <= now ? 'expired' : state}</State> <span class="quiet">from {issuer}</span>
                {inForce && <For role="operator"> <button type="button" class="small" onClick={() => setRevoking(serial)}>Revoke this one…</button></For>}
              </p>
              <ul class="steps">{stepsOf(certificate, lives?.find((life) => life.serial === serial && life.issuer === issuer)).map(([at, words]) => <li key={String(at)}>{words} <Time at={at} /></li>)}</ul>
              {inForce && <p class={notAfter <= now ? 'state bad' : 'quiet'}><Time at={notAfter}>{expiry(notAfter, now)}</Time></p>}
            </li>
          )
        })}
      </ol>
      {revoking !== undefined && <Revoke target={{ serial: revoking }} name={revoking} sessions={undefined} onDone={onDone} onClose={() => setRevoking(undefined)} />}
    </section>
  )
}

/** In the order in which they happened. */
function stepsOf(certificate: Certificate, life: CertificateLife | undefined): readonly (readonly [at: number, words: ComponentChildren])[] {
  const revoked = life?.revokedAt ?? certificate.revokedAt
  const reason = life?.revocationReason ?? certificate.revocationReason
  const steps: readonly (readonly [number | undefined, ComponentChildren])[] = [
    [life?.issuedAt ?? certificate.createdAt, life?.renews === undefined ? 'Issued' : <>Issued as the renewal of <span class="mono">{grouped(life.renews)}</span></>],
    [life?.firstUsedAt, 'First used'],
    [life?.supersededAt, `Superseded${life?.because === undefined ? '' : `: ${life.because}`},`],
    [revoked, `Revoked${reason === undefined ? '' : ` (${reason})`}`],
  ]
  return steps.flatMap(([at, words]) => (at === undefined ? [] : [[at, words] as const]))
}

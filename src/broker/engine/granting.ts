// Grants under the policy in force, for those who are connected, for those who are not, and for what was said earlier: which facts
// a rule may ask for is decided here, and nowhere else. policy.md, `when`.

import type { CertificateFacts } from '../../core/certificate.ts'
import type { Device } from '../../core/device.ts'
import type { CaName } from '../../core/ids.ts'
import type { Publisher } from '../../core/message.ts'
import type { ConnectionFacts } from '../../core/policy/conditions.ts'
import { grantsFor, type Grants, type Principal, type RateMeter } from '../../core/policy/grants.ts'
import { parseCertificate } from '../../x509/certificate.ts'
import type { BrokerPorts } from '../ports.ts'
import type { Rates } from './rates.ts'

/** The certificate that somebody comes with. `leaf` may be a getter: it is read only when the policy speaks of certificates. */
export interface Credential {
  readonly issuer: CaName
  /** DER. */
  readonly leaf: Uint8Array | undefined
}

export interface Granting {
  /** Of somebody who is connected, and whose messages count. */
  connected(device: Device, credential: Credential, clientId: string, connection: ConnectionFacts): Grants
  /** Of somebody who is not, at this moment: a session that is away, a Will that fires. */
  absent(device: Device, credential: Credential, clientId: string): Grants
  /** Of who said what is kept since: time and connection were judged when it was said. */
  earlier(device: Device, publisher: Publisher): Grants
}

export function openGranting({ policy, clock }: Pick<BrokerPorts, 'policy' | 'clock'>, rates: Rates): Granting {
  function grants(device: Device, credential: Credential, facts: Pick<Principal, 'clientId' | 'now' | 'connection'>, meter?: RateMeter): Grants {
    let certificate: CertificateFacts | undefined
    return grantsFor(policy(), {
      device,
      ca: credential.issuer,
      ...facts,
      get certificate() {
        if (certificate === undefined && credential.leaf !== undefined) {
          const parsed = parseCertificate(credential.leaf)
          certificate = parsed.allow ? parsed.value : undefined
        }
        return certificate
      },
    }, meter)
  }

  return {
    connected: (device, credential, clientId, connection) => grants(device, credential, { clientId, connection, now: clock() }, rates.of(device.id)),
    absent: (device, credential, clientId) => grants(device, credential, { clientId, now: clock() }),
    earlier: (device, publisher) => grants(device, publisher, { clientId: publisher.clientId }),
  }
}

// A new operator, or a further certificate for one: for the key of a request that was made where the operator works. The key itself
// never passes through a browser or this server.

import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { ask } from '../api.ts'
import { command } from '../shell.ts'
import type { OperatorCertified } from '../shapes.ts'
import { exact } from '../words.ts'
import { Confirm, Dialog } from './dialog.tsx'
import { save } from './export.tsx'
import { Cli } from './shown.tsx'

export const ROLES = { viewer: 'looks', operator: 'acts on devices, their certificates and tokens', admin: 'changes what holds for everybody' } as const

export interface NewOperatorProps {
  /** Of one who is there already: a further certificate. */
  readonly name?: string
  readonly onDone: () => void
  readonly onClose: () => void
}

const MAKE_REQUEST = 'openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout operator.key -subj /CN=operator -out operator.csr'

export function NewOperator({ name: given, onDone, onClose }: NewOperatorProps): JSX.Element {
  const [name, setName] = useState(given ?? '')
  const [role, setRole] = useState('viewer')
  const [tenant, setTenant] = useState('')
  const [csr, setCsr] = useState('')
  const [made, setMade] = useState<OperatorCertified>()
  const act = async (): Promise<void> => {
    setMade(given === undefined
      ? await ask<OperatorCertified>('POST', '/v1/operators', { name, role, csr, ...(tenant === '' ? {} : { tenant }) })
      : await ask<OperatorCertified>('POST', `/v1/operators/${encodeURIComponent(given)}/certificates`, { csr }))
    onDone()
  }
  if (made !== undefined) return <Made {...made} onClose={onClose} />
  const cli = given === undefined && name !== '' ? command('operator', 'add', name, '--role', role, ...(tenant === '' ? [] : ['--tenant', tenant])) : undefined
  return (
    <Confirm title={given === undefined ? 'Make an operator' : `A further certificate for ${given}`} verb="Issue the certificate" keep act={act} onClose={onClose} {...(cli === undefined ? {} : { cli })}>
      {given === undefined && (
        <>
          <label class="field">Name<input value={name} required maxLength={64} onInput={(event) => setName(event.currentTarget.value)} autocomplete="off" spellcheck={false} class="mono" /></label>
          <label class="field">Role<select value={role} onChange={(event) => setRole(event.currentTarget.value)}>{Object.entries(ROLES).map(([value, what]) => <option key={value} value={value}>{value}: {what}</option>)}</select></label>
          <label class="field">Tenant; empty: all of them<input value={tenant} onInput={(event) => setTenant(event.currentTarget.value)} autocomplete="off" spellcheck={false} class="mono" /></label>
        </>
      )}
      <label class="field">Request of the operator (PKCS#10, PEM)<textarea rows={5} value={csr} required onInput={(event) => setCsr(event.currentTarget.value)} spellcheck={false} class="mono" placeholder="-----BEGIN CERTIFICATE REQUEST-----" /></label>
      <p class="quiet">It is made where the operator works, so that the key stays there. Subject and names in it count for nothing.</p>
      <Cli command={MAKE_REQUEST} />
      {given === undefined && <p class="quiet">Or let the command make key, certificate and a file for the browser on the machine of the server:</p>}
    </Confirm>
  )
}

function Made({ name, role, certificate, chain, root, notAfter, onClose }: OperatorCertified & { readonly onClose: () => void }): JSX.Element {
  return (
    <Dialog title={`The certificate of ${name}`} onClose={onClose}>
      <p>{name} is {role}; the certificate ends {exact(notAfter)}. It is no secret: send it to who made the request.</p>
      <div class="actions">
        <button type="button" onClick={() => save(`${name}.pem`, [certificate, ...chain].join(''), 'application/x-pem-file')}>Save the certificate</button>
        <button type="button" onClick={() => save('ca.pem', root, 'application/x-pem-file')}>Save the root</button>
        <button type="button" onClick={onClose}>Close</button>
      </div>
    </Dialog>
  )
}

// What can be done to a device, each with exactly what will happen. Only what its state allows is offered.

import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { ask } from '../api.ts'
import { devicePath } from '../router.tsx'
import { disconnects } from '../sentences.ts'
import { command } from '../shell.ts'
import type { Device, DeviceWithCertificates } from '../shapes.ts'
import { REVOCATION_REASONS } from '../../vocabulary.ts'
import { useMay, useTenant } from '../who.tsx'
import { Confirm } from './dialog.tsx'
import { EditDevice } from './edit-device.tsx'

export interface DeviceActionsProps {
  readonly device: DeviceWithCertificates
  /** Connected now; undefined while nobody knows. */
  readonly sessions: number | undefined
  readonly onDone: () => void
}

interface Action {
  readonly verb: string
  /** The states in which it is of use. */
  readonly from: readonly string[]
  readonly danger?: true
  readonly what: string
}

const STATE_ACTIONS: Readonly<Record<string, Action>> = {
  suspend: { verb: 'Suspend', from: ['active', 'quarantined'], what: 'It is refused until somebody resumes it. Its certificates stay.' },
  resume: { verb: 'Resume', from: ['suspended', 'quarantined', 'pending'], what: 'It can connect again with the certificates that it has.' },
  quarantine: { verb: 'Quarantine', from: ['active'], what: 'It keeps its connection, and has only what the policy grants in quarantine, at once.' },
  retire: { verb: 'Retire', from: ['active', 'suspended', 'quarantined', 'pending'], danger: true, what: 'It is refused for ever: a retired device never comes back, and nobody else can have its id.' },
}
const DISCONNECTS: ReadonlySet<string> = new Set(['suspend', 'retire'])

export function DeviceActions({ device, sessions, onDone }: DeviceActionsProps): JSX.Element | null {
  const may = useMay('operator')
  const isOfAll = useTenant() === undefined
  const [asking, setAsking] = useState<string>()
  const close = (): void => setAsking(undefined)
  const action = asking === undefined ? undefined : STATE_ACTIONS[asking]
  const inForce = device.certificates.some(({ state }) => state === 'active' || state === 'issued')
  if (!may) return null
  return (
    <>
      {device.state !== 'retired' && <button type="button" onClick={() => setAsking('edit')}>Edit…</button>}
      {inForce && isOfAll && <button type="button" onClick={() => setAsking('renew')}>Renew…</button>}
      {Object.entries(STATE_ACTIONS).flatMap(([name, { verb, from, danger }]) => (from.includes(device.state) ? [<button key={name} type="button" class={danger === true ? 'danger' : undefined} onClick={() => setAsking(name)}>{verb}…</button>] : []))}
      {inForce && <button type="button" class="danger" onClick={() => setAsking('revoke')}>Revoke…</button>}
      {asking !== undefined && action !== undefined && (
        <Confirm title={`${action.verb} ${device.id}`} verb={action.verb} danger={action.danger === true} cli={command('device', asking, device.id)} onClose={close} {...(action.danger === true ? { typed: device.id } : {})}
          act={async () => {
            await ask<Device>('POST', `/v1${devicePath(device.id)}/state`, { action: asking })
            onDone()
          }}>
          <p>{DISCONNECTS.has(asking) && `${disconnects(sessions)} `}{action.what}</p>
        </Confirm>
      )}
      {asking === 'edit' && <EditDevice device={device} onDone={onDone} onClose={close} />}
      {asking === 'renew' && <Renew id={device.id} sessions={sessions} onClose={close} />}
      {asking === 'revoke' && <Revoke target={{ device: device.id }} name={device.id} sessions={sessions} onDone={onDone} onClose={close} />}
    </>
  )
}

/** The device makes its next key itself; it is only told that it is time. */
function Renew({ id, sessions, onClose }: { readonly id: string; readonly sessions: number | undefined; readonly onClose: () => void }): JSX.Element {
  return (
    <Confirm title={`Ask ${id} for a new key and certificate`} verb="Ask it" cli={command('cert', 'renew', '--device', id)} onClose={onClose}
      act={() => ask('POST', '/v1/renewals', { choice: { device: id }, overMs: 0, dryRun: false })}>
      <p>{sessions === 0 ? 'It is told when it connects' : 'It is told now'}, on $device/{id}/certificate/renew/hint, and renews by itself. Nothing is disconnected: its certificate of today stays good until the next one is used.</p>
    </Confirm>
  )
}

export interface RevokeProps {
  readonly target: { readonly device: string } | { readonly serial: string }
  readonly name: string
  readonly sessions: number | undefined
  readonly onDone: () => void
  readonly onClose: () => void
}

/** Revoking: all certificates of a device, or one of them. */
export function Revoke({ target, name, sessions, onDone, onClose }: RevokeProps): JSX.Element {
  const [reason, setReason] = useState('unspecified')
  const isOne = 'serial' in target
  return (
    <Confirm title={isOne ? 'Revoke this certificate' : `Revoke every certificate of ${name}`} verb="Revoke" danger typed={name} onClose={onClose}
      cli={command('cert', 'revoke', isOne ? '--serial' : '--device', isOne ? target.serial : target.device, '--reason', reason)}
      act={async () => {
        await ask('POST', '/v1/revocations', { ...target, reason })
        onDone()
      }}>
      <p>{disconnects(sessions)} {isOne ? 'This certificate can never be used again.' : 'None of its certificates can ever be used again.'} The device itself stays registered, and can be given another one.</p>
      <label class="field">Reason<select value={reason} onChange={(event) => setReason(event.currentTarget.value)}>{Object.keys(REVOCATION_REASONS).map((code) => <option key={code}>{code}</option>)}</select></label>
    </Confirm>
  )
}

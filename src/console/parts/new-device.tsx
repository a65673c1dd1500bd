// Registering a device: its id and groups; with the command that makes its key and certificate, which never pass through a browser.

import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { ask } from '../api.ts'
import { devicePath, go } from '../router.tsx'
import { command } from '../shell.ts'
import { For } from '../who.tsx'
import { Confirm } from './dialog.tsx'

export function NewDevice({ onDone }: { readonly onDone: () => void }): JSX.Element {
  const [open, setOpen] = useState(false)
  const [id, setId] = useState('')
  const [groups, setGroups] = useState('')
  const named = groups.split(/[\s,]+/).filter((name) => name !== '')
  const cli = id === '' ? undefined : command('device', 'add', id, ...named.flatMap((name) => ['--group', name]))
  const add = async (): Promise<void> => {
    await ask('POST', '/v1/devices', { id, groups: named })
    onDone()
    go(devicePath(id))
  }
  return (
    <>
      <For role="operator"><button type="button" class="primary" onClick={() => setOpen(true)}>Register a device…</button></For>
      {open && (
        <Confirm title="Register a device" verb="Register" act={add} onClose={() => setOpen(false)} {...(cli === undefined ? {} : { cli })}>
          <label class="field">Device id<input value={id} required maxLength={64} pattern="[A-Za-z0-9][A-Za-z0-9_.\-]*" onInput={(event) => setId(event.currentTarget.value)} autocomplete="off" spellcheck={false} class="mono" /></label>
          <label class="field">Groups, separated by spaces<input value={groups} onInput={(event) => setGroups(event.currentTarget.value)} autocomplete="off" spellcheck={false} class="mono" /></label>
          <p class="quiet">It can connect once it has a certificate; its page says how it gets one.</p>
        </Confirm>
      )}
    </>
  )
}

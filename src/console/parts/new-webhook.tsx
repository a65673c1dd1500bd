// A new webhook: where to, told of what. What its messages are signed with is shown once, here, and is gone with this dialog.

import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { ask } from '../api.ts'
import { EVENT_KINDS } from '../live.ts'
import { command } from '../shell.ts'
import type { WebhookMade } from '../shapes.ts'
import { Confirm, Dialog } from './dialog.tsx'
import { CopyButton } from './shown.tsx'

export function NewWebhook({ onDone, onClose }: { readonly onDone: () => void; readonly onClose: () => void }): JSX.Element {
  const [name, setName] = useState('')
  const [url, setUrl] = useState('')
  const [kinds, setKinds] = useState<readonly string[]>([])
  const [made, setMade] = useState<WebhookMade>()
  const act = async (): Promise<void> => {
    setMade(await ask<WebhookMade>('POST', '/v1/webhooks', { url, kinds, ...(name === '' ? {} : { name }) }))
    onDone()
  }
  if (made !== undefined) {
    return (
      <Dialog title={`The secret of ${made.webhook.name}`} onClose={onClose}>
        <p>Its messages are signed with this. It is shown now and never again: give it to the receiver.</p>
        <div class="cli"><code>{made.secret}</code><CopyButton text={made.secret} label="Copy" /></div>
        <div class="actions"><button type="button" onClick={onClose}>Close</button></div>
      </Dialog>
    )
  }
  const cli = url === '' ? undefined : command('webhook', 'add', url, ...kinds.flatMap((kind) => ['--events', kind]), ...(name === '' ? [] : ['--name', name]))
  return (
    <Confirm title="Add a webhook" verb="Add it" keep act={act} onClose={onClose} {...(cli === undefined ? {} : { cli })}>
      <label class="field">URL (https)<input type="url" value={url} required onInput={(event) => setUrl(event.currentTarget.value)} autocomplete="off" spellcheck={false} class="mono" placeholder="https://hooks.example.org/fleet" /></label>
      <label class="field">Name; empty: one is made<input value={name} maxLength={64} onInput={(event) => setName(event.currentTarget.value)} autocomplete="off" spellcheck={false} class="mono" /></label>
      <fieldset class="checks"><legend>Events; none: all of them</legend>
        {EVENT_KINDS.map((kind) => <label key={kind}><input type="checkbox" checked={kinds.includes(kind)} onChange={(event) => setKinds(event.currentTarget.checked ? [...kinds, kind] : kinds.filter((other) => other !== kind))} /> {kind}</label>)}
      </fieldset>
      <p class="quiet">It is told what happens from now on, one message after the other, until it has taken each. Addresses inside of this network are refused unless the configuration lists them.</p>
    </Confirm>
  )
}

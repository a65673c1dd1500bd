// Making a token. Its secret is shown once, here, and is gone with this dialog.

import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { ask } from '../api.ts'
import { command } from '../shell.ts'
import type { TokenMade } from '../shapes.ts'
import { For } from '../who.tsx'
import { exact } from '../words.ts'
import { Confirm, Dialog } from './dialog.tsx'
import { CopyButton } from './shown.tsx'

const HOUR_MS = 3_600_000
const LIVES = [['24h', 24], ['7d', 168], ['30d', 720]] as const

export function NewToken({ onDone }: { readonly onDone: () => void }): JSX.Element {
  const [open, setOpen] = useState(false)
  const [made, setMade] = useState<TokenMade>()
  const [target, setTarget] = useState('')
  const [uses, setUses] = useState('1')
  const [life, setLife] = useState<string>('24h')
  const [approve, setApprove] = useState('operator')
  const [register, setRegister] = useState(false)
  const isPattern = target.includes('*')
  const create = async (): Promise<void> => {
    const hours = LIVES.find(([name]) => name === life)?.[1] ?? 24
    const { items: [token] } = await ask<{ readonly items: readonly TokenMade[] }>('POST', '/v1/tokens', { tokens: [{ target: isPattern ? { pattern: target } : { device: target }, uses: Number(uses), lifeMs: hours * HOUR_MS, approve, register }] })
    setMade(token)
    onDone()
  }
  const cli = command('token', 'create', isPattern ? '--pattern' : '--id', target, '--expires', life, ...(uses === '1' ? [] : ['--uses', uses]), '--approve', approve, ...(register ? ['--register'] : []))
  return (
    <>
      <For role="operator"><button type="button" class="primary" onClick={() => setOpen(true)}>Make a token…</button></For>
      {open && (
        <Confirm title="Make a token" verb="Make it" act={create} onClose={() => setOpen(false)} {...(target === '' ? {} : { cli })}>
          <label class="field">For this device id, or a pattern as sensor-*<input value={target} required maxLength={64} onInput={(event) => setTarget(event.currentTarget.value)} autocomplete="off" spellcheck={false} class="mono" /></label>
          <label class="field">Uses<input type="number" min="1" value={uses} onInput={(event) => setUses(event.currentTarget.value)} /></label>
          <label class="field">Good for<select value={life} onChange={(event) => setLife(event.currentTarget.value)}>{LIVES.map(([name]) => <option key={name}>{name}</option>)}</select></label>
          <label class="field">Approval<select value={approve} onChange={(event) => setApprove(event.currentTarget.value)}><option value="operator">A person approves each request</option><option value="auto">Whoever has it gets a certificate at once</option></select></label>
          <label class="check"><input type="checkbox" checked={register} onChange={(event) => setRegister(event.currentTarget.checked)} /> It registers devices that nobody has registered</label>
        </Confirm>
      )}
      {made !== undefined && (
        <Dialog title="The token" onClose={() => setMade(undefined)}>
          <p>It is shown now and never again. It is good until {exact(made.expiresAt)}.</p>
          <div class="cli"><code>{made.token}</code><CopyButton text={made.token} label="Copy" /></div>
          <div class="actions"><button type="button" onClick={() => setMade(undefined)}>Close</button></div>
        </Dialog>
      )}
    </>
  )
}

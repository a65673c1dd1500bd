// Changing the groups and attributes of a device: what the policy judges it by. Nobody's change is written over: the server is told
// which revision was looked at.

import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { ask } from '../api.ts'
import { devicePath } from '../router.tsx'
import { command } from '../shell.ts'
import type { Device } from '../shapes.ts'
import { Confirm } from './dialog.tsx'

export interface EditDeviceProps {
  readonly device: Device
  readonly onDone: () => void
  readonly onClose: () => void
}

const ATTRIBUTE = /^([^=\s]+)=(.*)$/

/** One attribute on each line, as name=value; undefined where a line is none. */
function attributesIn(text: string): Readonly<Record<string, string>> | undefined {
  const pairs = text.split('\n').map((line) => line.trim()).filter((line) => line !== '').map((line) => ATTRIBUTE.exec(line))
  return pairs.includes(null) ? undefined : Object.fromEntries(pairs.map((pair) => [pair?.[1] ?? '', pair?.[2] ?? '']))
}

export function EditDevice({ device, onDone, onClose }: EditDeviceProps): JSX.Element {
  const [groups, setGroups] = useState(device.groups.join(' '))
  const [text, setText] = useState(Object.entries(device.attributes).map(([name, value]) => `${name}=${value}`).join('\n'))
  const [{ revision, attributes: before }] = useState(device)
  const named = groups.split(/[\s,]+/).filter((name) => name !== '')
  const wanted = attributesIn(text)
  const set = Object.entries(wanted ?? {}).filter(([name, value]) => before[name] !== value)
  const unset = Object.keys(before).filter((name) => wanted !== undefined && !Object.hasOwn(wanted, name))
  const act = async (): Promise<void> => {
    if (wanted === undefined) throw new Error('Write each attribute on a line of its own, as name=value.')
    try {
      await ask('PATCH', `/v1${devicePath(device.id)}`, { groups: named, attributes: Object.fromEntries([...set, ...unset.map((name) => [name, null] as const)]), revision })
    } finally {
      // Refused because it is another one by now, it is looked at again: who opens this anew begins with what is so.
      onDone()
    }
  }
  const cli = command('device', 'set', device.id, ...(named.length === 0 ? ['--no-groups'] : named.flatMap((name) => ['--group', name])), ...set.flatMap(([name, value]) => ['--attr', `${name}=${value}`]), ...unset.flatMap((name) => ['--unset', name]))
  return (
    <Confirm title={`Groups and attributes of ${device.id}`} verb="Change them" act={act} cli={cli} onClose={onClose}>
      <p>The policy judges it by them from then on, in its live sessions, too.</p>
      <label class="field">Groups, separated by spaces<input value={groups} onInput={(event) => setGroups(event.currentTarget.value)} autocomplete="off" spellcheck={false} class="mono" /></label>
      <label class="field">Attributes, one on each line, as site=north<textarea rows={4} value={text} onInput={(event) => setText(event.currentTarget.value)} spellcheck={false} class="mono" /></label>
    </Confirm>
  )
}

// The detection ladder in a running server: what the broker sees goes in, and what the ladder says is done, audited, and can be
// taken back. What a step does to the registry is here, too, for the desk. It judges nothing: that is core/detection.

import { randomInt } from 'node:crypto'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Actor, AuditEvent } from './core/audit.ts'
import { allow, deny, type Decision } from './core/decision.ts'
import { openLadder, type OnRung, type Step } from './core/detection/ladder.ts'
import type { DetectionRules } from './core/detection/rules.ts'
import type { Fact } from './core/detection/signals.ts'
import type { DetectionCleared } from './core/desk.ts'
import { nextDeviceState, type Device } from './core/device.ts'
import type { DeviceId, EpochMs } from './core/ids.ts'
import type { AuditSink, Registry, RegistryView } from './core/registry.ts'
import { REGISTRY_LIMITS } from './limits.ts'
import { DETECTION_LIMITS } from './detection-limits.ts'
import { RUNGS, type Rung } from './vocabulary.ts'

type DetectionEvent = Extract<AuditEvent, { kind: 'detection' }>

/** What the desk asks of the ladder of a running server. */
export interface DetectionPort {
  list(): readonly OnRung[]
  rungOf(device: DeviceId): Rung
  clear(device: DeviceId): void
  /** Resolves when no step of this device is on its way to the registry. */
  settled(device: DeviceId): Promise<void>
}

export interface Watch extends DetectionPort, Disposable {
  note(device: DeviceId, fact: Fact): void
  /** Is this device slowed down, now? */
  isThrottled(device: DeviceId): boolean
  /** To be called every second. */
  sweep(): void
}

export interface WatchPorts {
  readonly rules: () => DetectionRules
  readonly registry: Pick<Registry, 'device' | 'commit'>
  readonly view: Pick<RegistryView, 'device' | 'onChange'>
  readonly audit: AuditSink
  readonly clock: () => EpochMs
  readonly log: (level: 'warn' | 'error', facts: Readonly<Record<string, unknown>>, message: string) => void
}

const SECRET_MAX = 2 ** 32
const THROTTLE = RUNGS.indexOf('throttle')

export function openWatch(ports: WatchPorts): Watch {
  const ladder = openLadder(ports.rules, randomInt(SECRET_MAX))
  const pending = new Map<DeviceId, Promise<void>>()
  // Whoever says what becomes of a device has looked at it: what was counted until then is settled.
  const stop = ports.view.onChange((change) => {
    if (change.kind === 'device-state' && change.hold === undefined) ladder.clear(change.id)
  })

  function take(step: Step): void {
    const event: DetectionEvent = { kind: 'detection', at: ports.clock(), ...step }
    if (step.to === 'none' || RUNGS.indexOf(step.to) <= THROTTLE) return ports.audit.record(event)
    const done = holdOrUndo(step, event).finally(() => {
      if (pending.get(step.device) === done) pending.delete(step.device)
    })
    pending.set(step.device, done)
  }

  /** A step that the registry does not have was not taken: who is kept out must find out by whom, and be let in again. */
  async function holdOrUndo({ device, to }: Step, event: DetectionEvent): Promise<void> {
    await pending.get(device)
    try {
      const held = await holdDevice(ports.registry, event)
      if (held.allow) return
      ports.log('warn', { device, rung: to, reason: held.reason, detail: held.detail }, 'a step of the detection ladder was refused')
    } catch (cause) {
      ports.log('error', { device, rung: to, error: cause instanceof Error ? cause.message : 'unknown' }, 'a step of the detection ladder cannot be recorded: it is not taken')
    }
    ladder.undo(device, to)
  }

  return {
    note(id, fact) {
      const device = ports.view.device(id)
      if (device !== undefined) for (const step of ladder.note(device, fact, ports.clock())) take(step)
    },
    isThrottled: (id) => RUNGS.indexOf(ladder.rungOf(id)) >= THROTTLE || ports.view.device(id)?.hold !== undefined,
    sweep() {
      for (const step of ladder.sweep(ports.clock())) take(step)
    },
    list: () => ladder.list(ports.clock()),
    rungOf: (device) => ladder.rungOf(device),
    clear: (device) => void ladder.clear(device),
    settled: async (device) => pending.get(device),
    [Symbol.dispose]: stop,
  }
}

/** Does what a step says, by the program itself; a device that is out already, or further, is left as it is. */
export async function holdDevice(registry: Pick<Registry, 'device' | 'commit'>, event: DetectionEvent): Promise<Decision<void>> {
  const { device: id, to, at, because } = event
  const device = registry.device(id)
  if (device === undefined) return deny('device-not-found', id)
  if (to !== 'quarantine' && to !== 'suspend') return deny('request-invalid', to)
  const next = nextDeviceState(device.state, to)
  const stays = !next.allow || next.value === device.state
  const committed = stays
    ? await registry.commit([], [], [event])
    : await registry.commit(
        [{ kind: 'device-state', id, state: next.value, hold: { since: at, from: device.hold?.from ?? device.state, because } }],
        [{ kind: 'device-revision', id, revision: device.revision }],
        [{ kind: 'device-changed', at, device: id, action: to, state: next.value, actor: { kind: 'system' }, because }, event],
      )
  return committed.allow ? allow(undefined) : committed
}

/** The rung of a device, by the registry where the ladder holds it and by the running ladder otherwise. */
export function rungOf(device: Device, running: DetectionPort | undefined): Rung {
  if (device.hold !== undefined) return device.state === 'suspended' ? 'suspend' : 'quarantine'
  return running?.rungOf(device.id) ?? 'none'
}

/** What is told of a device that an operator takes off the ladder; nothing, where it was on no rung. */
export function clearedEvents(device: Device, was: Rung, actor: Actor, at: EpochMs): readonly AuditEvent[] {
  return was === 'none' ? [] : [{ kind: 'detection', at, device: device.id, from: was, to: 'none', because: 'An operator has looked at it.', actor }]
}

/** Takes a device off the ladder, and takes back what the ladder did. What an operator did stays. Reason: revision-conflict. */
export async function takeBack(ports: { readonly registry: Pick<Registry, 'commit'>; readonly running: DetectionPort | undefined; readonly clock: () => EpochMs }, device: Device, actor: Actor): Promise<Decision<DetectionCleared>> {
  const { id, hold, revision } = device
  const [at, was] = [ports.clock(), rungOf(device, ports.running)]
  const told = clearedEvents(device, was, actor, at)
  const state = hold?.from ?? device.state
  const changed = hold === undefined
    ? []
    : [{ kind: 'device-changed', at, device: id, action: state === 'quarantined' ? 'quarantine' : 'resume', state, actor, because: 'What the detection ladder did is taken back.' } as const]
  const committed = await ports.registry.commit(
    hold === undefined ? [] : [{ kind: 'device-state', id, state }],
    hold === undefined ? [] : [{ kind: 'device-revision', id, revision }],
    [...changed, ...told],
  )
  if (!committed.allow) return committed
  ports.running?.clear(id)
  return allow({ device: id, was, undone: hold !== undefined, state })
}

/** Who is on a rung, highest first: what the registry holds, and what the running ladder knows besides. */
export async function onRungs(registry: Pick<Registry, 'devices'>, running: DetectionPort | undefined): Promise<readonly OnRung[]> {
  const found = new Map<DeviceId, OnRung>()
  for (const state of ['suspended', 'quarantined'] as const) {
    let after: string | undefined
    do {
      const page = registry.devices({ state, limit: REGISTRY_LIMITS.pageSizeMax, after })
      for (const { id, hold } of page.items) if (hold !== undefined) found.set(id, { device: id, rung: state === 'suspended' ? 'suspend' : 'quarantine', since: hold.since, because: hold.because })
      after = page.next
      // Many devices that operators have suspended must not keep the door waiting.
      await nextTurn()
    } while (after !== undefined)
  }
  for (const on of running?.list() ?? []) if (!found.has(on.device)) found.set(on.device, on)
  return [...found.values()]
    .toSorted((a, b) => RUNGS.indexOf(b.rung) - RUNGS.indexOf(a.rung) || (a.device < b.device ? -1 : 1))
    .slice(0, DETECTION_LIMITS.listedMax)
}

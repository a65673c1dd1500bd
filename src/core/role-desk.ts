// The desk of an operator who is no admin, where the route alone does not say what a verb takes: of certificates it ends those of devices, and
// those that enroll devices. Whose certificate a serial number is, is known only where it is looked up.

import type { Desk } from './desk.ts'

export function limitToDevices(desk: Desk): Desk {
  return { ...desk, revoke: (target, reason) => desk.revoke('device' in target ? target : { ...target, devicesOnly: true }, reason) }
}

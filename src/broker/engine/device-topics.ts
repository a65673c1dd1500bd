// What is below $device/<id>/ for each device, joined: its requests are answered there, and it is told there that it is time to renew.

import type { BrokerPorts } from '../ports.ts'
import type { Session, SessionTable } from '../sessions.ts'
import { openHinting, type Hinting } from './hinting.ts'
import type { Link } from './link.ts'
import { openOwnMessages } from './own-messages.ts'
import type { Publishing } from './publishing.ts'
import { openRenewing, type AnswerRequest, type RenewingPorts } from './renewing.ts'

export interface DeviceTopicsPorts extends Pick<RenewingPorts, 'onRefusal'> {
  readonly broker: BrokerPorts
  readonly sessions: SessionTable
  readonly publishing: Pick<Publishing, 'hand'>
  readonly linkOf: (session: Session) => Link | undefined
}

export interface DeviceTopics extends Hinting {
  readonly answerRequest: AnswerRequest
}

export function openDeviceTopics({ broker, sessions, publishing, linkOf, onRefusal }: DeviceTopicsPorts): DeviceTopics {
  const own = openOwnMessages(publishing)
  const linksOf: RenewingPorts['linksOf'] = (device) => sessions.ofDevice(device).flatMap((each) => linkOf(each) ?? [])
  return {
    ...openHinting({ broker, sessions, own, linksOf }),
    answerRequest: openRenewing({ broker, own, linksOf, onRefusal }),
  }
}

// Faults of what is said over MQTT, and of the sessions in which it is said. The form of a fault is in faults.ts.

import type { Fault } from './faults.ts'

export const MESSAGE_FAULTS: readonly Fault[] = [
  {
    id: 'nameless-takes-a-session', side: 'broker', cases: ['Q04'],
    edits: [{ file: 'src/broker/engine/connect.ts', find: 'return deviceIdTaken || sessions.get(sessionKey(tenant, id, id)) !== undefined ? `${id}:${randomUUID()}` : id', replace: 'return id' }],
  },
  {
    id: 'client-id-characters-unchecked', side: 'broker', cases: ['Q05'],
    edits: [{ file: 'src/core/admission.ts', find: "if (!isClientId(clientId)) return deny('client-id-invalid')", replace: '' }],
  },
  {
    id: 'last-words-of-the-revoked', side: 'broker', cases: ['Q08'],
    edits: [
      { file: 'src/broker/engine/endings.ts', find: "if (by !== 'itself' && ports.policy().willOnKick === 'suppress') suppressWill(link)", replace: '' },
      { file: 'src/core/admission.ts', find: "return willOnKick === 'publish' && ORDERED_OUT.has(standing.reason)", replace: 'return ORDERED_OUT.has(standing.reason)' },
    ],
  },
  {
    id: 'retained-of-the-revoked-shown', side: 'broker', cases: ['Q10'],
    edits: [{ file: 'src/broker/engine/retained.ts', find: ' && ports.mayShow(item)', replace: '' }],
  },
  {
    id: 'alias-resolved-after-the-check', side: 'broker', cases: ['Q15'],
    edits: [
      { file: 'src/broker/engine/packet-gate.ts', find: "if (!isText(topic)) return deny('malformed-packet', 'topic is not UTF-8 text')", replace: "(globalThis as any).byAlias = packet.properties?.topicAlias !== undefined\n      if (!isText(topic)) return deny('malformed-packet', 'topic is not UTF-8 text')" },
      { file: 'src/broker/engine/messages.ts', find: 'const verdict = session.grants.publish(packet.topic, packet.qos', replace: "const verdict = session.grants.publish((globalThis as any).byAlias === true ? `t/${session.device}/x` : packet.topic, packet.qos" },
    ],
  },
  {
    id: 'text-that-is-none', side: 'broker', cases: ['Q19'],
    edits: [{ file: 'src/broker/engine/properties.ts', find: "return typeof value === 'string' && !NOT_A_STRING.test(value)", replace: "return typeof value === 'string'" }],
  },
  {
    id: 'announced-length-unbounded', side: 'broker', cases: ['Q22'],
    edits: [{ file: 'src/broker/frame-guard.ts', find: 'return this.#length + 1 + this.#lengthBytes > max ?', replace: 'return false ?' }],
  },
  {
    id: 'half-open-exchanges-unbounded', side: 'broker', cases: ['Q27'],
    edits: [{ file: 'src/broker/engine/packet-gate.ts', find: 'if (receiving.size >= (session.protocol === 4', replace: 'if (false && receiving.size >= (session.protocol === 4' }],
  },
  {
    id: 'keep-alive-of-the-client', side: 'broker', cases: ['Q29'],
    edits: [{ file: 'src/broker/engine/admitting.ts', find: 'return asked === undefined || asked === 0 ? max : Math.min(asked, max)', replace: 'return asked ?? 0' }],
  },
  {
    id: 'half-a-connect-for-ever', side: 'broker', cases: ['Q30'],
    edits: [
      { file: 'src/broker/engine/engine.ts', find: "link.deadline = setTimeout(() => endings.fault(link, deny('connect-timeout')), BROKER_LIMITS.connectMs)", replace: 'link.deadline = setTimeout(() => {}, BROKER_LIMITS.connectMs)' },
      { file: 'src/broker/engine/aedes-options.ts', find: 'connectTimeout: 2 * BROKER_LIMITS.connectMs', replace: 'connectTimeout: 10 * BROKER_LIMITS.connectMs' },
    ],
  },
  {
    id: 'publish-rate-unbounded', side: 'broker', cases: ['Q31'],
    edits: [{ file: 'src/broker/engine/rates.ts', find: 'return takeToken(used.bucket, rate, now)', replace: 'return takeToken(used.bucket, rate, now) || true' }],
  },
  {
    id: 'retained-unbounded', side: 'broker', cases: ['Q34'],
    edits: [{ file: 'src/store/sessions/kept-tables.ts', find: '&& left.bytes - (before === owner ? Number(size) : 0) + body.bytes.length <= BROKER_LIMITS.retainedBytesPerDeviceMax', replace: '' }],
  },
  {
    id: 'filters-unbounded', side: 'broker', cases: ['Q35'],
    edits: [{ file: 'src/broker/engine/subscribing.ts', find: "if (verdict.effect === 'allow' && (known || room.left > 0)) {", replace: "if (verdict.effect === 'allow') {" }],
  },
  {
    id: 'kept-sessions-unbounded', side: 'broker', cases: ['Q36'],
    edits: [{ file: 'src/broker/engine/keeping.ts', find: 'if (!isRoomFor(session, siblings, link) && stored === undefined) return deny(', replace: 'if (false) return deny(' }],
  },
  {
    id: 'queue-of-the-revoked-not-purged', side: 'broker', cases: ['Q40'],
    edits: [{ file: 'src/broker/engine/absent.ts', find: 'if (!back.allow) keeping.forget(device, back.reason)', replace: '' }],
  },
  {
    id: 'lost-right-goes-on', side: 'broker', cases: ['Q41'],
    edits: [
      { file: 'src/broker/engine/rights.ts', find: 'if (session.ending === undefined && link !== undefined && !link.client.closed) narrow(session, link, judged.value)', replace: '' },
      { file: 'src/broker/engine/outbound.ts', find: 'return this.session.grants.mayReceive(topic) && ', replace: 'return ' },
    ],
  },
  {
    id: 'pages-of-others-connect', side: 'broker', cases: ['Q43'],
    edits: [{ file: 'src/broker/upgrade.ts', find: 'if (origin !== undefined && !rules.origins.includes(origin)) return', replace: 'if (false) return' }],
  },
]

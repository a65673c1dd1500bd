// What the codes of MQTT mean in which a server says no. MQTT 5 §2.4, MQTT 3.1.1 §3.2.2.3.

import { oneLine } from './table.ts'

const WORDS: Readonly<Record<number, string>> = {
  0x02: 'client id not valid', 0x05: 'not authorized', 0x80: 'unspecified error', 0x81: 'malformed packet', 0x82: 'protocol error', 0x85: 'client id not valid', 0x87: 'not authorized', 0x88: 'server unavailable',
  0x8e: 'session taken over', 0x90: 'topic name invalid', 0x93: 'receive maximum exceeded', 0x95: 'packet too large', 0x96: 'message rate too high', 0x97: 'quota exceeded', 0x98: 'administrative action',
  0x9e: 'shared subscriptions not supported', 0x9f: 'connection rate exceeded', 0xa2: 'wildcard subscriptions not supported',
}

/** `CONNACK 0x87` → `CONNACK 0x87 (not authorized)` */
export function refusalInWords(how: string): string {
  const text = oneLine(how)
  const code = /\b0x([0-9a-f]{1,2})$/i.exec(text)?.[1]
  const words = code === undefined ? undefined : WORDS[Number.parseInt(code, 16)]
  return words === undefined ? text : `${text} (${words})`
}

// User Properties in the order in which they were sent [MQTT-3.3.2-18]. The parser makes an object of them: "a, b, a" comes
// out as "a, a, b", names that look like numbers come first, and an empty value is lost when its name comes again. So the
// pairs are noted while it reads them. It judges none of them: what could not be read is refused by properties.ts.

import type { UserProperty } from '../../core/message.ts'

/** Of mqtt-packet's parser, the two steps that are watched; of one instance, never of its class. */
export interface PairParser {
  _parseStringPair(): { readonly name: string | null; readonly value: string | null }
  _parseProperties(): object | false
}

/** The pairs of a `properties` object that this parser made; none: it had none. */
export type UserPropertyOrder = (properties: object) => readonly UserProperty[]

const NONE: readonly UserProperty[] = []

export function noteUserProperties(parser: PairParser): UserPropertyOrder {
  // An object that nobody holds any longer takes its pairs with it.
  const notes = new WeakMap<object, readonly UserProperty[]>()
  const readPair = parser._parseStringPair.bind(parser)
  const readProperties = parser._parseProperties.bind(parser)
  let pairs: UserProperty[] = []
  let isWhole = true
  parser._parseStringPair = () => {
    const pair = readPair()
    if (pair.name !== null && pair.value !== null) pairs.push([pair.name, pair.value])
    else isWhole = false
    return pair
  }
  parser._parseProperties = () => {
    if (pairs.length > 0) pairs = []
    isWhole = true
    const properties = readProperties()
    if (properties !== false && isWhole && pairs.length > 0) notes.set(properties, pairs)
    return properties
  }
  return (properties) => notes.get(properties) ?? NONE
}

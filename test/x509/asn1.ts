// DER by hand, for the tests: every byte is the caller's, also where it is wrong. It shares no code with src/, so that a
// mistake in one is not a mistake in both.

export type Bytes = Uint8Array

export const hex = (text: string): Bytes => Uint8Array.from(Buffer.from(text.replaceAll(/\s/g, ''), 'hex'))
export const join = (...parts: readonly Bytes[]): Bytes => Uint8Array.from(Buffer.concat(parts))
export const toHex = (bytes: Bytes): string => Buffer.from(bytes).toString('hex')

function lengthOf(count: number): Bytes {
  if (count < 0x80) return Uint8Array.of(count)
  const digits: number[] = []
  for (let rest = count; rest > 0; rest = Math.floor(rest / 256)) digits.unshift(rest % 256)
  return Uint8Array.of(0x80 | digits.length, ...digits)
}

/** tag, minimal length, contents. */
export function tlv(tag: number, ...contents: readonly Bytes[]): Bytes {
  const inner = join(...contents)
  return join(Uint8Array.of(tag), lengthOf(inner.length), inner)
}

export const seq = (...items: readonly Bytes[]): Bytes => tlv(0x30, ...items)
export const set = (...items: readonly Bytes[]): Bytes => tlv(0x31, ...items)
export const explicit = (number: number, ...items: readonly Bytes[]): Bytes => tlv(0xa0 + number, ...items)
export const implicit = (number: number, contents: Bytes): Bytes => tlv(0x80 + number, contents)
export const octets = (contents: Bytes): Bytes => tlv(0x04, contents)
export const bits = (contents: Bytes, unused = 0): Bytes => tlv(0x03, Uint8Array.of(unused), contents)
export const yes = hex('0101ff')
export const no = hex('010100')
export const nothing = hex('0500')
/** Content octets as they stand. */
export const integer = (contents: Bytes): Bytes => tlv(0x02, contents)
export const small = (value: number): Bytes => integer(Uint8Array.of(value))

/** A non-negative INTEGER, minimal. */
export function big(value: bigint): Bytes {
  const digits = value.toString(16)
  const even = digits.length % 2 === 0 ? digits : `0${digits}`
  return integer(hex(Number.parseInt(even.slice(0, 2), 16) >= 0x80 ? `00${even}` : even))
}

export function oid(dotted: string): Bytes {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number)
  const septets = (arc: number): number[] => {
    const found = [arc & 0x7f]
    for (let left = arc >> 7; left > 0; left >>= 7) found.unshift(0x80 | (left & 0x7f))
    return found
  }
  return tlv(0x06, Uint8Array.from([first * 40 + second, ...rest].flatMap(septets)))
}

const text = (tag: number) => (value: string): Bytes => tlv(tag, Uint8Array.from(Buffer.from(value, 'latin1')))
export const utf8 = (value: string): Bytes => tlv(0x0c, Uint8Array.from(Buffer.from(value, 'utf8')))
export const printable = text(0x13)
export const ia5 = text(0x16)
export const utcTime = text(0x17)
export const generalizedTime = text(0x18)

/** A time in the type that RFC 5280 wants. */
export function time(ms: number): Bytes {
  const iso = new Date(ms).toISOString()
  const digits = `${iso.slice(0, 19).replaceAll(/[-:T]/g, '')}Z`
  return Number(iso.slice(0, 4)) < 2050 ? utcTime(digits.slice(2)) : generalizedTime(digits)
}

// A bundle as a header for firmware in C99 and C++: ESP-IDF and Arduino take the PEM texts, Zephyr the DER bytes.

import { SallyportError } from '../core/errors.ts'
import type { DeviceId } from '../core/ids.ts'

export interface HeaderFacts {
  readonly id: DeviceId
  readonly host: string
  readonly port: number
  /** PEM: the root, the certificate with its chain, and the key. */
  readonly ca: string
  readonly certificate: string
  readonly key: string
}

const BYTES_PER_LINE = 16

/** Contains the private key. Failure: 'refused', for a host that is neither name nor address. */
export function cHeader({ id, host, port, ca, certificate, key }: HeaderFacts): string {
  if (!/^[A-Za-z0-9.:_-]+$/.test(host)) throw new SallyportError('refused', 'The host name cannot stand in a C header.', { fix: 'Let host: in sallyport.yaml be a name or an address.' })
  const guard = `SALLYPORT_${identifier(id)}_H`
  return [
    `/* The identity of ${id}, for MQTT over TLS at ${host}:${port}. It holds the private key: keep it out of version control. */`,
    `#ifndef ${guard}`,
    `#define ${guard}`,
    '',
    `#define SALLYPORT_HOST "${host}"`,
    `#define SALLYPORT_PORT ${port}`,
    `#define SALLYPORT_CLIENT_ID "${id}"`,
    '',
    ...both('ca', ca),
    ...both('certificate', certificate),
    ...both('key', key),
    `#endif /* ${guard} */`,
    '',
  ].join('\n')
}

/** Every id has its own: what is neither letter nor digit is written as its number. */
function identifier(id: DeviceId): string {
  return id.replaceAll(/[^A-Za-z0-9]/g, (c) => `_${c.charCodeAt(0).toString(16)}_`)
}

/** The text with its terminating zero, as mbed TLS wants it, and the bytes of its first block. */
function both(name: string, pem: string): readonly string[] {
  const [, base64 = ''] = /-----BEGIN [A-Z ]+-----([^-]+)-----END/.exec(pem) ?? []
  const der = Buffer.from(base64, 'base64')
  const rows = Array.from({ length: Math.ceil(der.length / BYTES_PER_LINE) }, (_, i) => [...der.subarray(i * BYTES_PER_LINE, (i + 1) * BYTES_PER_LINE)].map((byte) => `0x${byte.toString(16).padStart(2, '0')}`).join(', '))
  return [
    `static const char sallyport_${name}_pem[] =`,
    `${pem.trimEnd().split('\n').map((line) => `  "${line}\\n"`).join('\n')};`,
    `static const unsigned char sallyport_${name}_der[] = {`,
    rows.map((row) => `  ${row}`).join(',\n'),
    '};',
    `static const unsigned int sallyport_${name}_der_len = ${der.length}u;`,
    '',
  ]
}

// The handshake as it is told: with what was really on the wire, and honest where a side proves nothing.

import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { forgeRoot } from '../../device-sim/forge/authority.ts'
import { pem } from '../../device-sim/forge/certificate.ts'
import { handshakeText, tellHandshake, tellOneWay } from '../../device-sim/handshake.ts'
import { tinyBroker } from './tiny-broker.ts'

const plain = { colour: (_: string, text: string): string => text }

describe('the mutual handshake', () => {
  test('is told in seven steps, with the certificates that were shown', async () => {
    await using broker = await tinyBroker()
    const device = broker.identity('sensor-7')
    const story = await tellHandshake(broker.target, device)
    expect(story.ok).toBe(true)
    expect(story.steps).toHaveLength(7)
    const text = handshakeText(story, plain, true)
    expect(text).toMatch(/3\. The server shows its certificate\n {3}subject .*\n[\s\S]*the device verifies: signed by its own CA, and for the name localhost\n/)
    expect(text).toMatch(/5\. The device shows its certificate\n {3}subject CN=sensor-7; issued by .*Tiny/)
    expect(text).toMatch(/6\. .*\n {3}signs all of the handshake so far, \d+ bytes, ecdsa_secp256r1_sha256;/)
    expect(text).toContain('CONNECT as sensor-7: recorded, in force, active; CONNACK 0x00')
    expect(handshakeText(story, plain, false)).not.toContain('→')
  })

  test('says that the device refuses a server of another CA, or of another name', async () => {
    await using broker = await tinyBroker()
    const other = await tellHandshake({ ...broker.target, ca: pem('CERTIFICATE', forgeRoot('Other').certificate) }, broker.identity('d'))
    expect(other.ok).toBe(false)
    expect(other.steps[2]?.facts.join()).toContain('the device refuses: ')
    const named = await tellHandshake({ ...broker.target, serverName: 'mqtt.example' }, broker.identity('d'))
    expect(named.steps[2]?.facts).toContain('the device refuses: it does not bear the name mqtt.example')
  })

  test('says that a CONNECT was refused', async () => {
    await using broker = await tinyBroker({ instead: (packet, from) => packet.cmd === 'connect' && (from.socket.end(Buffer.from([0x20, 2, 0, 5])), true) })
    const story = await tellHandshake(broker.target, broker.identity('d'))
    expect(story).toMatchObject({ ok: false })
    expect(story.steps[6]?.facts).toEqual(['CONNECT as d is answered CONNACK 0x05'])
  })

  test('ends where the key is another one than that of the certificate', async () => {
    await using broker = await tinyBroker()
    const device = { ...broker.identity('d'), keyObject: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey }
    const story = await tellHandshake(broker.target, device)
    expect(story.ok).toBe(false)
    expect(story.steps[6]?.facts[0]).toMatch(/^the server ended the handshake: /)
  })
})

describe('beside one-way TLS', () => {
  test('a server that lets anybody in is no success', async () => {
    await using careless = await tinyBroker()
    const story = await tellOneWay(careless.target)
    expect(story.steps[2]?.facts).toEqual(['without a certificate: CONNACK 0x00, admitted'])
    expect(story.ok).toBe(false)
  })
})

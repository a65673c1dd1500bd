// What an operator sees on a first day in a home where no server runs, as a golden file: `npx vitest run test/cli -u` writes
// it anew, and a person reads the difference.

import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { afterAll, expect, test } from 'vitest'
import { makeCsr } from '../../src/x509/csr.ts'
import { generateKey } from '../../src/x509/keys.ts'
import { Session, temporary } from './shell.ts'

const place = temporary()
afterAll(() => place[Symbol.dispose]())

test('a first day without a server', async () => {
  const session = new Session(place.folder)
  const day = (line: string) => session.run(line)
  writeFileSync(place.at('devices.csv'), 'id,group,model\ncsv-1,sensors,k1\n../../etc,sensors,k1\ncsv-2,sensors;backend,\ncsv-1,sensors,k1\ncsv-3,sensors\ncsv-4,a/b,\n')
  writeFileSync(place.at('own.csr'), makeCsr(generateKey('P-256'), 'csv-2'))

  await day('device add sensor-7 --group sensors')
  await day('ca init')
  await day('ca init')
  await day('ca show')
  await day('device add sensor-7 --group sensors --attr model=k2')
  await day('device add sensor-7')
  await day('device import DIR/devices.csv')
  await day('device list --limit 2')
  await day('device list --group backend --json')
  await day('device bundle sensor-7 --out DIR/sensor-7')
  const key = readFileSync(place.at('sensor-7/device.key'), 'utf8')
  await day('device bundle sensor-7 --out DIR/sensor-7')
  expect(readFileSync(place.at('sensor-7/device.key'), 'utf8')).toBe(key)
  await day('device enroll csv-2 --csr DIR/own.csr --out DIR/csv-2.pem')
  await day('device enroll csv-1 --csr DIR/own.csr --out DIR/csv-1.pem')
  await day('device enroll csv-2 --csr DIR/own.csr --out DIR/sensor-7/device.key')
  await day('device show sensor-7')
  await day('policy check')
  await day('policy explain --device sensor-7 --publish t/sensor-7/temperature --qos 1')
  await day('policy explain --device sensor-7 --subscribe t/# --json')
  await day('why sensor-7')
  await day('why nobody')
  await day('detection list')
  await day('device suspend sensor-7')
  await day('detection clear sensor-7')
  await day('device resume sensor-7')
  await day('cert revoke --device sensor-7 --reason keyCompromise')
  await day('cert revoke --device sensor-7 --reason keyCompromise --json')
  await day('cert list --device sensor-7 --json')
  await day('device retire sensor-7 --yes')
  await day('device resume sensor-7')
  await day('audit verify')
  await day('doctor')
  await expect(session.text).toMatchFileSnapshot('golden/first-day.txt')
})

test('the bundle that it wrote is whole: key of its owner alone, certificate of that key, chain to the root, where to connect', () => {
  const file = (name: string): string => readFileSync(place.at(`sensor-7/${name}`), 'utf8')
  expect((statSync(place.at('sensor-7/device.key')).mode & 0o777).toString(8)).toBe('600')
  const [leaf, issuing, root] = [file('device.pem'), file('chain.pem'), file('ca.pem')].map((pem) => new X509Certificate(pem))
  expect(leaf!.publicKey.equals(createPublicKey(createPrivateKey(file('device.key'))))).toBe(true)
  expect(leaf!.verify(issuing!.publicKey) && issuing!.verify(root!.publicKey)).toBe(true)
  expect(file('device.pem').match(/BEGIN CERTIFICATE/g)).toHaveLength(2)
  expect(file('device.pem')).toContain(file('chain.pem').trim())
  expect(JSON.parse(file('connection.json'))).toMatchObject({ device: 'sensor-7', clientId: 'sensor-7', host: 'localhost', port: 8883, protocol: 'mqtts', tls: { ca: 'ca.pem', cert: 'device.pem', key: 'device.key' } })
})

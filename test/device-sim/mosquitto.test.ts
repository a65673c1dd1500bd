// The audit of a real Mosquitto: as a careful operator runs it, where what it does is told fairly, and as careless ones do, where the
// audit must find each hole. An audit that cannot fail says nothing.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { startMosquitto } from '../../device-sim/adapters/mosquitto.ts'
import { attack, attackSucceeded } from '../../device-sim/attack.ts'
import type { CaseId } from '../../device-sim/attacks/catalogue.ts'
import type { CaseResult } from '../../device-sim/attacks/run.ts'
import type { Aim } from '../../device-sim/aim.ts'
import { SimError } from '../../device-sim/failure.ts'
import { forgeIssuing, forgeLeaf, forgeRoot } from '../../device-sim/forge/authority.ts'
import { pem, readCertificate } from '../../device-sim/forge/certificate.ts'
import { forgeCrl } from '../../device-sim/forge/crl.ts'
import { has } from '../e2e/program.ts'
import { startCareless } from './weak-mosquitto.ts'

const signal = new AbortController().signal

async function results(aim: Aim, ...cases: readonly CaseId[]): Promise<ReadonlyMap<CaseId, CaseResult>> {
  const outcome = await attack({ aim, cases, signal, onBegin: () => {}, onResult: () => {} })
  return new Map(outcome.results.map((result) => [result.case, result]))
}

const verdicts = (of: ReadonlyMap<CaseId, CaseResult>) => Object.fromEntries([...of].map(([id, { verdict }]) => [id, verdict]))

describe.skipIf(!has('mosquitto'))('a careful Mosquitto (needs mosquitto)', () => {
  test('refuses whom it should, falls short where a revoked device stays connected, and what it does otherwise is no hole', async () => {
    await using broker = await startMosquitto('careful', signal)
    expect(broker.aim.name).toMatch(/^mosquitto \d+\.\d+/)
    const of = await results(broker.aim, 'T01', 'T03', 'T06', 'T10', 'T11', 'T17', 'Q02', 'Q09', 'Q11', 'I16', 'E01')
    expect(verdicts(of)).toEqual({ T01: 'ok', T03: 'ok', T06: 'ok', T10: 'falls short', T11: 'ok', T17: 'differs', Q02: 'differs', Q09: 'ok', Q11: 'differs', I16: 'not run', E01: 'not run' })
    // The revocation itself works: it is only the live session that is not cut.
    expect(of.get('T10')?.notes).toEqual([
      expect.stringMatching(/^live session, MQTT 4: still open after/), 'publish after revocation, MQTT 4: QoS 0, delivered to the backend',
      expect.stringMatching(/^live session, MQTT 5: still open after/), 'publish after revocation, MQTT 5: QoS 0, delivered to the backend',
    ])
    expect(of.get('Q11')?.notes[0]).toMatch(/SUBACK 0x00, and \d+ more\. The filter was granted and nothing was delivered by it/)
    expect(of.get('I16')?.notes).toEqual(['this target has no registry of devices'])
    expect([...of.values()].every(({ reasons }) => reasons.length === 0)).toBe(true)
    expect(attackSucceeded([...of.values()], false, true)).toBe(false)
    expect(attackSucceeded([...of.values()].filter(({ case: id }) => id !== 'T10'), false, true)).toBe(true)
  })

  test('is asked on its wire what MQTT or its list promises, and is told why of what it is not asked', async () => {
    await using broker = await startMosquitto('wire', signal)
    const of = await results(broker.aim, 'Q03', 'Q04', 'Q10', 'Q12', 'Q15', 'Q17', 'Q19', 'Q26', 'Q28', 'Q08', 'Q33', 'Q41')
    expect(verdicts(of)).toEqual({
      Q03: 'differs', Q04: 'ok', Q10: 'ok', Q12: 'differs', Q15: 'differs', Q17: 'differs', Q19: 'ok', Q26: 'differs', Q28: 'ok', Q08: 'not run', Q33: 'not run', Q41: 'not run',
    })
    expect(of.get('Q17')?.notes.join('\n')).toContain('a subscription identifier, MQTT 5: still open after')
    expect(of.get('Q17')?.notes.join('\n')).toContain('It goes on where MQTT says that a connection must end')
    expect(of.get('Q26')?.notes.join('\n')).toContain('that a bridge has no more rights than its certificate is judged')
    expect(['Q08', 'Q33', 'Q41'].map((id) => of.get(id as CaseId)?.notes)).toEqual([
      ['asked of Sallyport alone: MQTT has a Will published however its connection ends'], ['asked of Sallyport alone: which of what waits is dropped, and when, MQTT leaves to the server'], ['this target has no registry of devices'],
    ])
  })

  test('leaves no process and no folder behind, however often it is started', async () => {
    const before = readdirSync(tmpdir()).filter((name) => name.startsWith('sallyport-mosquitto-'))
    const pids: (number | undefined)[] = []
    for (let i = 0; i < 3; i++) {
      await using broker = await startMosquitto(`again-${i}`, signal)
      pids.push(await broker.aim.pid())
    }
    expect(readdirSync(tmpdir()).filter((name) => name.startsWith('sallyport-mosquitto-') && !before.includes(name))).toEqual([])
    expect(pids.filter((pid) => pid !== undefined && existsSync(`/proc/${pid}`))).toEqual([])
  })

  test('one that does not start says what it said, and is cleaned away', async () => {
    await expect(startMosquitto('broken', signal, (config) => `${config}\nno_such_option true\n`)).rejects.toThrow(expect.toSatisfy((error: unknown) => error instanceof SimError && error.code === 'failed' && error.message.includes('no_such_option')))
  })
})

describe.skipIf(!has('mosquitto'))('a careless Mosquitto falls short (needs mosquitto)', () => {
  test('that lets in who has no certificate: T01, Q06, and everybody speaks and hears as they like', async () => {
    await using broker = await startCareless('anonymous')
    expect(verdicts(await results(broker.aim, 'T01', 'Q06', 'Q09', 'Q11'))).toEqual({ T01: 'falls short', Q06: 'falls short', Q09: 'falls short', Q11: 'falls short' })
  })

  test('whose client ids are free: Q02, and nothing that has to do with topics', async () => {
    await using broker = await startCareless('freeClientIds')
    expect(verdicts(await results(broker.aim, 'T01', 'Q02', 'Q09'))).toEqual({ T01: 'ok', Q02: 'falls short', Q09: 'ok' })
  })

  test('without an access control list: Q07, Q09 and Q11, and nothing that has to do with TLS', async () => {
    await using broker = await startCareless('noAcl')
    expect(verdicts(await results(broker.aim, 'T01', 'T03', 'Q07', 'Q09', 'Q11'))).toEqual({ T01: 'ok', T03: 'ok', Q07: 'falls short', Q09: 'falls short', Q11: 'falls short' })
  })

  test('without an access control list: also what is retained, neighbours by name, aliases and bridges', async () => {
    await using broker = await startCareless('noAcl')
    expect(verdicts(await results(broker.aim, 'Q04', 'Q10', 'Q12', 'Q15', 'Q26', 'Q42'))).toEqual({ Q04: 'ok', Q10: 'falls short', Q12: 'falls short', Q15: 'falls short', Q26: 'falls short', Q42: 'falls short' })
  })

  test('that reads no revocation list: T11, and what is expired stays refused', async () => {
    await using broker = await startCareless('noCrl')
    expect(verdicts(await results(broker.aim, 'T06', 'T11'))).toEqual({ T06: 'ok', T11: 'falls short' })
  })
})

describe.skipIf(!has('mosquitto'))('a Mosquitto that dies (needs mosquitto)', () => {
  test('in the middle of a case falls short of it, whatever the case is about', async () => {
    await using broker = await startMosquitto('dies', signal)
    const pid = (await broker.aim.pid()) ?? 0
    const dying: Aim = { ...broker.aim, identities: { ...broker.aim.identities, fresh: async (label, group) => {
      const identity = await broker.aim.identities.fresh(label, group)
      if (label === 'imp') process.kill(pid, 'SIGKILL')
      return identity
    } } }
    const of = await results(dying, 'T01')
    expect(of.get('T01')?.verdict).toBe('falls short')
    expect(of.get('T01')?.notes.join('\n')).toMatch(/the server is another process than before \(\d+ → none\)/)
  })
})

describe.skipIf(!has('openssl'))('its revocation list (needs openssl)', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-crl-'))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))
  const write = (name: string, text: string): string => {
    writeFileSync(path.join(folder, name), text)
    return path.join(folder, name)
  }

  test('is one that OpenSSL takes, and refuses by whom it names', () => {
    const root = forgeRoot('CRL')
    const issuing = forgeIssuing(root, 'CRL')
    const [good, gone] = [forgeLeaf(issuing, 'good'), forgeLeaf(issuing, 'gone')]
    const ca = write('ca.pem', pem('CERTIFICATE', root.certificate) + pem('CERTIFICATE', issuing.certificate))
    const crl = write('crl.pem', pem('X509 CRL', forgeCrl(issuing, { serials: [readCertificate(gone.certificate).serial], number: 7, thisUpdate: Date.now() - 1_000 })))
    const verify = (certificate: Buffer) => spawnSync('openssl', ['verify', '-x509_strict', '-CAfile', ca, '-crl_check', '-CRLfile', crl, write('leaf.pem', pem('CERTIFICATE', certificate))], { encoding: 'utf8' })
    expect(verify(good.certificate)).toMatchObject({ status: 0 })
    expect(verify(gone.certificate).stderr).toContain('certificate revoked')
    expect(spawnSync('openssl', ['crl', '-in', crl, '-noout', '-crlnumber'], { encoding: 'utf8' }).stdout).toBe('crlNumber=0x07\n')
  })
})

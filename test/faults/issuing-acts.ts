// The acts of issuance, and what a client does when the server has died in one: it asks again. What is wrong then is said in
// sentences; an empty list is a good end.

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import type { IssuingStage } from './issuing-stage.ts'
import type { Act, Prepare } from './issuing-walk.ts'

const unless = (good: boolean, sentence: string): readonly string[] => (good ? [] : [sentence])

/** A token is good once: the same request gets its certificate, however often it is asked for, and another key none. */
export async function enrollment(issuing: IssuingStage): Promise<Act> {
  const device = await issuing.device('enroll')
  const [wish, other, token] = [await issuing.enroller.wish(device), await issuing.enroller.wish(device), await issuing.token(device)]
  let first: string | undefined
  return {
    async run() {
      first = (await issuing.enroll(wish, token)).held?.serial
    },
    async again() {
      const answer = await issuing.enrollAtLast(wish, token)
      const second = await issuing.enroll(other, token)
      return [
        ...unless(answer.held !== undefined, `the same request was answered ${answer.status ?? 'not at all'}: ${answer.text}`),
        ...unless(first === undefined || answer.held?.serial === first, `the client had ${first ?? ''} and was given ${answer.held?.serial ?? 'nothing'}`),
        ...unless(second.reason === 'token-used-up', `a second key was answered ${second.status ?? 'not at all'} (${second.reason ?? second.text})`),
      ]
    },
  }
}

/** Make before break: whatever happens, the device comes in with one of its two certificates. */
async function renewal(issuing: IssuingStage): Promise<Act> {
  const old = await issuing.enrolled('renew')
  const wish = await issuing.enroller.wish(old.device)
  let first: string | undefined
  return {
    async run() {
      first = (await issuing.renew(wish, old)).held?.serial
    },
    async again() {
      const still = await issuing.opens(old)
      const { held, status, text } = await issuing.renew(wish, old)
      const opens = held !== undefined && (await issuing.opens(held))
      return [
        ...unless(still, 'the certificate that was to be renewed opens the door no more'),
        ...unless(held !== undefined, `the same request was answered ${status ?? 'not at all'}: ${text}`),
        ...unless(first === undefined || held?.serial === first, `the client had ${first ?? ''} and was given ${held?.serial ?? 'nothing'}`),
        ...unless(opens, 'the new certificate does not open the door'),
        ...unless(issuing.stateOf(old) === 'superseded', `the old certificate is ${issuing.stateOf(old) ?? 'gone'}`),
      ]
    },
  }
}

/** The first use puts the new certificate in force and ends the old one, both or neither. */
async function firstUse(issuing: IssuingStage): Promise<Act> {
  const old = await issuing.enrolled('first')
  const { held: fresh, text } = await issuing.renew(await issuing.enroller.wish(old.device), old)
  if (fresh === undefined) throw new Error(text)
  return {
    run: () => issuing.opens(fresh),
    async again() {
      const between = `${issuing.stateOf(old) ?? ''} and ${issuing.stateOf(fresh) ?? ''}`
      const opens = await issuing.opens(fresh)
      const after = `${issuing.stateOf(old) ?? ''} and ${issuing.stateOf(fresh) ?? ''}`
      const closed = !(await issuing.opens(old))
      return [
        ...unless(['active and issued', 'superseded and active'].includes(between), `old and new certificate are ${between}`),
        ...unless(opens, 'the new certificate does not open the door'),
        ...unless(after === 'superseded and active', `after the first use old and new certificate are ${after}`),
        ...unless(closed, 'the old certificate still opens the door'),
      ]
    },
  }
}

const ROWS = 3

/** Every row is done once, whoever dies in between, and the certificate of each lies where it was wanted. */
async function importing(issuing: IssuingStage): Promise<Act> {
  const wishes = await Promise.all(Array.from({ length: ROWS }, async (_, i) => issuing.enroller.wish(`${issuing.name('import')}-${i}`)))
  const file = path.join(issuing.stage.home, `${wishes[0]?.device ?? ''}.ndjson`)
  const out = `${file}.out`
  writeFileSync(file, wishes.map(({ device, csr }) => `${JSON.stringify({ id: device, groups: ['sensors'], csr: readFileSync(csr, 'utf8') })}\n`).join(''))
  const command = ['device', 'import', file, '--out', out]
  const fetched = (): readonly string[] => wishes.flatMap(({ device, key }) => {
    const pem = path.join(out, `${device}.pem`)
    return existsSync(pem) ? [issuing.enroller.note(device, key, firstOf(readFileSync(pem, 'utf8'))).device] : []
  })
  return {
    async run() {
      await issuing.stage.command(...command)
      fetched()
    },
    async again() {
      const resumed = await issuing.stage.command(...command, ...(existsSync(`${file}.results.ndjson`) ? ['--resume'] : []))
      const signed = issuing.recorded().filter((record) => record.sha256 !== undefined)
      const counts = wishes.map(({ device }) => signed.filter((record) => record.device === device).length)
      return [
        ...unless(resumed.status === 0, `the import that was resumed ended with ${resumed.status ?? ''}: ${resumed.stdout}${resumed.stderr}`),
        ...unless(fetched().length === ROWS, 'not every row has its file'),
        ...unless(counts.every((count) => count === 1), `the devices have ${counts.join(', ')} certificates`),
      ]
    },
  }
}

const firstOf = (pem: string): string => /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n/.exec(pem)?.[0] ?? ''

/** What a command has said is revoked stays revoked; what it has not said can be said again. The list follows. */
async function revocation(issuing: IssuingStage): Promise<Act> {
  const held = await issuing.enrolled('revoke')
  const command = ['cert', 'revoke', '--device', held.device, '--reason', 'keyCompromise', '--yes']
  let said = false
  return {
    async run() {
      said = (await issuing.stage.command(...command)).status === 0
    },
    async again() {
      const after = issuing.stateOf(held)
      const { status, stderr } = await issuing.stage.command(...command)
      return [
        ...unless(!said || after === 'revoked', `it was said to be revoked and is ${after ?? 'gone'}`),
        ...unless(status === 0 && issuing.stateOf(held) === 'revoked', `to revoke it again ended with ${status ?? ''}: ${stderr}`),
        ...unless(!(await issuing.opens(held)), 'a revoked certificate opens the door'),
        ...unless(await issuing.listed(held), 'no published list names it'),
      ]
    },
  }
}

/** Before or after, and nothing between: one CA issues, its certificates verify, and old devices come in as before. */
async function rotation(issuing: IssuingStage): Promise<Act> {
  const old = await issuing.enrolled('before')
  for (const step of ['start', 'trust']) await issuing.must('ca', 'rotate', step)
  const status = async (): Promise<readonly string[]> => {
    const { cas } = JSON.parse(await issuing.must('ca', 'rotate', 'status', '--json')) as { readonly cas: readonly { readonly name: string; readonly state: string }[] }
    return cas.filter(({ state }) => state !== 'retired').map(({ name, state }) => `${name.replace(/-\d+$/, '')} ${state}`).toSorted()
  }
  const before = (await status()).join(', ')
  const after = 'issuing current, issuing replaced, root current'
  let said = false
  return {
    async run() {
      said = (await issuing.stage.command('ca', 'rotate', 'switch')).status === 0
    },
    async again() {
      const now = (await status()).join(', ')
      const { status: code, stderr } = await issuing.stage.command('ca', 'rotate', 'switch')
      const done = (await status()).join(', ')
      const opens = await issuing.opens(old)
      const fresh = await issuing.enrolled('after')
      const wrong = [
        ...unless(now === after || (!said && now === before), `the CAs are ${now}`),
        ...unless(code === 0 && done === after, `to switch again ended with ${code ?? ''}, and the CAs are ${done}: ${stderr}`),
        ...unless(opens, 'a device of the old CA does not come in'),
        ...unless(await issuing.opens(fresh), 'a device of the new CA does not come in'),
      ]
      await issuing.must('ca', 'rotate', 'retire', '--force', '--yes')
      return wrong
    },
  }
}

export const ACTS: Readonly<Record<string, Prepare>> = {
  'enrollment with a token': enrollment,
  'renewal': renewal,
  'the first use of a renewed certificate': firstUse,
  'import of certificate requests': importing,
  'revocation, and the list that follows': revocation,
  'the switch to another CA': rotation,
}

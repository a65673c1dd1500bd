// What the rows of a file bring, judged row by row as the desk and the door would, and one after the other: of two with one id, one key or
// one password the first is the one that counts.

import { createHash } from 'node:crypto'
import { keyProblem } from '../core/certificate-rules.ts'
import type { CsrFacts } from '../core/certificate.ts'
import { allow, deny, type Decision } from '../core/decision.ts'
import type { NewDevice } from '../core/desk.ts'
import { judgeEnrollment } from '../core/enrollment.ts'
import { DEFAULT_TENANT, type KeyHash } from '../core/ids.ts'
import { parseDevicePassword } from '../core/password.ts'
import { parseCsr } from '../x509/csr.ts'
import { parsePublicKey } from '../x509/public-key.ts'
import type { ImportRow } from './import-rows.ts'

/** The rows, each with its device as it is to be registered, or why not. A password can be used for `lifeMs`. */
export async function* judgedRows(rows: AsyncIterable<ImportRow>, lifeMs: number): AsyncGenerator<ImportRow> {
  const [ids, keys, passwords] = [new Map<string, number>(), new Map<string, number>(), new Map<string, number>()]
  for await (const row of rows) {
    const brought = judgeRow(row, lifeMs)
    if (!brought.allow) {
      yield { ...row, device: brought }
      continue
    }
    const { device, key, request } = brought.value
    const password = device.password === undefined ? undefined : createHash('sha256').update(device.password.text).digest('base64')
    const [sameId, sameKey, samePassword] = [ids.get(row.id), key === undefined ? undefined : keys.get(key), password === undefined ? undefined : passwords.get(password)]
    if (sameId !== undefined) yield { ...row, device: deny('device-exists', `it is in this file twice, first in line ${sameId}`) }
    else if (sameKey !== undefined) yield { ...row, device: deny('key-in-use', `the key of line ${sameKey}`) }
    else if (samePassword !== undefined) yield { ...row, device: deny('password-weak', `the password of line ${samePassword}, too`) }
    else {
      ids.set(row.id, row.line)
      if (key !== undefined) keys.set(key, row.line)
      if (password !== undefined) passwords.set(password, row.line)
      yield { ...row, device: allow(device), request }
    }
  }
}

/** `key`: that of the row, reported or in its request. */
function judgeRow({ device: named, csr, spki, password: text }: ImportRow, lifeMs: number): Decision<{ readonly device: NewDevice; readonly key: KeyHash | undefined; readonly request?: CsrFacts }> {
  if (!named.allow) return named
  const reported = spki === undefined ? undefined : reportedKey(spki)
  if (reported?.allow === false) return reported
  const password = text === undefined ? undefined : parseDevicePassword(text, named.value.id)
  if (password?.allow === false) return password
  const device: NewDevice = {
    ...named.value,
    ...(reported === undefined ? {} : { keySha256: reported.value }),
    ...(password === undefined ? {} : { password: { text: password.value, lifeMs } }),
  }
  if (csr === undefined) return allow({ device, key: reported?.value })
  const request = requestOf(csr, device)
  return request.allow ? allow({ device, key: request.value.key.spkiSha256, request: request.value }) : request
}

function reportedKey(spki: string): Decision<KeyHash> {
  const key = parsePublicKey(spki)
  if (!key.allow) return key
  const weak = keyProblem(key.value)
  return weak === undefined ? allow(key.value.spkiSha256) : deny('key-weak', weak)
}

/** The request of a row, as it will be judged at its enrollment. */
function requestOf(csr: string, { id, groups, attributes, keySha256 }: NewDevice): Decision<CsrFacts> {
  const parsed = parseCsr(csr)
  if (!parsed.allow) return parsed
  const plan = judgeEnrollment(parsed.value, { id, groups, attributes, tenant: DEFAULT_TENANT, state: 'active', createdAt: 0, revision: 1, ...(keySha256 === undefined ? {} : { keySha256 }) })
  return plan.allow ? parsed : plan
}

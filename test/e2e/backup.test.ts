// A backup beside a server that runs, a lost disk, and a restore, with a device that is stolen after the backup. The commands are those of
// docs/backup.md, which test/pages runs as it is written; here devices connect afterwards.

import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { LAUNCH } from './program.ts'

const BACK_UP = 'sallyport backup create --home ./acme --out ./backups/monday.backup && sallyport backup verify ./backups/monday.backup --passphrase-file ./acme/certs/local/passphrase && cp ./acme/certs/local/passphrase ./safe/passphrase'
const COPY_LOG = 'cp ./acme/data/audit.ndjson ./backups/audit.ndjson'
const RESTORE = 'sallyport backup restore ./backups/monday.backup --home ./acme --audit ./backups/audit.ndjson && cp ./safe/passphrase ./acme/certs/local/passphrase && sallyport doctor --home ./acme'

const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-backup-page-'))
let server: ChildProcess | undefined
afterAll(() => {
  server?.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
})

/** What a person pastes into a shell. */
function shell(text: string): { readonly status: number | null; readonly output: string } {
  const { SALLYPORT_HOME: _, SALLYPORT_PASSPHRASE_FILE: __, ...inherited } = process.env
  const { status, stdout, stderr } = spawnSync('sh', ['-ec', text], { cwd: folder, encoding: 'utf8', env: { ...inherited, PATH: `${folder}/bin:${inherited['PATH'] ?? ''}` } })
  return { status, output: stdout + stderr }
}

async function serve(home = 'acme'): Promise<string> {
  const child = spawn(process.execPath, [LAUNCH, 'serve', '--ports', 'auto', '--home', home], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
  server = child
  let output = ''
  for await (const chunk of child.stderr) {
    output += String(chunk)
    if (output.includes('"msg":"ready"')) break
  }
  child.stderr?.resume()
  return output
}

async function kill(): Promise<void> {
  if (server === undefined) return
  const exit = once(server, 'exit')
  server.kill('SIGKILL')
  await exit
}

test('back up, lose the disk, restore: who was revoked after the backup stays out, and the others come in', { timeout: 120_000 }, async () => {
  for (const name of ['bin', 'backups', 'safe']) mkdirSync(path.join(folder, name))
  writeFileSync(path.join(folder, 'bin/sallyport'), `#!/bin/sh\nexec '${process.execPath}' '${LAUNCH}' "$@"\n`)
  chmodSync(path.join(folder, 'bin/sallyport'), 0o755)
  await serve()
  for (const id of ['good', 'stolen']) expect(shell(`sallyport device add ${id} --group sensors --home acme && sallyport device bundle ${id} --out ${id} --home acme`).status).toBe(0)

  const backedUp = shell(BACK_UP)
  expect(backedUp.output).toMatch(/The passphrase of the CA is not in it[\s\S]*ok {3}the audit log is intact[\s\S]*ok {3}the key of the issuing CA opens and fits its certificate/)
  expect(backedUp.status).toBe(0)
  expect(shell('sallyport cert revoke --device stolen --reason keyCompromise --yes --home acme').status).toBe(0)
  expect(shell('sallyport device add late --group sensors --home acme && sallyport device bundle late --out late --home acme').status).toBe(0)
  // The log is written some milliseconds after the answer; who asks for its end has it written.
  expect(shell('sallyport audit tail --home acme').output).toContain('"id":"late"')
  expect(shell(COPY_LOG).status).toBe(0)

  await kill()
  rmSync(path.join(folder, 'acme'), { recursive: true })
  const restored = shell(RESTORE)
  expect(restored.output).toMatch(/Taken over from the audit log: 1 revocations/)
  expect(restored.output).not.toMatch(/BAD/)
  expect(restored.status).toBe(0)

  await serve()
  const connect = (id: string) => shell(`sallyport doctor connect --cert ${id}/device.pem --key ${id}/device.key --home acme`)
  expect(connect('good')).toMatchObject({ status: 0 })
  const refused = connect('stolen')
  expect(refused.output).toMatch(/revoked/)
  expect(refused.status).not.toBe(0)
  // What was issued after the backup is known from the log alone: it is refused by its own name, and the way out is said.
  const late = connect('late')
  expect(late.status).not.toBe(0)
  expect(shell('sallyport audit tail --home acme').output).toMatch(/certificate-unrecorded/)
  expect(shell('sallyport cert list --state planned --home acme').output.split('\n')).toHaveLength(3)
  await kill()
})

test('restored without anything newer, the server and doctor say what they do not know until the mark is deleted', { timeout: 120_000 }, async () => {
  expect(shell('sallyport backup restore ./backups/monday.backup --home ./bare && cp ./safe/passphrase ./bare/certs/local/passphrase').output).toMatch(/revoke again what was revoked since/)
  expect(await serve('bare')).toMatch(/Revoke again what was revoked since/)
  const asked = shell('sallyport doctor --home bare')
  expect([asked.status, /BAD {2}restored/.test(asked.output)]).toEqual([1, true])
  rmSync(path.join(folder, 'bare/data/restored.json'))
  expect(shell('sallyport doctor --home bare').output).not.toMatch(/BAD/)
  await kill()
  expect(await serve('bare')).not.toMatch(/Revoke again/)
})

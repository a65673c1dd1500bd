// Storage that misbehaves: a database whose write lock somebody holds, a disk that is full, fsyncs that fail or do not
// return. Each is a thing with an end: disposing it cures the fault. What a machine must offer for each is asked here, too.

import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { closeSync, fstatSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { has } from '../e2e/program.ts'

/** A fault that lasts until `cure` resolves. */
export interface Fault extends AsyncDisposable {
  cure(): Promise<void>
}

function faultOf(cure: () => Promise<void>): Fault {
  let cured: Promise<void> | undefined
  const once = (): Promise<void> => (cured ??= cure())
  return { cure: once, [Symbol.asyncDispose]: once }
}

async function exited(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  await new Promise((resolve) => child.once('exit', resolve))
}

/** Resolves when the process has said this; rejects with all that it said when it ends without. */
function saying(child: ChildProcess, text: string): Promise<void> {
  let said = ''
  return new Promise((resolve, reject) => {
    const onData = (chunk: Buffer): void => {
      said += chunk.toString()
      if (said.includes(text)) resolve()
    }
    child.stdout?.on('data', onData)
    child.stderr?.on('data', onData)
    child.once('error', reject)
    child.once('exit', (code) => reject(new Error(`${child.spawnfile} ended with ${code}: ${said}`)))
  })
}

const HOLD_LOCK = `
import { existsSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
const file = process.argv[1]
if (!existsSync(file)) throw new Error(file + ' is not there: nothing is stored in it')
const db = new DatabaseSync(file, { timeout: 10_000 })
db.exec('BEGIN EXCLUSIVE')
console.log('held')
process.stdin.on('end', () => { db.exec('ROLLBACK'); db.close() }).resume()
`

/** Another process holds the write lock of this database: nobody else's commit gets through. */
export async function holdWriteLock(database: string): Promise<Fault> {
  const child = spawn(process.execPath, ['--no-warnings', '--input-type=module', '-e', HOLD_LOCK, database], { stdio: ['pipe', 'pipe', 'pipe'] })
  await saying(child, 'held')
  return faultOf(async () => {
    child.stdin.end()
    await exited(child)
  })
}

/** Resolves when strace has the process. */
export const attached = (strace: ChildProcess): Promise<void> => saying(strace, 'attached')

/** What strace does to a call, in its words. */
export const SYNC_FAILS = 'error=EIO'
/** Longer than any test waits: the calls return when strace lets go. */
export const SYNC_HANGS = 'delay_enter=600000000'

/**
 * Every fsync and fdatasync of this process, or only those of these files, comes to this until it is cured.
 */
export async function disturbSyncs(pid: number, how: string, files: readonly string[] = []): Promise<Fault> {
  const child = spawn('strace', ['-f', '-p', String(pid), ...files.flatMap((file) => ['-P', file]), '-e', 'trace=fsync,fdatasync', '-e', `inject=fsync,fdatasync:${how}`, '-o', '/dev/null'], { stdio: ['ignore', 'pipe', 'pipe'] })
  await attached(child)
  return faultOf(async () => {
    child.kill('SIGINT')
    await exited(child)
  })
}

/** A file that takes all the room that is left on a disk, but for so much. */
export function fillDisk(folder: string, leaveBytes = 0): Fault {
  const file = path.join(folder, 'ballast')
  const descriptor = openSync(file, 'wx', 0o600)
  // Whole blocks, and then the last bytes.
  for (const bytes of [1 << 20, 1 << 16, 1 << 12, 1]) {
    const block = Buffer.alloc(bytes, 0x2e)
    try {
      for (;;) writeSync(descriptor, block)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
    }
  }
  if (leaveBytes > 0) ftruncateSync(descriptor, fstatSync(descriptor).size - leaveBytes)
  closeSync(descriptor)
  return faultOf(() => {
    rmSync(file, { force: true })
    return Promise.resolve()
  })
}

/** A small disk in memory, mounted here. */
export function mountSmallDisk(folder: string, megabytes: number): Disposable {
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m,mode=0700`, 'sallyport-faults', folder], { encoding: 'utf8' })
  if (mounted.status !== 0) throw new Error(`mount: ${mounted.stderr}`)
  return { [Symbol.dispose]: () => void spawnSync('umount', ['-l', folder]) }
}

/** May we mount here? Root in a container often may not. */
export function canMount(): boolean {
  const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-mount-'))
  try {
    using _disk = mountSmallDisk(folder, 1)
    return true
  } catch {
    return false
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Is strace there, and may it attach to a process of ours? Where ptrace is restricted it may not. */
export async function canTrace(): Promise<boolean> {
  if (!has('strace')) return false
  const child = spawn('sleep', ['60'])
  try {
    const fault = await disturbSyncs(child.pid ?? 0, SYNC_FAILS)
    await fault.cure()
    return true
  } catch {
    return false
  } finally {
    child.kill('SIGKILL')
  }
}

// The process that the tests of this folder end: `child.ts ROLE ARGUMENTS…`. It says on stdout what is durable.

import { writeSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { lockHome } from '../../../src/store/sqlite/lock.ts'
import { migrate } from '../../../src/store/sqlite/migrate.ts'
import { openRegistry } from '../../../src/store/sqlite/registry.ts'
import { added, eventOf, issued, NOW, plan } from '../../contract/records.ts'

const say = (line: string): void => void writeSync(1, `${line}\n`)

const ROLES: Readonly<Record<string, (...args: string[]) => void | Promise<void>>> = {
  /** Commits devices with a certificate, four at a time, until it is killed. Says the id of each that was acknowledged. */
  async commit(file, prefix) {
    const registry = openRegistry(file ?? '', { clock: () => NOW })
    for (let i = 0; ; i += 4) {
      await Promise.all(
        [i, i + 1, i + 2, i + 3].map(async (n) => {
          const id = `${prefix}-${n}`
          const decision = await registry.commit([added(id), plan(id, id), issued(id)], [], [eventOf(id)])
          say(decision.allow ? `stored ${id}` : `refused ${id} ${decision.reason}`)
        }),
      )
    }
  },
  /** Commits one device after another, whatever happens, and says how each ended. */
  async insist(file) {
    const registry = openRegistry(file ?? '', { clock: () => NOW })
    for (let n = 0; ; n++) {
      const said = await registry.commit([added(`d${n}`, { attributes: { filling: 'x'.repeat(2_000) } })], [], []).then(
        (decision) => (decision.allow ? `stored d${n}` : `refused d${n}`),
        (error: unknown) => `failed d${n} ${error instanceof Error && 'code' in error ? String(error.code) : String(error)}`,
      )
      say(said)
    }
  },
  lock(file) {
    const lock = lockHome(file ?? '')
    say('locked')
    setInterval(() => lock, 1_000)
  },
  migrate(file, directory, version, step) {
    const db = new DatabaseSync(file ?? '')
    migrate(db, file ?? '', directory, (v, s) => {
      if (`${v}` === version && s === step) process.kill(process.pid, 'SIGKILL')
    })
    db.close()
  },
}

const [role = '', ...args] = process.argv.slice(2)
await ROLES[role]?.(...args)

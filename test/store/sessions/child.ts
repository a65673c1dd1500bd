// The process that the tests of this folder end: `child.ts ROLE ARGUMENTS…`. It says on stdout what is durable.

import { writeSync } from 'node:fs'
import type { SessionStore } from '../../../src/core/session-store.ts'
import { openSqliteSessions } from '../../../src/store/sessions/sqlite.ts'
import { attached, cleared, completed, detached, HOUR, keyOf, message, published, retained, scheduled, START, target, willCleared, willSet } from '../../contract/session-records.ts'

const say = (line: string): void => void writeSync(1, `${line}\n`)

async function open(file: string | undefined): Promise<SessionStore> {
  const store = await openSqliteSessions({ file: file ?? '', clock: () => START, log: () => {} })
  store.onHealth(({ ok, problem }) => say(ok ? 'well' : `ill ${problem}`))
  return store
}

const ROLES: Readonly<Record<string, (...args: string[]) => Promise<void>>> = {
  /** Publishes numbers from `first` to the absent session a, four at a time, and completes every third, until it is killed. */
  async publish(file, first) {
    const store = await open(file)
    await store.commit([attached('a'), detached('a', START + HOUR)])
    for (let n = Number(first); ; n += 4) {
      await Promise.all(
        [n, n + 1, n + 2, n + 3].map(async (number) => {
          const { placed } = await store.commit([published(message('t', String(number)), target('a'))])
          say(`stored ${number}`)
          if (number % 3 !== 0) return
          say(`completing ${number}`)
          await store.commit([completed('a', placed[0]?.sequences[0] ?? 0)])
          say(`completed ${number}`)
        }),
      )
    }
  },
  /** Publishes `count` numbers one after the other, whatever happens. */
  async insist(file, count) {
    const store = await open(file)
    await store.commit([attached('a'), detached('a', START + HOUR)])
    for (let n = 1; n <= Number(count); n++) {
      await store.commit([published(message('t', String(n).padEnd(2_000)), target('a'))])
      say(`stored ${n}`)
    }
    await store.close()
    say('closed')
  },
  /**
   * Gives the sessions c1, c2, … a Will and a retained message each, in one commit, until it is killed. Of three one stays
   * connected, one Will is due, and one is published: then both are taken away.
   */
  async leave(file, first) {
    const store = await open(file)
    for (let n = Number(first); ; n++) {
      await store.commit([willSet(`c${n}`), retained(message(`t/${n}`))])
      say(`set ${n}`)
      if (n % 3 === 0) continue
      await store.commit([scheduled(`c${n}`, START)])
      say(`scheduled ${n}`)
      if (n % 3 === 1) continue
      const { wills } = await store.due(START, 100_000)
      const id = wills.find(({ publisher }) => publisher.key === keyOf(`c${n}`))?.id
      say(`clearing ${n}`)
      await store.commit([willCleared(`c${n}`, id), cleared(`t/${n}`)])
      say(`cleared ${n}`)
    }
  },
  /** Opens it, and has nothing more to do. */
  async idle(file) {
    await open(file)
    say('opened')
  },
  /** Does not wait for what it commits. */
  async hurry(file) {
    const store = await open(file)
    void store.commit([attached('a')]).then(() => say('stored'))
  },
}

const [role = '', ...args] = process.argv.slice(2)
await ROLES[role]?.(...args)

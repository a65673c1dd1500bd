import { openSqliteSessions } from '../../src/store/sessions/sqlite.ts'
import { tempDir } from '../store/temp.ts'
import { sessionStoreContract } from './session-store.ts'

sessionStoreContract('SQLite', { durable: true }, async () => {
  const dir = tempDir()
  return {
    open: (clock) => openSqliteSessions({ file: dir.file('sessions.db'), clock, log: () => {} }),
    remove: async () => dir[Symbol.dispose](),
  }
})

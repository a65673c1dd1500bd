import { openMemorySessions } from '../../src/store/sessions/memory.ts'
import { sessionStoreContract } from './session-store.ts'

sessionStoreContract('Memory', { durable: false }, async () => ({
  open: async (clock) => openMemorySessions({ clock }),
  remove: async () => {},
}))

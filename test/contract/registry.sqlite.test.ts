import { openRegistry, type SqliteRegistry } from '../../src/store/sqlite/registry.ts'
import { tempDir } from '../store/temp.ts'
import { NOW } from './records.ts'
import { registryContract, type RegistryUnderTest } from './registry.ts'
import { registryRenewalsContract } from './registry-renewals.ts'
import { registryWebhooksContract } from './registry-webhooks.ts'
import { registryFactoryContract } from './registry-factory.ts'
import { registryOperatorsContract } from './registry-operators.ts'
import { registryTokensContract } from './registry-tokens.ts'

const sqlite = async (): Promise<RegistryUnderTest> => {
  const dir = tempDir()
  let open: SqliteRegistry | undefined
  return {
    open: async () => (open = openRegistry(dir.file('registry.db'), { clock: () => NOW })),
    audited: async () => open?.audit.waiting(0, 1_000).map((row) => row.event) ?? [],
    remove: async () => dir[Symbol.dispose](),
  }
}

registryContract('SQLite', sqlite)
registryTokensContract('SQLite', sqlite)
registryRenewalsContract('SQLite', sqlite)
registryWebhooksContract('SQLite', sqlite)
registryFactoryContract('SQLite', sqlite)
registryOperatorsContract('SQLite', sqlite)

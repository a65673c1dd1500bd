// docs/backup.md: a backup, a lost disk and what comes back, in one session that ends the server.

import { pageBesideServer } from './beside-server.ts'

pageBesideServer('docs/backup.md', { tools: ['bash'], needs: 'bash', inAcme: true })

// docs/upgrade.md: the looks before and after an upgrade, beside a server that runs.

import { pageBesideServer } from './beside-server.ts'

pageBesideServer('docs/upgrade.md', { tools: ['bash'], needs: 'bash' })

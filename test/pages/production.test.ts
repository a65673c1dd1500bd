// docs/production.md: changing the configuration of a running server, as the page shows it.

import { pageBesideServer } from './beside-server.ts'

pageBesideServer('docs/production.md', { tools: ['bash', 'sed'], needs: 'bash and sed' })

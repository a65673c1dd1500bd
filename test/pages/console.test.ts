// docs/console.md, as it is written.

import { pageBesideServer } from './beside-server.ts'

pageBesideServer('docs/console.md', { tools: ['openssl'], needs: 'openssl' })

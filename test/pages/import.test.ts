// docs/import.md, as it is written.

import { pageBesideServer } from './beside-server.ts'

pageBesideServer('docs/import.md', { tools: ['bash', 'curl', 'openssl'], needs: 'bash, curl and openssl' })

// docs/observability.md: metrics and health as the page shows them.

import { pageBesideServer } from './beside-server.ts'

pageBesideServer('docs/observability.md', { tools: ['curl', 'openssl', 'bash'], needs: 'curl, openssl and bash' })

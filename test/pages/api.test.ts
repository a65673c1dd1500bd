// docs/api.md: the admin API with curl, as the page shows it.

import { pageBesideServer } from './beside-server.ts'

pageBesideServer('docs/api.md', { tools: ['curl', 'openssl', 'jq', 'bash'], needs: 'curl, openssl, jq and bash' })

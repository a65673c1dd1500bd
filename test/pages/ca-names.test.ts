// docs/ca-names.md: an issuing CA is bound to a part of the fleet, as the page shows it.

import { pageBesideServer } from './beside-server.ts'

pageBesideServer('docs/ca-names.md', { tools: ['openssl', 'bash'], needs: 'openssl and bash', environment: ({ home }) => ({ HOME_OF_IT: home }) })

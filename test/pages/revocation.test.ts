// docs/revocation.md, run as it is written.

import { pageBesideServer } from './beside-server.ts'

pageBesideServer('docs/revocation.md', { tools: ['openssl', 'curl', 'bash'], needs: 'openssl, curl and bash', environment: ({ endpoints }) => ({ SALLYPORT_HOME: '.', PKI: `http://localhost:${endpoints.pki.port}` }) })

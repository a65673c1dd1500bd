// docs/watching.md: connections, refusals, events and webhooks, as the page shows them.

import { pageBesideServer } from './beside-server.ts'

pageBesideServer('docs/watching.md', { tools: ['mosquitto_sub', 'curl', 'openssl', 'bash'], needs: 'mosquitto-clients, curl, openssl and bash' })

// docs/https-publish.md, as it is written: curl at the door where messages are posted, and a subscriber who was away.

import { pageBesideServer } from './beside-server.ts'

pageBesideServer('docs/https-publish.md', { tools: ['curl', 'mosquitto_sub', 'base64'], needs: 'curl and mosquitto-clients' })

// docs/tasks.md: the tasks of a fleet's life in one session, up to the day on which the disk is lost.

import { pageBesideServer } from './beside-server.ts'

pageBesideServer('docs/tasks.md', { tools: ['mosquitto_pub', 'openssl', 'bash', 'curl', 'pki'], needs: 'mosquitto-clients, openssl, curl, strongswan-pki and bash', inAcme: true })

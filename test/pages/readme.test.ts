// What the README shows, beside a server that runs.

import { pageBesideServer } from './beside-server.ts'

pageBesideServer('README.md', { tools: ['mosquitto_pub', 'bash'], needs: 'mosquitto-clients and bash', inAcme: true })

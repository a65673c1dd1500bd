// docs/renewal.md: a device renews over MQTT with other people's clients, as the page shows it.

import { pageBesideServer } from './beside-server.ts'

pageBesideServer('docs/renewal.md', { tools: ['mosquitto_pub', 'mosquitto_rr', 'openssl', 'bash'], needs: 'mosquitto-clients, openssl and bash' })

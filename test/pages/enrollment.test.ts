// docs/enrollment.md, as it is written: curl, openssl and strongSwan at the enrollment door.

import { pageBesideServer } from './beside-server.ts'

pageBesideServer('docs/enrollment.md', { tools: ['curl', 'openssl', 'mosquitto_pub', 'pki'], needs: 'curl, openssl, mosquitto-clients and strongswan-pki' })

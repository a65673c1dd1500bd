// MQTT.js, the SDKs of AWS and Azure, and Node-RED: see speaking.ts.

import { SDK_CLIENTS } from './clients.ts'
import { describeClient } from './speaking.ts'

for (const real of SDK_CLIENTS) describeClient(real)

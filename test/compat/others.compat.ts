// Mosquitto, Paho, Mbed TLS and MQTT by hand: see speaking.ts.

import { OTHER_CLIENTS } from './clients.ts'
import { describeClient } from './speaking.ts'

for (const real of OTHER_CLIENTS) describeClient(real)

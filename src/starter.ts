// What a first start writes for people to read and edit: the starter policy and the configuration. Text, because people
// learn from it; policy-file.ts and config.ts read it like any other.

export const STARTER_POLICY = `# Who may publish and subscribe to what. Default: nobody, nothing.
# After an edit: sallyport policy diff --fleet says what it means, sallyport policy apply puts it in force;
# a file with a mistake does not come into force. Editors complete and explain it by: sallyport policy schema.
version: 1

grants:
  # A sensor speaks below t/<its id>/ and hears its commands. \${device.id} is the id in the registry,
  # never what a client calls itself.
  - id: sensor
    to: { group: sensors }
    publish:
      - { topic: "t/\${device.id}/#", qos: 2, retain: false }
    subscribe:
      - { topic: "t/\${device.id}/#", share: ["*"] }
      - "cmd/\${device.id}/+"
    will:
      - "state/\${device.id}"

  # A backend hears all sensors and commands each.
  - id: backend
    to: { group: backend }
    publish:
      - "cmd/+/+"
    subscribe:
      # share: under which names it may be shared by several clients, as in $share/workers/t/#
      - { topic: "t/#", share: ["*"] }
      - { topic: "state/#", share: ["*"] }

# A deny wins over every grant, in whatever order:
# deny:
#   - { id: no-admin, to: any, publish: ["t/+/admin/#"] }
`

/** The same in lines, where sallyport.yaml names a file that ends in .policy. */
export const STARTER_LINES = `# Who may publish and subscribe to what. Default: nobody, nothing.
# After an edit: sallyport policy diff --fleet says what it means, sallyport policy apply puts it in force;
# a file with a mistake does not come into force.

# A sensor speaks below t/<its id>/ and hears its commands. \${device.id} is the id in the registry,
# never what a client calls itself.
group sensors
  id sensor
  pub t/\${device.id}/# qos<=2 retain=no
  sub t/\${device.id}/# share=*
  sub cmd/\${device.id}/+
  will state/\${device.id}

# A backend hears all sensors and commands each.
group backend
  id backend
  pub cmd/+/+
  # share: under which names it may be shared by several clients, as in $share/workers/t/#
  sub t/# share=*
  sub state/# share=*

# A deny wins over every grant, in whatever order:
# deny pub t/+/admin/#
`

export const STARTER_CONFIG = `# yaml-language-server: $schema=data/sallyport.schema.json
# Everything here is optional; what is commented out shows the default. An unknown key is refused.
# Flags win over the environment (SALLYPORT_LOG_LEVEL for log.level, and so for every key), which wins over this file.
# What is off unless it is here says so. What is wrong: sallyport config check; what is in force, and why: sallyport config show --origin
# sallyport reload, or kill -HUP, re-reads all of it or, with one mistake, none; organisation, listeners, pki and passphraseFile need a
# restart, and the answer says so.

# organisation: Sallyport
# listen:
#   mqtt: { host: "::", port: 8883 }
#   admin: { host: 127.0.0.1, port: 9443 }
#   enroll: { host: "::", port: 8443 }                                # EST: https://HOST:8443/.well-known/est
#   websocket: { host: "::", port: 8884, path: /mqtt, origins: [] }   # off unless it is here; origins: web pages that may connect
#   metrics: { host: 127.0.0.1, port: 9464 }                          # tokenFile: FILE where it is not on loopback
# hosts: [mqtt.example.org]          # further names in the server certificate
# policy: policy.yaml               # and every *.yaml and *.policy in policy.d beside it
# trust:                             # CAs of others; the policy's identity: says which devices they speak for
#   - { name: factory-2026, file: factory.pem }   # one CA per file, the one that signs; a new key needs a new name
#                                    # only: enrollment keeps its devices from the MQTT port: docs/enrollment.md
# tls: { resumption: off }
# limits: { sourceRatePerSecond: 500, sourceBurst: 2000, packetBytesMax: 256KiB, keepAliveSecondsMax: 1200 }
# detection:                         # devices that behave as if somebody else had them: sallyport detection list
#   upTo: throttle                   # off, observe, throttle, quarantine or suspend; the last two keep a device out until it is cleared
#   exempt: { groups: [], devices: [] }
#   denials: { observe: 120, throttle: 600, quarantine: off, suspend: off }     # refused messages and filters in 10 minutes
#   topics: { observe: 50, throttle: 200, quarantine: 2000, suspend: 4000 }     # different ones of them in an hour
#   clientIds: { observe: 2, throttle: 5, quarantine: 200, suspend: 400 }       # other devices whose client id it tried, in an hour
#   connects: { observe: 120, throttle: 600, quarantine: off, suspend: off }    # in 10 minutes
#   twoPlaces: { observe: 6, throttle: 120, quarantine: off, suspend: off }     # one certificate from two addresses at once, in an hour
#   rate: { observe: 60, throttle: 300, quarantine: off, suspend: off, perSecond: 100, times: 20 }   # seconds in 10 minutes with at least
#                                    # so many messages and so many times what is usual for the device
# renewal:                           # docs/renewal.md
#   graceDays: 30                    # how long after its end a certificate is still renewed, at a door for renewals alone; 0: never
#   groups: {}                       # the same of devices in a group, { line-1: 90 }; of several the shortest counts
#   sameKey: allowed                 # or refused: the next certificate must be for a new key
# enroll:                            # docs/enrollment.md
#   serverKeys: refused              # or allowed: a device may have its key made here (serverkeygen)
#   channelBinding: optional         # or required: each request must be bound to its TLS connection
# pki: { crlShards: 1, crlHours: 24 }  # url: http://pki.example.org:8080, as certificates shall name the public door
# log: { level: info }
`

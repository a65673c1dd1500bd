// The policy of a first start: text, because people learn the language from it. Nothing here is code; policy-file.ts reads
// it like any other.

export const STARTER_POLICY = `# Who may publish and subscribe to what. Default: nobody, nothing.
# Reload after an edit: kill -HUP the server; a file with a mistake leaves the old policy in force.
# Check first: sallyport policy check
version: 1

grants:
  # A sensor speaks below t/<its id>/ and hears its commands. \${device.id} is the id in the registry,
  # never what a client calls itself.
  - id: sensor
    to: { group: sensors }
    publish:
      - { topic: "t/\${device.id}/#", qos: 2, retain: false }
    subscribe:
      - "t/\${device.id}/#"
      - "cmd/\${device.id}/+"
    will:
      - "state/\${device.id}"

  # A backend hears all sensors and commands each.
  - id: backend
    to: { group: backend }
    publish:
      - "cmd/+/+"
    subscribe:
      - "t/#"
      - "state/#"

# A deny wins over every grant, in whatever order:
# deny:
#   - { id: no-admin, to: any, publish: ["t/+/admin/#"] }
`

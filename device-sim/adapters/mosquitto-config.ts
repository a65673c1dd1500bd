// What a careful operator writes for Eclipse Mosquitto: only certificates of the fleet's CA, the common name as user and as client
// id, topics bound to it, a revocation list, bounds, nothing on the disk. Text in, text out.

export interface MosquittoFiles {
  readonly ca: string
  readonly cert: string
  readonly key: string
  readonly crl: string
  readonly acl: string
}

export function mosquittoConfig(port: number, user: string, files: MosquittoFiles): string {
  return `per_listener_settings true
user ${user}
log_dest stderr
log_type error
log_type warning
log_type notice
log_type information
connection_messages false
persistence false
max_packet_size 262144
max_inflight_messages 20
max_inflight_bytes 1048576
max_queued_messages 1000
max_queued_bytes 16777216
max_keepalive 3600
persistent_client_expiration 7d

listener ${port} 127.0.0.1
max_connections 8192
allow_anonymous false
allow_zero_length_clientid false
max_topic_alias 10
cafile ${files.ca}
certfile ${files.cert}
keyfile ${files.key}
crlfile ${files.crl}
require_certificate true
tls_version tlsv1.2
ciphers ECDHE+AESGCM:ECDHE+CHACHA20
use_identity_as_username true
use_username_as_clientid true
acl_file ${files.acl}
`
}

/** The starter policy in Mosquitto's words; %u is the common name. Who may hear all, and who commands, by their names. */
export function mosquittoAcl(ears: string, backend: string): string {
  return `pattern readwrite t/%u/#
pattern read cmd/%u/+
pattern write state/%u

user ${backend}
topic write cmd/+/+
topic read t/#
topic read state/#

user ${ears}
topic read #
`
}

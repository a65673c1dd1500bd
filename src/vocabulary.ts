// The public contract: the words that Sallyport says to the outside and may not change silently. Reason codes with
// their answers on every wire, exit codes, admin API paths, reserved topics. It imports nothing and decides nothing;
// device-sim imports it too, because it shares vocabulary with the server, but never verdicts.

/** Where on its way a request was stopped, in the order in which the checks run. */
export const STEPS = ['source', 'tls', 'certificate', 'registry', 'connect', 'protocol', 'policy', 'enrollment', 'api'] as const
export type Step = (typeof STEPS)[number]

/**
 * One row of the reason table: how a refusal is answered on each wire and explained to a person.
 * `connack3` is the MQTT 3.1.1 CONNACK return code [MQTT-3.2.2-4]; `reason5` the MQTT 5 reason code, used in whichever
 * packet carries the refusal (CONNACK, PUBACK, PUBREC, SUBACK, DISCONNECT); `http` the status of an answer in HTTP, of the admin API and of publishing over HTTPS.
 * At steps `source` and `tls` nothing of this is sent: the connection is closed without one MQTT byte. Only a CONNECT that
 * was waiting while its CA went out of trust is answered. What stands before MQTT in a WebSocket is answered in HTTP.
 */
export interface WireAnswer {
  readonly step: Step
  readonly connack3: 1 | 2 | 3 | 5
  readonly reason5: number
  readonly http: number
  /** What happened, as a sentence for an operator. */
  readonly sentence: string
  /** What the operator can do about it. */
  readonly fix: string
}

const row = (step: Step, connack3: 1 | 2 | 3 | 5, reason5: number, http: number, sentence: string, fix: string): WireAnswer =>
  ({ step, connack3, reason5, http, sentence, fix })

const source = (sentence: string, fix: string) => row('source', 3, 0x9f, 429, sentence, fix)
const tls = (sentence: string, fix: string) => row('tls', 5, 0x87, 401, sentence, fix)
const certificate = (sentence: string, fix: string) => row('certificate', 5, 0x87, 403, sentence, fix)
const registry = (sentence: string, fix: string) => row('registry', 5, 0x87, 403, sentence, fix)
const policy = (reason5: number, sentence: string, fix: string) => row('policy', 5, reason5, 403, sentence, fix)
/** For what HTTP has a better word for than 403: publishing over HTTPS says it. */
const publish = (reason5: number, http: number, sentence: string, fix: string) => row('policy', 5, reason5, http, sentence, fix)
const protocol = (reason5: number, sentence: string, fix: string) => row('protocol', 5, reason5, 400, sentence, fix)
const enrollment = (http: number, sentence: string, fix: string) => row('enrollment', 5, 0x87, http, sentence, fix)
const api = (http: number, sentence: string, fix: string) => row('api', 5, 0x87, http, sentence, fix)

/** Every reason for which Sallyport says no. A code never changes its meaning; docs/reasons.md is generated from here. */
export const REASONS = {
  'source-rate': source('Too many connections came from this address at once.', 'Let the clients back off with jitter; raise limits.sourceRatePerSecond if many devices share one address.'),
  'source-busy': source('The server holds as many unfinished handshakes as it allows.', 'Nothing on the device; it may try again. Look for an address that opens connections and says nothing.'),

  'tls-no-certificate': tls('The client presented no certificate.', 'Configure the device with its certificate and key (device bundle).'),
  'tls-not-tls': tls('The first bytes were not a TLS ClientHello.', 'Connect with TLS; plain MQTT and HTTP are not served on this port.'),
  'tls-protocol-version': tls('The client offered only TLS versions older than 1.2.', 'Update the TLS library of the device.'),
  'tls-no-shared-parameters': tls('Client and server share no cipher suite, group or signature algorithm.', 'Enable an AEAD suite with ECDHE, and X25519 or P-256, on the device.'),
  'tls-handshake-timeout': tls('The TLS handshake was not finished in time.', 'Check the network path; a client that trickles bytes is cut off.'),
  'tls-aborted': tls('The client ended the connection during the handshake.', 'The device may not trust this server: check its CA file and the host name it connects to.'),
  'tls-malformed': tls('The TLS handshake was malformed.', 'Check the TLS library of the device; repeated occurrences are an attack.'),
  'tls-possession-unproven': tls('The client did not prove that it holds the private key of its certificate.', 'Install the key that belongs to the certificate. A stolen certificate without its key looks like this.'),
  'tls-untrusted-issuer': tls('The certificate was not issued by a CA that this organisation trusts.', 'Provision the device from this CA, or trust its CA in sallyport.yaml.'),
  'tls-self-signed': tls('The certificate is self-signed.', 'Provision the device from this CA.'),
  'tls-chain-incomplete': tls('The certificate chain does not reach a trusted root: an intermediate is missing.', 'Let the device send its chain: device.pem holds the leaf and the issuing certificate.'),
  'tls-signature-invalid': tls('A signature in the certificate chain does not verify.', 'The certificate was altered or forged; provision the device again.'),

  'certificate-expired': certificate('The certificate has expired.', 'Enroll the device again: sallyport device bundle ID.'),
  'certificate-not-yet-valid': certificate('The certificate is not valid yet.', 'Check the clocks of this server and of whoever issued the certificate.'),
  'certificate-malformed': certificate('The certificate is not well-formed DER, or has an extension twice.', 'Issue the certificate again with conforming software.'),
  'certificate-version': certificate('The certificate is not X.509 version 3.', 'Issue the certificate again as version 3.'),
  'certificate-serial-invalid': certificate('The serial number is zero, negative or longer than 20 octets.', 'Issue the certificate again with a serial as RFC 5280 asks.'),
  'certificate-subject-empty': certificate('The certificate names nobody: subject or device name is empty.', 'Issue the certificate with the device id as its common name.'),
  'certificate-name-ambiguous': certificate('The certificate holds more than one candidate for the device name.', 'Issue the certificate with exactly one common name, in an RDN of its own.'),
  'certificate-name-invalid': certificate('The name in the certificate is not a device id.', 'Device ids are 1 to 64 of A-Z a-z 0-9 _ . - and begin with a letter or digit.'),
  'certificate-key-weak': certificate('The key of the certificate is too weak or of a kind that is not accepted.', 'Use ECDSA P-256 or P-384, Ed25519, or RSA of 2048 bits or more.'),
  'certificate-signature-weak': certificate('The certificate is signed with an algorithm that is no longer safe.', 'Issue the certificate again with SHA-256 or better.'),
  'certificate-usage-missing': certificate('The certificate has no extended key usage.', 'Issue it for client authentication (extended key usage clientAuth).'),
  'certificate-usage-wrong': certificate('The extended key usage does not name client authentication.', 'Issue it for client authentication (clientAuth); anyExtendedKeyUsage does not count.'),
  'certificate-key-usage': certificate('The key usage does not allow digital signatures, or allows what a device must not do.', 'Issue the certificate with key usage digitalSignature only.'),
  'certificate-is-ca': certificate('A CA certificate was used as a client certificate.', 'Use a leaf certificate; find out who holds that CA key.'),
  'certificate-issuer-not-ca': certificate('The certificate was signed by a certificate that is not a CA.', 'Somebody used a leaf key to sign. Revoke that leaf and look for its owner.'),
  'certificate-path-length': certificate('The chain is longer than a path length constraint allows.', 'Issue from a CA that may sign leaves.'),
  'certificate-name-constraints': certificate('The certificate breaks a name constraint, or is a leaf that carries one.', 'Issue the certificate within the constraints of its CA.'),
  'certificate-critical-extension': certificate('The certificate has a critical extension that is not understood.', 'Issue it without that extension, or not critical.'),
  'certificate-san-malformed': certificate('The subject alternative names are malformed.', 'Issue the certificate again with conforming software.'),
  'certificate-key-id-missing': certificate('The certificate has no authority or subject key identifier.', 'Issue the certificate again with both identifiers.'),
  'certificate-chain-too-long': certificate('The presented chain has more certificates than allowed.', 'Send only the leaf and its intermediates.'),

  'certificate-unrecorded': registry('The certificate was signed by this CA but is not in its records.', 'After a restore: take newer records over (sallyport backup restore FILE --reimport), or enroll the device again. Otherwise the CA key was used outside Sallyport: treat it as stolen until explained.'),
  'certificate-mismatch': registry('The serial number is recorded for a different certificate.', 'The CA key was used outside Sallyport. Treat it as stolen until explained.'),
  'certificate-issuer-retired': registry('The CA of this organisation that issued the certificate is retired.', 'Enroll the device again: sallyport device bundle ID.'),
  'certificate-revoked': registry('The certificate is revoked.', 'Revocation is final: provision the device with a new key and certificate, if it is still yours.'),
  'certificate-superseded': registry('The certificate was replaced by a newer one of this device.', 'Let the device use its newest certificate.'),
  'certificate-purpose': registry('The certificate was issued for another purpose than connecting a device.', 'Use the certificate of a device; operator and server certificates do not open this door.'),
  'device-unknown': registry('No device of this name is registered.', 'Register it: sallyport device add ID --group GROUP.'),
  'device-name-mismatch': registry('The certificate is recorded for another device than the one it names.', 'The registry and the certificate disagree: revoke it and provision the device again.'),
  'device-issuer-mismatch': registry('The device has certificates of another CA.', 'Enroll it with that CA, or register it under another id.'),
  'device-pending': registry('The device is registered but not active yet.', 'Activate it: sallyport device resume ID.'),
  'device-suspended': registry('The device is suspended.', 'When it may come back: sallyport device resume ID.'),
  'device-quarantined': registry('The device is quarantined.', 'When it may come back: sallyport device resume ID.'),
  'device-retired': registry('The device is retired.', 'Retirement is final: register a new device.'),
  'registry-unavailable': row('registry', 3, 0x88, 503, 'The registry could not be read, so nobody can be judged.', 'See the server log; the device may try again.'),

  'store-unavailable': row('connect', 3, 0x88, 503, 'The session store cannot be written, so nothing can be kept for this session.', 'See the server log: the disk is full or fails; the device may try again.'),

  'websocket-upgrade': row('connect', 5, 0x87, 400, 'The request was not the WebSocket upgrade that is served.', 'Use wss:// with the path of listen.websocket (/mqtt) and the subprotocol "mqtt".'),
  'websocket-origin': row('connect', 5, 0x87, 403, 'A web page whose origin is not listed asked for a connection.', 'If that page may connect, list its origin in listen.websocket.origins; otherwise find out what it does in that browser.'),

  'publish-request': row('connect', 5, 0x87, 400, 'The request is not what publishing over HTTPS takes.', 'Compare it with docs/https-publish.md: POST /topics/TOPIC?qos=0 or 1, one request at a time over a connection.'),
  'publish-origin': row('connect', 5, 0x87, 403, 'A web page asked to publish with the certificate of its browser.', 'A web page may not; let it use MQTT over WebSocket from a listed origin. If none of yours does: find out what it does in that browser.'),
  'publish-busy': row('connect', 3, 0x89, 503, 'More messages are published over HTTPS at once than are worked off.', 'The device asks again after what Retry-After says; one that has much to say keeps its connection, or speaks MQTT.'),
  'publish-throttled': row('connect', 3, 0x97, 429, 'The detection ladder slows this device down.', 'See why: sallyport detection list. The device asks again after what Retry-After says.'),

  'client-id-mismatch': row('connect', 2, 0x85, 403, 'The client id is not one that this device may use.', 'Use the device id, or the device id followed by ":" and a suffix, as client id.'),
  'client-id-invalid': row('connect', 2, 0x85, 400, 'The client id has characters that are not accepted, or is too long.', 'Use the device id, or the device id followed by ":" and a suffix, as client id.'),
  'client-id-empty': row('connect', 2, 0x85, 400, 'MQTT 3.1.1 does not allow an empty client id with a persistent session.', 'Set a client id or clean session.'),
  'no-grant': row('connect', 5, 0x87, 403, 'The policy grants this device nothing.', 'Add the device to a group that the policy names, or add a grant.'),
  'sessions-limit': row('connect', 5, 0x97, 429, 'The device has as many sessions as its grant allows.', 'Close a session, or raise connect.sessions in the policy.'),
  'connect-rate': row('connect', 3, 0x9f, 429, 'The device connects too often.', 'Let the device back off; look for two programs that fight over one client id.'),
  'connect-timeout': row('connect', 5, 0x87, 408, 'No complete CONNECT came in time.', 'Check the client; one that trickles bytes is cut off.'),
  'will-not-granted': row('connect', 5, 0x87, 403, 'The Will is not granted.', 'Grant the Will topic (grants[].will), or let the device connect without it.'),
  'will-invalid': row('connect', 5, 0x90, 400, 'The Will topic is not a valid topic name.', 'A Will topic has no wildcards and does not begin with $.'),
  'ended-by-operator': row('connect', 3, 0x98, 403, 'An operator ended this connection.', 'The device may connect again. To keep it out: sallyport device suspend ID.'),
  'server-shutting-down': row('connect', 3, 0x8b, 503, 'The server is shutting down.', 'The device may try again.'),

  'protocol-version': row('protocol', 1, 0x84, 400, 'The client speaks a protocol version that is not served.', 'Use MQTT 3.1.1 or MQTT 5.'),
  'protocol-error': protocol(0x82, 'The client broke the MQTT protocol.', 'Update the client library of the device.'),
  'malformed-packet': protocol(0x81, 'The client sent bytes that are not an MQTT packet.', 'Update the client library of the device.'),
  'packet-too-large': row('protocol', 5, 0x95, 413, 'A packet was larger than allowed.', 'Send smaller messages, or raise limits.packetBytesMax.'),
  'quota-exceeded': row('protocol', 5, 0x97, 429, 'The client exceeded a quota of its session.', 'Let the device use fewer subscriptions, or send slower.'),
  'receive-maximum': protocol(0x93, 'The client has more unacknowledged messages open than allowed.', 'Let the device honour the Receive Maximum of the CONNACK.'),
  'authentication-method': protocol(0x8c, 'Enhanced authentication is not offered: the certificate is the credential.', 'Connect without an authentication method.'),

  'topic-invalid': publish(0x90, 400, 'The topic name is not valid.', 'Topic names have no wildcards, no NUL, at most 64 levels and 512 bytes.'),
  'topic-reserved': policy(0x87, 'Topics that begin with $ are reserved.', 'Publish below a root of your own.'),
  'filter-invalid': policy(0x8f, 'The topic filter is not valid.', 'See the rules for + and # in the MQTT specification.'),
  'publish-not-granted': policy(0x87, 'No grant allows publishing to this topic.', 'Compare with: sallyport policy explain --device ID --publish TOPIC.'),
  'publish-denied': policy(0x87, 'A deny rule forbids publishing to this topic.', 'Change the deny rule that policy explain names.'),
  'publish-qos': policy(0x87, 'The grant does not allow this QoS.', 'Publish with a lower QoS, or raise qos in the grant.'),
  'publish-retain': policy(0x87, 'The grant does not allow retained messages.', 'Publish without retain, or set retain: true in the grant.'),
  'publish-size': publish(0x87, 413, 'The message is larger than the grant allows.', 'Send a smaller message, or raise maxBytes in the grant.'),
  'publish-rate': publish(0x97, 429, 'The device publishes more often than its grant allows.', 'Let the device send slower, or raise rate or burst in the grant.'),
  'subscribe-not-granted': policy(0x87, 'No single grant contains this topic filter.', 'Subscribe to what one grant contains; compare with: sallyport policy explain --device ID --subscribe FILTER.'),
  'subscribe-denied': policy(0x87, 'A deny rule forbids this topic filter.', 'Change the deny rule that policy explain names.'),
  'share-not-granted': policy(0x87, 'The grant does not allow shared subscriptions of this share name.', 'Add the share name to share: [] in the grant.'),
  'share-unavailable': policy(0x9e, 'Shared subscriptions need MQTT 5.', 'Connect with MQTT 5, or subscribe without $share.'),
  'receive-not-granted': policy(0x87, 'No grant allows delivering this topic to this device.', 'Compare with: sallyport policy explain --device ID --receive TOPIC.'),
  'receive-denied': policy(0x87, 'A rule forbids delivering this topic to this device.', 'Change the deny rule that policy explain names.'),

  'csr-malformed': enrollment(400, 'The certificate request is not a well-formed PKCS#10 request.', 'Send one PEM or DER PKCS#10 request.'),
  'csr-signature-invalid': enrollment(400, 'The certificate request is not signed by the key that it asks to certify.', 'Make the request with the private key of the device.'),
  'csr-name-mismatch': enrollment(403, 'The certificate request names another device.', 'Ask for the id of the device that is enrolled, or leave the subject empty.'),
  'csr-subject-changed': enrollment(400, 'The request asks for another subject, or other alternative names, than the certificate that it renews.', 'Make the request with the subject of the present certificate, /CN= and the device id, and without alternative names.'),
  'renewal-same-key': enrollment(403, 'The certificate is to be renewed for a new key, and this is the key that it has.', 'Make a new key on the device, or set renewal.sameKey: allowed in sallyport.yaml.'),
  'renewal-rate': enrollment(429, 'The device asks for its next certificate too often.', 'Let the device use the certificate that it was given, and back off when it is refused.'),
  'ca-name-outside': enrollment(403, 'The CA may not give this name.', 'See what it may name: sallyport ca show. Register the device under such an id, or make a CA that may: ca rotate start --ids.'),
  'renewal-order-not-found': enrollment(404, 'There is no such order to renew.', 'List them: sallyport cert renew --status.'),
  'renewal-orders-limit': enrollment(409, 'Too many orders to renew are open.', 'End those that are no longer needed: sallyport cert renew --status shows them, --end ID ends one.'),
  'key-weak': enrollment(400, 'The key is too weak or of a kind that is not accepted.', 'Use ECDSA P-256 or P-384, Ed25519, or RSA of 2048, 3072 or 4096 bits.'),
  'key-in-use': enrollment(409, 'This public key already belongs to another device, to a CA, or to a revoked certificate.', 'Make a new key on the device.'),
  'key-not-reported': enrollment(403, 'The device is registered with another key, which its factory reported.', 'Let the device use the key that it was made with; a device whose key is lost is registered under another id.'),
  'password-weak': enrollment(400, 'The one-time password is too easy to guess.', 'Let the factory make passwords of at least 12 random letters and digits, another one for each device.'),
  'credential-missing': enrollment(401, 'The request brought no credential.', 'Send a token (HTTP Basic with the device id as user name and the token as password, or Bearer), or a certificate.'),
  'token-unknown': enrollment(401, 'This is no enrollment token, or not its secret.', 'Check how it was copied: case counts. Make a new one: sallyport token create --id ID.'),
  'token-locked': enrollment(429, 'Too many wrong tokens came from this address.', 'Wait for what Retry-After says; find out who guesses. Other addresses are not concerned.'),
  'token-revoked': enrollment(403, 'The token was revoked.', 'Make a new one: sallyport token create --id ID.'),
  'token-suspended': enrollment(403, 'The token is suspended.', 'When it may be used again: sallyport token resume NAME.'),
  'token-expired': enrollment(403, 'The token has expired.', 'Make a new one: sallyport token create --id ID.'),
  'token-used-up': enrollment(403, 'The token was used as often as it may be.', 'Make a new one: sallyport token create --id ID. If it was not this device, somebody else has its token: look at sallyport token list.'),
  'token-device': enrollment(403, 'The token is for another device.', 'Use the token that was made for this device id.'),
  'token-source': enrollment(403, 'The token may not be used from this address.', 'Enroll from a network that the token names, or make one without --cidr.'),
  'manufacturer-unregistered': enrollment(403, 'No rule lets certificates of this CA enroll devices.', 'If it is a manufacturer of yours: sallyport token create --manufacturer CA --pattern PATTERN.'),
  'device-enrolled': enrollment(409, 'The device has, or had, a certificate for another key, and a certificate that speaks for many devices gives it no second one.', 'Let it renew with the certificate that it has. If it lost its key, make a token for this one device: sallyport token create --id ID.'),
  'enrollment-pending': enrollment(202, 'An operator has to approve this enrollment.', 'Approve it: sallyport enrollment approve ID. The device asks again by itself.'),
  'enrollment-rejected': enrollment(403, 'An operator rejected this enrollment.', 'Ask with another key and another token, if it is your device.'),
  'enrollment-not-found': enrollment(404, 'No such request waits.', 'List them: sallyport enrollment list.'),
  'token-not-found': enrollment(404, 'There is no token of this name.', 'List them: sallyport token list.'),
  'enrollment-rate': enrollment(429, 'Too many requests came from this address.', 'Wait for what Retry-After says; let the devices back off with jitter.'),
  'enrollment-busy': enrollment(503, 'More enrollments were asked for at once than are worked off.', 'The device asks again after what Retry-After says. If it lasts, look for who asks: sallyport audit tail.'),
  'issuance-unavailable': enrollment(503, 'No certificate can be issued just now.', 'See the server log: the signer is being started, or the registry cannot be written. The device may try again.'),
  'enrollment-operation': enrollment(404, 'There is no such operation.', 'Compare the path with docs/enrollment.md.'),
  'channel-binding': enrollment(403, 'The request is not bound to this connection.', 'Let the client put tls-unique (TLS 1.2) or tls-exporter (TLS 1.3) in base64 into the challengePassword of its request, anew for each connection. If it does: somebody passes its requests on.'),
  'server-key-refused': enrollment(403, 'Keys of devices are not made here.', 'Let the device make its key and ask for simpleenroll; or set enroll.serverKeys: allowed in sallyport.yaml.'),
  'server-key-encryption': enrollment(400, 'The request wants its key encrypted beyond TLS, which is not offered.', 'Ask without DecryptKeyIdentifier and AsymmetricDecryptKeyIdentifier if TLS is protection enough; otherwise let the device make its key.'),
  'token-rate': enrollment(429, 'This token is shown too often.', 'Wait for what Retry-After says. If it is not the devices that it was made for, revoke it: sallyport token revoke NAME.'),
  'certificates-limit': enrollment(409, 'The device already has as many certificates in force as allowed.', 'Revoke the one that is no longer used: sallyport cert revoke --serial S --reason superseded.'),
  'device-exists': enrollment(409, 'A device of this name is already registered.', 'Choose another id, or use the device that is there.'),
  'device-id-invalid': enrollment(400, 'This is not a device id.', 'Device ids are 1 to 64 of A-Z a-z 0-9 _ . - and begin with a letter or digit.'),
  'group-invalid': enrollment(400, 'This is not a group name.', 'Group names are 1 to 64 of A-Z a-z 0-9 _ . - and begin with a letter or digit.'),
  'attribute-invalid': enrollment(400, 'An attribute name or value is not accepted.', 'Names are letters, digits and _; values at most 128 bytes, without / + # or control characters.'),
  'state-transition': enrollment(409, 'The life cycle does not allow this step.', 'See the present state: sallyport device show ID.'),
  'revision-conflict': enrollment(409, 'Somebody else changed this at the same time.', 'Look at the present state and try again.'),

  'device-not-found': api(404, 'No device of this name is registered.', 'List the devices: sallyport device list.'),
  'certificate-not-found': api(404, 'No such certificate is recorded.', 'List the certificates: sallyport cert list.'),
  'ca-step': api(409, 'The rotation of the CA is not at this step.', 'See which step is next: sallyport ca rotate.'),
  'ca-in-use': api(409, 'Certificates of this CA are still in force.', 'See whose: sallyport ca rotate status. Renew or revoke them, or end them with --force.'),
  'ca-key-missing': api(409, 'The key of the root CA is not in this home.', 'Lend it for this step: --root-key FILE, with --root-key-passphrase-file FILE when it is not sealed by this home.'),
  'ca-key-not-exported': api(409, 'The file does not hold the key of this CA.', 'Export it first: sallyport ca export-root-key --out FILE. Then name that file.'),
  'policy-edited': api(409, 'The policy file was edited since its text came into force, and this would overwrite the edit.', 'Put the edit in force first (sallyport policy apply), or repeat with --force.'),
  'policy-cuts-all': api(409, 'With this policy no connected device would have a grant left.', 'Look at it with: sallyport policy diff --fleet. If it is meant, repeat with --force.'),
  'generation-unknown': api(404, 'No text of a policy of this generation is kept.', 'List them: sallyport policy history.'),
  'connection-not-found': api(404, 'This connection is not there, or not any more.', 'List those that are: sallyport connection list.'),
  'refusal-not-found': api(404, 'No refusal of this number is remembered.', 'What is older stands in data/audit.ndjson: sallyport audit tail.'),
  'listeners-limit': api(429, 'As many listen to events as may.', 'Close consoles that nobody looks at; one stream of a program serves all that it does.'),
  'webhook-not-found': api(404, 'There is no webhook of this name.', 'List them: sallyport webhook list.'),
  'webhook-exists': api(409, 'A webhook of this name is there already.', 'Choose another name, or remove that one: sallyport webhook remove NAME.'),
  'webhooks-limit': api(409, 'There are as many webhooks as may be.', 'Remove one that nobody needs: sallyport webhook list.'),
  'webhook-url-invalid': api(400, 'This is not a URL that a webhook can have.', 'Write it as https://example.org/path, without a user name and without a fragment.'),
  'webhook-address-internal': api(403, 'The address is internal: a webhook could open a door that only this machine reaches.', 'If it is meant, list its network in webhooks.allow of sallyport.yaml.'),
  'request-invalid': api(400, 'The request is not what this operation takes.', 'Compare with --help, or with the message.'),
  'operator-required': api(403, 'Only an operator certificate opens the admin API, or a session of the console.', 'Use certs/local/operator/{cert,key}.pem; in a browser, sign in with sallyport console.'),
  'role-insufficient': api(403, 'The role of this operator is not enough for this.', 'Ask an operator whose role is; an admin gives another one: sallyport operator role NAME ROLE.'),
  'tenant-insufficient': api(403, 'This is about the whole organisation, and the operator is one of a tenant.', 'Ask an operator of the organisation.'),
  'precondition-failed': api(412, 'It is not what If-Match says any more: somebody else changed it.', 'Ask for it again, look at what has changed, and send the new ETag.'),
  'idempotency-reused': api(422, 'This Idempotency-Key was used for another request.', 'Use a new key for every request that is not a repetition.'),
  'operator-not-found': api(404, 'There is no operator of this name.', 'List them: sallyport operator list.'),
  'operator-exists': api(409, 'There is, or was, an operator of this name.', 'Choose another name. Who is there already gets a further certificate with: sallyport operator renew NAME.'),
  'operator-revoked': api(403, 'The operator is revoked.', 'If it was a mistake, an admin makes a new one under another name: sallyport operator add NAME --role ROLE.'),
  'operators-limit': api(409, 'There are as many operators as are kept, with those that are revoked.', 'Give somebody the place of one who is gone: sallyport operator renew NAME.'),
  'last-admin': api(409, 'Nobody would be left who may do everything.', 'Make another admin first: sallyport operator add NAME --role admin.'),
  'console-link-invalid': api(401, 'This link does not open the console: it was used, it is older than ten minutes, or the server has started anew since.', 'Print a fresh one on the machine of the server: sallyport console.'),
  'console-link-remote': api(403, 'The console was opened by its link from another machine, or through a proxy.', 'Open it in a browser on the machine of the server (a tunnel of ssh will do), or with an operator certificate.'),
  'console-link-rate': api(429, 'Too many links were tried that are none.', 'Wait a minute; then print a fresh one: sallyport console.'),
  'console-session-ended': api(401, 'This session of the console has ended.', 'Sign in again: sallyport console.'),
  'report-not-found': api(404, 'There is no such report of the simulator in the folder reports of this home.', 'Write one: npm run sim -- --json reports/run.json.'),
  'console-session-unknown': api(404, 'There is no such session of the console.', 'List them in the console: Settings.'),
  'host-not-allowed': api(421, 'The request is for a host name that this server does not have.', 'Use the URL that data/endpoints.json names.'),
  'route-unknown': api(404, 'There is no such operation.', 'Compare the path and the method with the documentation.'),
} as const satisfies Record<string, WireAnswer>

/** A stable code that says why something was refused. */
export type DenyReason = keyof typeof REASONS

/** What a DISCONNECT of the server says that is no refusal. MQTT 5 §3.14.2.1. */
export const DISCONNECT = { sessionTakenOver: 0x8e, serverShuttingDown: 0x8b, administrativeAction: 0x98 } as const

/** Exit codes of every command, after sysexits.h where it has a word. */
export const EXIT = { ok: 0, failed: 1, usage: 2, notFound: 3, refused: 4, unreachable: 5, configuration: 78, interrupted: 130 } as const
export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

/** RFC 5280 §5.3.1: the reasons for which a certificate is revoked, with their codes. */
export const REVOCATION_REASONS = {
  unspecified: 0,
  keyCompromise: 1,
  cACompromise: 2,
  affiliationChanged: 3,
  superseded: 4,
  cessationOfOperation: 5,
  privilegeWithdrawn: 9,
  aACompromise: 10,
} as const
export type RevocationReason = keyof typeof REVOCATION_REASONS

/** The same in what is published: the certificates of a suspended device are on hold, which no operator says by hand. */
export const PUBLISHED_REASONS = { ...REVOCATION_REASONS, certificateHold: 6 } as const
export type PublishedReason = keyof typeof PUBLISHED_REASONS

/** The detection ladder, from its foot: what is done about a device that behaves as if somebody else had it. */
export const RUNGS = ['none', 'observe', 'throttle', 'quarantine', 'suspend'] as const
export type Rung = (typeof RUNGS)[number]

/** What the ladder watches for: the fact as a sentence, what is counted, and what the operator can do about it. */
export const SIGNALS = {
  denials: { sentence: 'It was refused again and again.', counted: 'refusals', fix: 'See what is refused, and correct the device or the policy: sallyport policy explain.' },
  topics: { sentence: 'It asked for many different topics that it may not have.', counted: 'different topics', fix: 'Find out what runs on the device; if it asks in good faith, grant what it needs or exempt it in detection.exempt.' },
  'client-ids': { sentence: 'It tried the client ids of other devices.', counted: 'other devices', fix: 'Find out what runs on the device; a gateway connects under client ids of its own.' },
  connects: { sentence: 'It connects over and over.', counted: 'CONNECTs', fix: 'Let the device back off; look for two programs that fight over one client id, and for a bad network.' },
  'two-places': { sentence: 'Its certificate was used from two places at once.', counted: 'times', fix: 'If no gateway with two networks explains it, the key was copied: revoke the certificate and provision the device again.' },
  rate: { sentence: 'It sends far more than it usually does.', counted: 'seconds', fix: 'Find out what it sends; give its grant a rate, or exempt it in detection.exempt.' },
} as const satisfies Record<string, { readonly sentence: string; readonly counted: string; readonly fix: string }>
export type Signal = keyof typeof SIGNALS

/** Topic roots that no device may publish to and no grant may name. */
export const RESERVED_ROOT_PREFIX = '$'

/** The admin API. What begins with a colon is filled in by the caller, percent-encoded. */
export const ADMIN_PATHS = {
  openapi: '/openapi.json',
  status: '/v1/status',
  reload: '/v1/reload',
  logLevels: '/v1/log-levels',
  ca: '/v1/ca',
  caRotation: '/v1/ca/rotation',
  caRequest: '/v1/ca/request',
  caImport: '/v1/ca/import',
  caKey: '/v1/ca/key',
  devices: '/v1/devices',
  device: '/v1/devices/:id',
  deviceEnroll: '/v1/devices/:id/enroll',
  deviceState: '/v1/devices/:id/state',
  deviceRefusals: '/v1/devices/:id/refusals',
  deviceDetectionClear: '/v1/devices/:id/detection/clear',
  detection: '/v1/detection',
  certificates: '/v1/certificates',
  certificate: '/v1/certificates/:serial',
  revocations: '/v1/revocations',
  tokens: '/v1/tokens',
  token: '/v1/tokens/:token',
  tokenRevoke: '/v1/tokens/:token/revoke',
  tokenSuspension: '/v1/tokens/:token/suspension',
  claims: '/v1/tokens/claim',
  manufacturers: '/v1/tokens/manufacturer',
  journal: '/v1/journal',
  enrollments: '/v1/enrollments',
  enrollment: '/v1/enrollments/:request',
  enrollmentDecision: '/v1/enrollments/:request/decision',
  massRevocations: '/v1/revocations/many',
  renewalOrders: '/v1/renewals',
  renewalOrderEnd: '/v1/renewals/:order/end',
  renewalOwn: '/v1/renewals/own',
  expiring: '/v1/expiring',
  policy: '/v1/policy',
  policyHistory: '/v1/policy/history',
  policyExplain: '/v1/policy/explain',
  policyWhoCan: '/v1/policy/who-can',
  policyDiff: '/v1/policy/diff',
  policyLint: '/v1/policy/lint',
  connections: '/v1/connections',
  connectionEnd: '/v1/connections/:connection/disconnect',
  refusals: '/v1/refusals',
  refusalGroups: '/v1/refusals/groups',
  refusal: '/v1/refusals/:refusal',
  overview: '/v1/overview',
  deviceSessions: '/v1/devices/:id/sessions',
  deviceTopics: '/v1/devices/:id/topics',
  deviceTimeline: '/v1/devices/:id/timeline',
  events: '/v1/events',
  webhooks: '/v1/webhooks',
  webhook: '/v1/webhooks/:webhook',
  webhookTest: '/v1/webhooks/:webhook/test',
  webhookDeliveries: '/v1/webhooks/:webhook/deliveries',
  webhookRetry: '/v1/webhooks/:webhook/retry',
  operators: '/v1/operators',
  operatorRole: '/v1/operators/:operator/role',
  operatorCertificates: '/v1/operators/:operator/certificates',
  operatorRevoke: '/v1/operators/:operator/revoke',
  audit: '/v1/audit',
  auditRecords: '/v1/audit/records',
  auditVerify: '/v1/audit/verify',
  reports: '/v1/reports',
  report: '/v1/reports/:report',
  consoleLinks: '/v1/console/links',
  consoleSessions: '/v1/console/sessions',
  consoleSessionEnd: '/v1/console/sessions/:session/end',
} as const

/** Media type of an error answer. RFC 9457 §3. */
export const PROBLEM_MEDIA_TYPE = 'application/problem+json'

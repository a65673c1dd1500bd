// What a program on the AWS IoT Device SDK v2 sees of a server: it connects, subscribes, publishes, and prints what the SDK hands on.
// aws-iot.cjs ACTION VERSION HOST PORT CA CERT KEY CLIENT-ID TOPIC; CERT and KEY may be empty. COMPAT_PACKAGES is where the SDK is installed.
'use strict'
const { createRequire } = require('node:module')
const { iot, mqtt, mqtt5 } = createRequire(`${process.env.COMPAT_PACKAGES}/package.json`)('aws-iot-device-sdk-v2')

const [action, version, host, port, ca, cert, key, clientId, topic] = process.argv.slice(2)
const TIMEOUT_MS = 10_000

/** The end of a program: what was seen last, and whether it is what was wanted. */
function end(text, status) {
  console.log(text)
  process.exit(status)
}
setTimeout(() => end('no answer', 1), TIMEOUT_MS)

const nameOf = (codes, code) => codes[code] ?? String(code)

async function speak5() {
  const { AwsIotMqtt5ClientConfigBuilder: Builder } = iot
  // Its builders want a certificate; who has none takes the one for a custom authorizer, without an authorizer.
  const builder = cert === '' ? Builder.newDirectMqttBuilderWithCustomAuth(host, {}) : Builder.newDirectMqttBuilderWithMtlsFromPath(host, cert, key)
  const client = new mqtt5.Mqtt5Client(builder.withCertificateAuthorityFromPath(undefined, ca).withPort(Number(port)).withConnectProperties({ clientId, keepAliveIntervalSeconds: 30 }).build())
  client.on('messageReceived', ({ message }) => end(`received ${message.topicName} ${Buffer.from(message.payload).toString()}`, 0))
  await new Promise((resolve) => {
    client.once('connectionSuccess', resolve)
    client.once('connectionFailure', ({ error, connack }) => end(`connectionFailure: ${error}${connack === undefined ? '' : `; connack ${connack.reasonCode} ${nameOf(mqtt5.ConnectReasonCode, connack.reasonCode)}`}`, 1))
    client.start()
  })
  console.log('connected')
  if (action !== 'publish') {
    const { reasonCodes, reasonString } = await client.subscribe({ subscriptions: [{ topicFilter: topic, qos: mqtt5.QoS.AtLeastOnce }] })
    if (reasonCodes[0] >= 0x80) end(`suback: ${reasonCodes[0]} ${nameOf(mqtt5.SubackReasonCode, reasonCodes[0])}${reasonString === undefined ? '' : `: ${reasonString}`}`, 1)
    console.log('subscribed')
  }
  if (action !== 'subscribe') {
    const { reasonCode, reasonString } = await client.publish({ topicName: topic, qos: mqtt5.QoS.AtLeastOnce, payload: 'hello' })
    if (reasonCode >= 0x80) end(`puback: ${reasonCode} ${nameOf(mqtt5.PubackReasonCode, reasonCode)}${reasonString === undefined ? '' : `: ${reasonString}`}`, 1)
    console.log('published')
  }
  if (action !== 'exchange') end('done', 0)
}

async function speak3() {
  const { AwsIotMqttConnectionConfigBuilder: Builder } = iot
  const builder = cert === '' ? Builder.new_default_builder() : Builder.new_mtls_builder_from_path(cert, key)
  const config = builder.with_certificate_authority_from_path(undefined, ca).with_endpoint(host).with_port(Number(port)).with_client_id(clientId).with_clean_session(true).with_keep_alive_seconds(30).build()
  const connection = new mqtt.MqttClient().new_connection(config)
  connection.on('error', (error) => end(`error: ${error}`, 1))
  await connection.connect()
  console.log('connected')
  if (action !== 'publish') {
    const { qos, error_code: code } = await connection.subscribe(topic, mqtt.QoS.AtLeastOnce, (name, payload) => end(`received ${name} ${Buffer.from(payload).toString()}`, 0))
    if (qos === 0x80 || code !== 0) end(`suback: qos ${qos}, error_code ${code}`, 1)
    console.log('subscribed')
  }
  if (action !== 'subscribe') {
    await connection.publish(topic, 'hello', mqtt.QoS.AtLeastOnce)
    console.log('published')
  }
  if (action !== 'exchange') end('done', 0)
}

;(version === '5' ? speak5() : speak3()).catch((error) => end(`error: ${error}`, 1))

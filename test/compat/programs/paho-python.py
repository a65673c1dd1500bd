"""What a program on the Paho Python library sees of a server: it connects, subscribes, publishes, and prints what the library hands on.

paho-python.py ACTION VERSION HOST PORT CA CERT KEY CLIENT-ID TOPIC; CERT and KEY may be empty.
"""

import sys
import threading

import paho.mqtt.client as mqtt

TIMEOUT_S = 10


def main(action, version, host, port, ca, cert, key, client_id, topic):
    is5 = version == "5"
    done = threading.Event()
    result = {"status": 1}

    def end(text, status):
        print(text, flush=True)
        result["status"] = status
        done.set()

    def on_connect(client, userdata, flags, code, properties=None):
        if (code.value if is5 else code) != 0:
            return end(f"on_connect: {code if is5 else f'{code} {mqtt.connack_string(code)}'}", 1)
        print("connected", flush=True)
        if action == "publish":
            client.publish(topic, "hello", qos=1)
        else:
            client.subscribe(topic, qos=1)

    def on_subscribe(client, userdata, mid, codes, properties=None):
        granted = codes[0].value if is5 else codes[0]
        if granted >= 0x80:
            return end(f"on_subscribe: {codes[0]}", 1)
        print("subscribed", flush=True)
        if action == "exchange":
            client.publish(topic, "hello", qos=1)
        else:
            end("granted", 0)

    def on_publish(client, userdata, mid):
        print("on_publish", flush=True)
        if action == "publish":
            end("published", 0)

    def on_message(client, userdata, message):
        end(f"received {message.topic} {message.payload.decode()}", 0)

    def on_disconnect(client, userdata, code, properties=None):
        if not done.is_set():
            end(f"on_disconnect: {code if is5 else f'{code} {mqtt.error_string(code)}'}", 1)

    client = mqtt.Client(client_id=client_id, protocol=mqtt.MQTTv5 if is5 else mqtt.MQTTv311)
    client.tls_set(ca_certs=ca, certfile=cert or None, keyfile=key or None)
    client.on_connect, client.on_subscribe, client.on_publish = on_connect, on_subscribe, on_publish
    client.on_message, client.on_disconnect = on_message, on_disconnect
    # A TLS 1.3 server says that it wants a certificate when the handshake is over: in the network thread, which ends of it.
    threading.excepthook = lambda args: end(f"{args.exc_type.__name__}: {args.exc_value}", 1)
    try:
        client.connect(host, int(port), keepalive=30)
    except Exception as error:
        print(f"{type(error).__name__}: {error}", flush=True)
        return 1
    client.loop_start()
    if not done.wait(TIMEOUT_S):
        print("no answer", flush=True)
    client.on_disconnect = None
    client.disconnect()
    client.loop_stop()
    return result["status"]


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:10]))

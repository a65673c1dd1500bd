/* What a program on the Paho C library sees of a server: it connects, subscribes, publishes, and prints what the library hands on.
 * paho-c ACTION VERSION HOST PORT CA CERT KEY CLIENT-ID TOPIC; CERT and KEY may be empty. */
#include <MQTTClient.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TIMEOUT_S = 10, KEEP_ALIVE_S = 30 };

static sem_t arrived, acknowledged;
static int ack_reason;

static int on_message(void *context, char *topic, int length, MQTTClient_message *message) {
  (void)context, (void)length;
  printf("received %s %.*s\n", topic, message->payloadlen, (char *)message->payload);
  MQTTClient_freeMessage(&message);
  MQTTClient_free(topic);
  sem_post(&arrived);
  return 1;
}

static void on_published(void *context, int token, int packet, MQTTProperties *properties, enum MQTTReasonCodes reason) {
  (void)context, (void)token, (void)packet, (void)properties;
  ack_reason = reason;
  sem_post(&acknowledged);
}

/* What OpenSSL has to say comes through here. */
static int on_tls_error(const char *text, size_t length, void *context) {
  (void)context;
  printf("TLS: %.*s%s", (int)length, text, length > 0 && text[length - 1] == '\n' ? "" : "\n");
  return 1;
}

static int wait_for(sem_t *what) {
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += TIMEOUT_S;
  return sem_timedwait(what, &until);
}

static int refused(const char *what, int code) {
  const char *text = code < 0 || code < MQTTREASONCODE_UNSPECIFIED_ERROR ? MQTTClient_strerror(code) : MQTTReasonCode_toString((enum MQTTReasonCodes)code);
  printf("%s: %d %s\n", what, code, text != NULL ? text : "");
  return 1;
}

static int connect_to(MQTTClient client, int is5, const char *ca, const char *cert, const char *key) {
  MQTTClient_connectOptions v3 = MQTTClient_connectOptions_initializer, v5 = MQTTClient_connectOptions_initializer5;
  MQTTClient_connectOptions options = is5 ? v5 : v3;
  MQTTClient_SSLOptions tls = MQTTClient_SSLOptions_initializer;
  tls.trustStore = ca;
  tls.enableServerCertAuth = 1;
  tls.verify = 1;
  tls.ssl_error_cb = on_tls_error;
  if (cert[0] != '\0') {
    tls.keyStore = cert;
    tls.privateKey = key;
  }
  options.ssl = &tls;
  options.keepAliveInterval = KEEP_ALIVE_S;
  options.connectTimeout = TIMEOUT_S;
  if (!is5) {
    options.cleansession = 1;
    options.MQTTVersion = MQTTVERSION_3_1_1;
    return MQTTClient_connect(client, &options);
  }
  options.cleanstart = 1;
  MQTTResponse response = MQTTClient_connect5(client, &options, NULL, NULL);
  int code = response.reasonCode;
  MQTTResponse_free(response);
  return code;
}

static int subscribe_to(MQTTClient client, int is5, const char *topic) {
  if (!is5) return MQTTClient_subscribe(client, topic, 1);
  MQTTResponse response = MQTTClient_subscribe5(client, topic, 1, NULL, NULL);
  int code = response.reasonCode;
  MQTTResponse_free(response);
  return code;
}

static int publish_to(MQTTClient client, int is5, const char *topic) {
  MQTTClient_message message = MQTTClient_message_initializer;
  MQTTClient_deliveryToken token;
  message.payload = "hello";
  message.payloadlen = 5;
  message.qos = 1;
  if (!is5) {
    int code = MQTTClient_publishMessage(client, topic, &message, &token);
    return code != MQTTCLIENT_SUCCESS ? code : MQTTClient_waitForCompletion(client, token, TIMEOUT_S * 1000L);
  }
  MQTTResponse response = MQTTClient_publishMessage5(client, topic, &message, &token);
  int code = response.reasonCode;
  MQTTResponse_free(response);
  if (code != MQTTCLIENT_SUCCESS) return code;
  return wait_for(&acknowledged) == 0 ? ack_reason : MQTTCLIENT_FAILURE;
}

int main(int argc, char **argv) {
  if (argc != 10) return 2;
  const char *action = argv[1], *topic = argv[9];
  int is5 = strcmp(argv[2], "5") == 0, code, status = 1;
  char url[300];
  snprintf(url, sizeof url, "ssl://%s:%s", argv[3], argv[4]);
  setvbuf(stdout, NULL, _IOLBF, 0);
  sem_init(&arrived, 0, 0);
  sem_init(&acknowledged, 0, 0);
  MQTTClient_init_options init = MQTTClient_init_options_initializer;
  init.do_openssl_init = 1;
  MQTTClient_global_init(&init);
  MQTTClient client;
  MQTTClient_createOptions create = MQTTClient_createOptions_initializer;
  create.MQTTVersion = is5 ? MQTTVERSION_5 : MQTTVERSION_3_1_1;
  if (MQTTClient_createWithOptions(&client, url, argv[8], MQTTCLIENT_PERSISTENCE_NONE, NULL, &create) != MQTTCLIENT_SUCCESS) return 1;
  MQTTClient_setCallbacks(client, NULL, NULL, on_message, NULL);
  if (is5) MQTTClient_setPublished(client, NULL, on_published);

  if ((code = connect_to(client, is5, argv[5], argv[6], argv[7])) != MQTTCLIENT_SUCCESS) {
    refused("connect", code);
    goto end;
  }
  printf("connected\n");
  if (strcmp(action, "publish") != 0) {
    /* What is answered is the granted QoS, or a code of 0x80 and above. */
    if ((code = subscribe_to(client, is5, topic)) < 0 || code >= MQTTREASONCODE_UNSPECIFIED_ERROR) {
      refused("subscribe", code);
      goto disconnect;
    }
    printf("subscribed\n");
  }
  if (strcmp(action, "subscribe") != 0) {
    if ((code = publish_to(client, is5, topic)) != MQTTCLIENT_SUCCESS) {
      refused("publish", code);
      goto disconnect;
    }
    printf("published\n");
  }
  status = strcmp(action, "exchange") == 0 && wait_for(&arrived) != 0 ? 1 : 0;
disconnect:
  if (is5) MQTTClient_disconnect5(client, 1000, MQTTREASONCODE_SUCCESS, NULL);
  else MQTTClient_disconnect(client, 1000);
end:
  MQTTClient_destroy(&client);
  return status;
}

/* A small device on Mbed TLS, the TLS of an ESP32: its identity is a header that `device bundle --format c-header` made, compiled in with
 * -DBUNDLE='"ID.h"'. It speaks just enough of MQTT 3.1.1 to connect, subscribe and publish with QoS 1, and prints what it is answered.
 * mbedtls ACTION CLIENT-ID TOPIC; with -DWITHOUT_CERTIFICATE it shows none. */
#include BUNDLE
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/error.h>
#include <mbedtls/net_sockets.h>
#include <mbedtls/ssl.h>
#include <mbedtls/version.h>
#include <mbedtls/x509_crt.h>
#include <stdio.h>
#include <string.h>

enum { TIMEOUT_MS = 10000, PACKET_BYTES_MAX = 512, KEEP_ALIVE_S = 30 };
enum { CONNACK = 0x20, PUBLISH = 0x30, PUBACK = 0x40, SUBACK = 0x90 };

static mbedtls_ssl_context tls;

static int failed(const char *what, int code) {
  char text[160];
  mbedtls_strerror(code, text, sizeof text);
  printf("%s: -0x%04X %s\n", what, (unsigned)-code, text);
  return 1;
}

static size_t put_text(unsigned char *at, const char *text) {
  size_t length = strlen(text);
  at[0] = (unsigned char)(length >> 8);
  at[1] = (unsigned char)length;
  memcpy(at + 2, text, length);
  return length + 2;
}

/* One packet, shorter than 128 bytes, so that its length is one byte. */
static int send_packet(unsigned char type, const unsigned char *body, size_t length) {
  unsigned char packet[PACKET_BYTES_MAX];
  if (length > 127) return MBEDTLS_ERR_SSL_BUFFER_TOO_SMALL;
  packet[0] = type;
  packet[1] = (unsigned char)length;
  memcpy(packet + 2, body, length);
  for (size_t sent = 0; sent < length + 2;) {
    int n = mbedtls_ssl_write(&tls, packet + sent, length + 2 - sent);
    if (n < 0 && n != MBEDTLS_ERR_SSL_WANT_WRITE && n != MBEDTLS_ERR_SSL_WANT_READ) return n;
    if (n > 0) sent += (size_t)n;
  }
  return 0;
}

static int read_bytes(unsigned char *into, size_t count) {
  for (size_t have = 0; have < count;) {
    int n = mbedtls_ssl_read(&tls, into + have, count - have);
    if (n == 0) return MBEDTLS_ERR_SSL_CONN_EOF;
    if (n < 0 && n != MBEDTLS_ERR_SSL_WANT_READ && n != MBEDTLS_ERR_SSL_WANT_WRITE) return n;
    if (n > 0) have += (size_t)n;
  }
  return 0;
}

/* The next packet: its type, or what TLS says instead. A message that comes is printed and acknowledged. */
static int receive(unsigned char *body, size_t *length) {
  unsigned char head[2];
  int code = read_bytes(head, sizeof head);
  if (code != 0) return code;
  if (head[1] > 127) return MBEDTLS_ERR_SSL_BUFFER_TOO_SMALL;
  *length = head[1];
  if ((code = read_bytes(body, *length)) != 0) return code;
  if ((head[0] & 0xf0) != PUBLISH) return head[0] & 0xf0;
  size_t topic = (size_t)body[0] << 8 | body[1], start = 2 + topic, is_qos1 = (head[0] & 0x06) == 0x02;
  if (start + 2 * is_qos1 > *length) return MBEDTLS_ERR_SSL_BAD_INPUT_DATA;
  if (is_qos1 && (code = send_packet(PUBACK, body + start, 2)) != 0) return code;
  start += 2 * is_qos1;
  printf("received %.*s %.*s\n", (int)topic, body + 2, (int)(*length - start), body + start);
  return PUBLISH;
}

/* Waits for a packet of this kind; `seen` counts the messages on the way. */
static int receive_until(int type, unsigned char *body, size_t *length, int *seen) {
  for (;;) {
    int got = receive(body, length);
    if (got == PUBLISH) *seen += 1;
    if (got < 0 || got == type) return got;
  }
}

static int talk(const char *action, const char *client_id, const char *topic) {
  unsigned char out[PACKET_BYTES_MAX], in[PACKET_BYTES_MAX];
  size_t length, n = put_text(out, "MQTT");
  int code, seen = 0;
  if (strlen(client_id) > 64 || strlen(topic) > 64) return 2;
  out[n++] = 4;    /* MQTT 3.1.1 */
  out[n++] = 0x02; /* clean session */
  out[n++] = 0;
  out[n++] = KEEP_ALIVE_S;
  n += put_text(out + n, client_id);
  if ((code = send_packet(0x10, out, n)) < 0 || (code = receive_until(CONNACK, in, &length, &seen)) < 0) return failed("connect", code);
  if (in[1] != 0) return printf("connect: CONNACK return code %d\n", in[1]), 1;
  printf("connected with %s\n", mbedtls_ssl_get_version(&tls));
  if (strcmp(action, "publish") != 0) {
    out[0] = 0, out[1] = 1;
    n = 2 + put_text(out + 2, topic);
    out[n++] = 1;
    if ((code = send_packet(0x82, out, n)) < 0 || (code = receive_until(SUBACK, in, &length, &seen)) < 0) return failed("subscribe", code);
    if (in[2] == 0x80) return printf("subscribe: SUBACK return code 0x80\n"), 1;
    printf("subscribed\n");
  }
  if (strcmp(action, "subscribe") != 0) {
    n = put_text(out, topic);
    out[n++] = 0, out[n++] = 2;
    memcpy(out + n, "hello", 5);
    if ((code = send_packet(0x32, out, n + 5)) < 0 || (code = receive_until(PUBACK, in, &length, &seen)) < 0) return failed("publish", code);
    printf("published\n");
  }
  while (strcmp(action, "exchange") == 0 && seen == 0) {
    if ((code = receive(in, &length)) < 0) return failed("receive", code);
    if (code == PUBLISH) seen += 1;
  }
  send_packet(0xe0, out, 0);
  return 0;
}

static int parse_key(mbedtls_pk_context *key, mbedtls_ctr_drbg_context *random) {
#if MBEDTLS_VERSION_MAJOR >= 3
  return mbedtls_pk_parse_key(key, (const unsigned char *)sallyport_key_pem, sizeof sallyport_key_pem, NULL, 0, mbedtls_ctr_drbg_random, random);
#else
  (void)random;
  return mbedtls_pk_parse_key(key, (const unsigned char *)sallyport_key_pem, sizeof sallyport_key_pem, NULL, 0);
#endif
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  setvbuf(stdout, NULL, _IOLBF, 0);
  char port[8];
  snprintf(port, sizeof port, "%d", SALLYPORT_PORT);
  mbedtls_net_context net;
  mbedtls_entropy_context entropy;
  mbedtls_ctr_drbg_context random;
  mbedtls_ssl_config config;
  mbedtls_x509_crt ca, certificate;
  mbedtls_pk_context key;
  int code, status = 1;
  mbedtls_net_init(&net);
  mbedtls_entropy_init(&entropy);
  mbedtls_ctr_drbg_init(&random);
  mbedtls_ssl_config_init(&config);
  mbedtls_x509_crt_init(&ca);
  mbedtls_x509_crt_init(&certificate);
  mbedtls_pk_init(&key);
  mbedtls_ssl_init(&tls);
  if ((code = mbedtls_ctr_drbg_seed(&random, mbedtls_entropy_func, &entropy, NULL, 0)) != 0 ||
      (code = mbedtls_x509_crt_parse(&ca, (const unsigned char *)sallyport_ca_pem, sizeof sallyport_ca_pem)) != 0 ||
      /* The leaf and the issuing certificate: the server is shown both. */
      (code = mbedtls_x509_crt_parse(&certificate, (const unsigned char *)sallyport_certificate_pem, sizeof sallyport_certificate_pem)) != 0 ||
      (code = parse_key(&key, &random)) != 0 ||
      (code = mbedtls_ssl_config_defaults(&config, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT)) != 0) {
    status = failed("setup", code);
    goto end;
  }
  mbedtls_ssl_conf_authmode(&config, MBEDTLS_SSL_VERIFY_REQUIRED);
  mbedtls_ssl_conf_ca_chain(&config, &ca, NULL);
  mbedtls_ssl_conf_rng(&config, mbedtls_ctr_drbg_random, &random);
  mbedtls_ssl_conf_read_timeout(&config, TIMEOUT_MS);
#ifndef WITHOUT_CERTIFICATE
  if ((code = mbedtls_ssl_conf_own_cert(&config, &certificate, &key)) != 0) {
    status = failed("setup", code);
    goto end;
  }
#endif
  if ((code = mbedtls_ssl_setup(&tls, &config)) != 0 || (code = mbedtls_ssl_set_hostname(&tls, SALLYPORT_HOST)) != 0 ||
      (code = mbedtls_net_connect(&net, SALLYPORT_HOST, port, MBEDTLS_NET_PROTO_TCP)) != 0) {
    status = failed("setup", code);
    goto end;
  }
  mbedtls_ssl_set_bio(&tls, &net, mbedtls_net_send, NULL, mbedtls_net_recv_timeout);
  while ((code = mbedtls_ssl_handshake(&tls)) == MBEDTLS_ERR_SSL_WANT_READ || code == MBEDTLS_ERR_SSL_WANT_WRITE) {
  }
  status = code != 0 ? failed("handshake", code) : talk(argv[1], argv[2], argv[3]);
  mbedtls_ssl_close_notify(&tls);
end:
  mbedtls_ssl_free(&tls);
  mbedtls_net_free(&net);
  mbedtls_pk_free(&key);
  mbedtls_x509_crt_free(&certificate);
  mbedtls_x509_crt_free(&ca);
  mbedtls_ssl_config_free(&config);
  mbedtls_ctr_drbg_free(&random);
  mbedtls_entropy_free(&entropy);
  return status;
}

// The load of npm run bench:mqtt: many devices in one thread, each with a TLS connection and a certificate of its own, that
// speak just enough MQTT 3.1.1 to publish, to subscribe and to acknowledge. It is written in C because a client that is
// slower than the broker measures itself. It knows no broker: it is told a port, and does on stdin's command, one a line,
//   open                    connect everybody (with hold=1 only TLS), subscribe the listeners
//   saturate SECONDS WINDOW every speaker keeps WINDOW messages under way: sent, and not yet delivered and acknowledged
//   rate N SECONDS FILE     N messages a second at set times, whatever comes back; the latency of every delivery, from the
//                           time at which its message was due, goes to FILE as doubles in ns: no coordinated omission
//   fill COUNT WINDOW       COUNT messages of QoS 1 for each speaker; only PUBACKs are waited for
//   drain COUNT             send CONNECT for sessions that are kept, and wait for COUNT deliveries
// and answers each with one line of JSON. A phase ends when the last delivery and acknowledgement are in, so that what the
// broker spent between two answers belongs to exactly the messages that are reported. Every delivery is checked: from whom,
// and in which order. What must not happen (a refusal, a closed connection, a stall) ends the program with its name.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum {
  PAYLOAD = 128,           // bytes: from whom, which, due when, and filling
  PACKET_MAX = 256,        // everything that a broker sends here is smaller
  READ_ROOM = 1 << 18,
  TLS_READ_AHEAD = 1 << 15, // many small TLS records are one read(2)
  OPENING_AT_ONCE = 32,
  KEEP_ALIVE_S = 600,
  EVENTS = 256,
  STALL_MS = 5000,
  LEAVE_MS = 3000,
};
#define NS 1000000000ull

enum state { CLOSED, HANDSHAKING, HELD, CONNECTING, SUBSCRIBING, OPEN, LEAVING };
enum phase { QUIET, SATURATE, RATE, FILL, DRAIN };

struct conn {
  SSL *ssl;
  int fd, index;
  enum state state;
  bool speaker;
  char name[32];
  unsigned char rest[PACKET_MAX]; // the beginning of a packet whose end has not come yet
  size_t rest_bytes;
  unsigned char *out;
  size_t out_bytes, out_room;
  uint32_t sent, acked, delivered; // messages of this speaker; deliveries count every listener
};

// What it was told on its command line, as name=value.
static int port, speakers, listeners, qos, sources = 1, clean = 1, hold, all, with_speakers = 1, with_listeners = 1;
static const char *ca, *certs;
static const struct { const char *name; int *value; } numbers[] = {
  {"port", &port}, {"speakers", &speakers}, {"listeners", &listeners}, {"qos", &qos}, {"sources", &sources}, {"clean", &clean},
  {"hold", &hold}, {"all", &all}, {"with_speakers", &with_speakers}, {"with_listeners", &with_listeners},
};

static struct conn *conns;
static int conns_count, opened, resumed;
static uint32_t *expected; // by listener and speaker: the number of the message that comes next
static SSL_CTX *tls;
static int epoll, timer;

// The phase that runs.
static enum phase phase;
static uint64_t sent, acked, delivered, missing, repeated, due, last_ns;
static uint64_t quota, window, began_ns, stop_ns, interval_ns;
static double *latencies;
static size_t latencies_count, latencies_room;

static void fail(const char *format, ...) {
  va_list args;
  va_start(args, format);
  fprintf(stderr, "generator: ");
  vfprintf(stderr, format, args);
  fprintf(stderr, "\n");
  exit(1);
}

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * NS + t.tv_nsec;
}

// Each message goes to one listener, or to all of a fan-out.
static uint64_t fan(void) { return all || listeners < speakers ? 1 : listeners / speakers; }

// ---- output: bytes wait here until they are written together

static unsigned char *append(struct conn *c, size_t bytes) {
  if (c->out_bytes + bytes > c->out_room) {
    c->out_room = (c->out_bytes + bytes) * 2;
    c->out = realloc(c->out, c->out_room);
    if (c->out == NULL) fail("out of memory");
  }
  c->out_bytes += bytes;
  return c->out + c->out_bytes - bytes;
}

static void closed(struct conn *c, int result, const char *doing) {
  if (c->state == LEAVING || c->state == CLOSED) {
    opened -= c->state == LEAVING;
    c->state = CLOSED;
    c->out_bytes = 0;
    return;
  }
  unsigned long why = ERR_get_error();
  fail("%s was cut off while %s: %s", c->name, doing, why ? ERR_reason_error_string(why) : result == 0 ? "end" : strerror(errno));
}

static void flush(struct conn *c) {
  size_t at = 0;
  while (at < c->out_bytes) {
    int n = SSL_write(c->ssl, c->out + at, c->out_bytes - at);
    if (n > 0) at += n;
    else if (SSL_get_error(c->ssl, n) == SSL_ERROR_WANT_WRITE || SSL_get_error(c->ssl, n) == SSL_ERROR_WANT_READ) break;
    else return closed(c, n, "writing");
  }
  if (at > 0) memmove(c->out, c->out + at, c->out_bytes - at);
  c->out_bytes -= at;
}

static unsigned char *put16(unsigned char *p, unsigned n) {
  *p++ = n >> 8;
  *p++ = n & 255;
  return p;
}

static unsigned char *put_text(unsigned char *p, const char *text) {
  size_t length = strlen(text);
  p = put16(p, length);
  memcpy(p, text, length);
  return p + length;
}

// ---- packets

static void send_connect(struct conn *c) {
  size_t body = 10 + 2 + strlen(c->name);
  unsigned char *p = put16(append(c, 2 + body), 0x1000 | body);
  p = put_text(p, "MQTT");
  *p++ = 4;
  *p++ = c->speaker || clean ? 2 : 0;
  p = put16(p, KEEP_ALIVE_S);
  put_text(p, c->name);
  c->state = CONNECTING;
}

static void send_subscribe(struct conn *c) {
  char filter[64];
  if (all) strcpy(filter, "t/+/b");
  else snprintf(filter, sizeof filter, "t/speaker-%d/b", c->index % speakers);
  size_t body = 2 + 2 + strlen(filter) + 1;
  unsigned char *p = put16(append(c, 2 + body), 0x8200 | body);
  p = put_text(put16(p, 1), filter);
  *p = qos;
  c->state = SUBSCRIBING;
}

static void publish(struct conn *c, uint64_t due_ns) {
  char topic[64];
  size_t topic_bytes = snprintf(topic, sizeof topic, "t/%s/b", c->name);
  size_t body = 2 + topic_bytes + (qos ? 2 : 0) + PAYLOAD;
  unsigned char *p = append(c, (body > 127 ? 3 : 2) + body);
  *p++ = 0x30 | qos << 1;
  if (body > 127) *p++ = 128 | (body & 127);
  *p++ = body > 127 ? body >> 7 : body;
  p = put16(p, topic_bytes);
  memcpy(p, topic, topic_bytes);
  p += topic_bytes;
  if (qos) p = put16(p, 1 + c->sent % 65535);
  memset(p, '.', PAYLOAD);
  uint32_t head[2] = {c->index, c->sent};
  memcpy(p, head, 8);
  memcpy(p + 8, &due_ns, 8);
  c->sent++;
  sent++;
}

static void take_delivery(struct conn *c, const unsigned char *payload, uint64_t at_ns) {
  uint32_t head[2];
  uint64_t due_ns;
  memcpy(head, payload, 8);
  memcpy(&due_ns, payload + 8, 8);
  if (head[0] >= (uint32_t)speakers) fail("%s got a message of nobody", c->name);
  uint32_t *next = &expected[(size_t)c->index * speakers + head[0]];
  if (head[1] < *next) repeated++;
  else missing += head[1] - *next, *next = head[1] + 1;
  if (with_speakers) conns[head[0]].delivered++;
  delivered++;
  last_ns = at_ns;
  if (phase == RATE && latencies_count < latencies_room) latencies[latencies_count++] = at_ns - due_ns;
}

static void take_publish(struct conn *c, int flags, const unsigned char *body, size_t length, uint64_t at_ns) {
  int level = flags >> 1 & 3;
  size_t head = 2 + (body[0] << 8 | body[1]) + (level ? 2 : 0);
  if (level != qos || length != head + PAYLOAD) fail("%s got a message that nobody sent", c->name);
  if (level) {
    memcpy(put16(append(c, 4), 0x4002), body + head - 2, 2);
  }
  take_delivery(c, body + head, at_ns);
}

static void take_packet(struct conn *c, int type, const unsigned char *body, size_t length, uint64_t at_ns) {
  switch (type >> 4) {
    case 2:
      if (c->state != CONNECTING || body[1] != 0) fail("%s: CONNACK %d", c->name, body[1]);
      resumed += body[0] & 1;
      if (!c->speaker && phase != DRAIN && speakers > 0) return send_subscribe(c);
      c->state = OPEN;
      opened++;
      return;
    case 3: take_publish(c, type & 15, body, length, at_ns); return;
    case 4: c->acked++, acked++, last_ns = at_ns; return;
    case 9:
      if (body[2] != qos) fail("%s: SUBACK 0x%02x", c->name, body[2]);
      c->state = OPEN;
      opened++;
      return;
    default: fail("%s got a packet of type %d", c->name, type >> 4);
  }
}

// Until there is nothing to read: events are edge-triggered.
static void receive(struct conn *c) {
  static unsigned char room[READ_ROOM];
  for (;;) {
    memcpy(room, c->rest, c->rest_bytes);
    int n = SSL_read(c->ssl, room + c->rest_bytes, READ_ROOM - PACKET_MAX);
    if (n <= 0) {
      if (SSL_get_error(c->ssl, n) == SSL_ERROR_WANT_READ) return;
      return closed(c, n, "reading");
    }
    uint64_t at_ns = now_ns();
    size_t end = c->rest_bytes + n, at = 0;
    while (at + 2 <= end) {
      size_t head = room[at + 1] & 128 ? 3 : 2;
      if (at + head > end) break;
      size_t length = (room[at + 1] & 127) | (head == 3 ? room[at + 2] << 7 : 0);
      if (head + length > PACKET_MAX) fail("%s got a packet of %zu bytes", c->name, length);
      if (at + head + length > end) break;
      take_packet(c, room[at], room + at + head, length, at_ns);
      at += head + length;
    }
    c->rest_bytes = end - at;
    memcpy(c->rest, room + at, c->rest_bytes);
  }
}

// ---- connections

static void start_handshake(struct conn *c) {
  struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001 + c->index % sources)};
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(0x7f000001)};
  int one = 1;
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (c->fd < 0) fail("socket: %s", strerror(errno));
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
  if (bind(c->fd, (struct sockaddr *)&from, sizeof from) < 0) fail("bind: %s", strerror(errno));
  if (connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS) fail("connect: %s", strerror(errno));
  char file[512];
  snprintf(file, sizeof file, "%s/%s.pem", certs, c->name);
  c->ssl = SSL_new(tls);
  if (SSL_use_certificate_chain_file(c->ssl, file) != 1 || SSL_use_PrivateKey_file(c->ssl, file, SSL_FILETYPE_PEM) != 1) fail("%s is no key and certificate", file);
  SSL_set_fd(c->ssl, c->fd);
  SSL_set1_host(c->ssl, "localhost");
  SSL_set_tlsext_host_name(c->ssl, "localhost");
  SSL_set_connect_state(c->ssl);
  c->state = HANDSHAKING;
  struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
  epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event);
}

static void drive(struct conn *c) {
  if (c->state == HANDSHAKING) {
    int n = SSL_do_handshake(c->ssl);
    if (n != 1) {
      int why = SSL_get_error(c->ssl, n);
      if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) return;
      return closed(c, n, "shaking hands");
    }
    if (hold) { c->state = HELD; opened++; }
    else send_connect(c);
  }
  if (c->out_bytes > 0) flush(c);
  receive(c);
  if (c->out_bytes > 0) flush(c);
}

// ---- phases

static bool is_complete(void) {
  switch (phase) {
    case SATURATE:
    case RATE: return delivered >= sent * fan() && (qos == 0 || acked == sent);
    case FILL: return acked == quota * speakers;
    case DRAIN: return delivered >= quota;
    default: return true;
  }
}

static void top_up(struct conn *c, uint64_t at_ns) {
  uint64_t done = phase == FILL ? c->acked : c->delivered / fan();
  if (qos && c->acked < done) done = c->acked;
  while (c->sent < done + window && (phase == SATURATE || c->sent < quota)) publish(c, at_ns);
}

// Publishes what the phase wants to be published now.
static void pump(void) {
  uint64_t at_ns = now_ns();
  if (phase == RATE) {
    while (due < quota && began_ns + due * interval_ns <= at_ns) {
      struct conn *c = &conns[due % speakers];
      publish(c, began_ns + due * interval_ns);
      flush(c);
      due++;
    }
    uint64_t next_ns = began_ns + due * interval_ns;
    struct itimerspec when = {.it_value = {.tv_sec = next_ns / NS, .tv_nsec = next_ns % NS}};
    if (due < quota) timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL);
    return;
  }
  if (phase != FILL && (phase != SATURATE || at_ns >= stop_ns)) return;
  for (int i = 0; i < speakers; i++) {
    top_up(&conns[i], at_ns);
    if (conns[i].out_bytes > 0) flush(&conns[i]);
  }
}

static void turn(void) {
  struct epoll_event events[EVENTS];
  int n = epoll_wait(epoll, events, EVENTS, 20);
  for (int i = 0; i < n; i++) {
    uint64_t expirations;
    if (events[i].data.ptr != NULL) drive(events[i].data.ptr);
    else if (read(timer, &expirations, sizeof expirations) < 0 && errno != EAGAIN) fail("timer: %s", strerror(errno));
  }
  pump();
}

static double cpu_seconds(void) {
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  return used.ru_utime.tv_sec + used.ru_stime.tv_sec + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

// Ready to run, and kept waiting by somebody else on its core.
static double wait_seconds(void) {
  unsigned long long ran = 0, waited = 0;
  FILE *file = fopen("/proc/self/schedstat", "r");
  if (file != NULL) {
    if (fscanf(file, "%llu %llu", &ran, &waited) != 2) waited = 0;
    fclose(file);
  }
  return waited / 1e9;
}

static void run(enum phase wanted, double seconds) {
  double cpu = cpu_seconds(), waited = wait_seconds();
  sent = acked = delivered = missing = repeated = due = latencies_count = 0;
  phase = wanted;
  began_ns = last_ns = now_ns();
  stop_ns = began_ns + seconds * NS;
  if (phase == DRAIN) for (int i = 0; i < conns_count; i++) { send_connect(&conns[i]); flush(&conns[i]); }
  uint64_t told = 0, moved_ns = began_ns;
  pump();
  while (!is_complete() || (phase == RATE && due < quota) || (phase == SATURATE && now_ns() < stop_ns)) {
    turn();
    if (told != delivered + acked) { told = delivered + acked; moved_ns = now_ns(); }
    else if (now_ns() > moved_ns + STALL_MS * 1000000ull && (phase != RATE || due == quota)) {
      // At a set rate a broker may drop: that is told, and is no failure of the run.
      if (phase == RATE) break;
      fail("a stall: %lu sent, %lu acknowledged, %lu delivered", sent, acked, delivered);
    }
  }
  for (int i = 0; i < conns_count; i++) while (conns[i].out_bytes > 0) flush(&conns[i]);
  printf("{\"sent\":%lu,\"acked\":%lu,\"delivered\":%lu,\"missing\":%lu,\"repeated\":%lu,\"resumed\":%d,\"seconds\":%.9f,\"cpuSeconds\":%.6f,\"waitSeconds\":%.6f}\n",
         sent, acked, delivered, missing, repeated, resumed, (last_ns - began_ns) / 1e9, cpu_seconds() - cpu, wait_seconds() - waited);
  phase = QUIET;
}

static void open_all(void) {
  uint64_t since = now_ns();
  int next = 0;
  while (opened < conns_count) {
    while (next < conns_count && next - opened < OPENING_AT_ONCE) start_handshake(&conns[next++]);
    turn();
    if (now_ns() > since + (60 + conns_count / 50) * NS) fail("only %d of %d could connect", opened, conns_count);
  }
  printf("{\"opened\":%d,\"resumed\":%d,\"seconds\":%.6f}\n", opened, resumed, (now_ns() - since) / 1e9);
}

// Says good-bye and waits for the broker to close: a socket that is closed over unread bytes is reset, and takes the
// acknowledgements that are still on their way with it.
static void leave(void) {
  uint64_t since = now_ns();
  for (int i = 0; i < conns_count; i++) {
    if (conns[i].state != OPEN) continue;
    memcpy(append(&conns[i], 2), "\xe0\x00", 2);
    conns[i].state = LEAVING;
    flush(&conns[i]);
  }
  opened = 0;
  for (int i = 0; i < conns_count; i++) opened += conns[i].state == LEAVING;
  while (opened > 0 && now_ns() < since + LEAVE_MS * 1000000ull) turn();
}

static void obey(const char *line) {
  double seconds;
  unsigned long count, wide;
  char file[512];
  if (strncmp(line, "open", 4) == 0) open_all();
  else if (sscanf(line, "saturate %lf %lu", &seconds, &wide) == 2) { window = wide; run(SATURATE, seconds); }
  else if (sscanf(line, "fill %lu %lu", &count, &wide) == 2) { quota = count; window = wide; run(FILL, 0); }
  else if (sscanf(line, "drain %lu", &count) == 1) { quota = count; run(DRAIN, 0); }
  else if (sscanf(line, "rate %lu %lf %511s", &count, &seconds, file) == 3) {
    interval_ns = NS / count;
    quota = count * seconds;
    latencies_room = quota * fan();
    latencies = realloc(latencies, latencies_room * sizeof *latencies);
    run(RATE, seconds);
    FILE *out = fopen(file, "w");
    if (out == NULL || fwrite(latencies, sizeof *latencies, latencies_count, out) != latencies_count || fclose(out) != 0) fail("%s cannot be written", file);
  } else fail("no command: %s", line);
  fflush(stdout);
}

static void take_option(const char *option) {
  if (strncmp(option, "ca=", 3) == 0) { ca = option + 3; return; }
  if (strncmp(option, "certs=", 6) == 0) { certs = option + 6; return; }
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    size_t length = strlen(numbers[i].name);
    if (strncmp(option, numbers[i].name, length) != 0 || option[length] != '=') continue;
    *numbers[i].value = atoi(option + length + 1);
    return;
  }
  fail("no option: %s", option);
}

static void add(bool speaker, int count) {
  for (int i = 0; i < count; i++) {
    struct conn *c = &conns[conns_count++];
    c->speaker = speaker;
    c->index = i;
    snprintf(c->name, sizeof c->name, "%s-%d", speaker ? "speaker" : "listener", i);
  }
}

int main(int argc, char **argv) {
  for (int i = 1; i < argc; i++) take_option(argv[i]);
  signal(SIGPIPE, SIG_IGN); // a write to a closed socket is an error like others
  prctl(PR_SET_TIMERSLACK, 1);
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  // The same cryptography with every broker: OpenSSL 3.0 knows no hybrid group.
  tls = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_min_proto_version(tls, TLS1_3_VERSION);
  if (SSL_CTX_set_ciphersuites(tls, "TLS_AES_128_GCM_SHA256") != 1 || SSL_CTX_set1_groups_list(tls, "X25519") != 1) fail("no such cryptography");
  if (ca == NULL || certs == NULL || SSL_CTX_load_verify_locations(tls, ca, NULL) != 1) fail("ca= and certs= are needed");
  SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
  SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  if (speakers == 0) SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS); // a crowd that only listens
  SSL_CTX_set_read_ahead(tls, 1);
  SSL_CTX_set_default_read_buffer_len(tls, TLS_READ_AHEAD);
  epoll = epoll_create1(0);
  timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
  epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &event);
  conns = calloc(speakers + listeners + 1, sizeof *conns);
  expected = calloc((size_t)speakers * listeners + 1, sizeof *expected);
  if (conns == NULL || expected == NULL) fail("out of memory");
  if (with_speakers) add(true, speakers);
  if (with_listeners) add(false, listeners);
  char line[1024];
  while (fgets(line, sizeof line, stdin) != NULL) obey(line);
  leave();
  return 0;
}

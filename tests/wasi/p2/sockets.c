// TCP, UDP and name lookup of WASI 0.2, by the canonical ABI and without a library: one program
// is both ends. With the variable DENIED it shows what happens without grants.
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VERSION "@0.2.12"
#define IMPORT(interface, name) \
  __attribute__((import_module("wasi:" interface VERSION), import_name(name))) extern

// Addresses as they are passed: a case, then what the larger case needs.
#define ADDRESS                                                                             \
  int32_t, int32_t, int32_t, int32_t, int32_t, int32_t, int32_t, int32_t, int32_t, int32_t, \
      int32_t, int32_t
#define IPV4(port) 0, port, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0

IMPORT("sockets/instance-network", "instance-network") int32_t instance_network(void);
IMPORT("sockets/tcp-create-socket", "create-tcp-socket") void create_tcp(int32_t, void*);
IMPORT("sockets/tcp", "[method]tcp-socket.start-bind")
void tcp_start_bind(int32_t, int32_t, ADDRESS, void*);
IMPORT("sockets/tcp", "[method]tcp-socket.finish-bind") void tcp_finish_bind(int32_t, void*);
IMPORT("sockets/tcp", "[method]tcp-socket.start-listen") void tcp_start_listen(int32_t, void*);
IMPORT("sockets/tcp", "[method]tcp-socket.finish-listen") void tcp_finish_listen(int32_t, void*);
IMPORT("sockets/tcp", "[method]tcp-socket.start-connect")
void tcp_start_connect(int32_t, int32_t, ADDRESS, void*);
IMPORT("sockets/tcp", "[method]tcp-socket.finish-connect") void tcp_finish_connect(int32_t, void*);
IMPORT("sockets/tcp", "[method]tcp-socket.accept") void tcp_accept(int32_t, void*);
IMPORT("sockets/tcp", "[method]tcp-socket.local-address") void tcp_local(int32_t, void*);
IMPORT("sockets/tcp", "[method]tcp-socket.remote-address") void tcp_remote(int32_t, void*);
IMPORT("sockets/tcp", "[method]tcp-socket.is-listening") int32_t tcp_is_listening(int32_t);
IMPORT("sockets/tcp", "[method]tcp-socket.set-keep-alive-idle-time")
void tcp_set_idle(int32_t, int64_t, void*);
IMPORT("sockets/tcp", "[method]tcp-socket.keep-alive-idle-time") void tcp_idle(int32_t, void*);
IMPORT("sockets/tcp", "[method]tcp-socket.set-hop-limit")
void tcp_set_hops(int32_t, int32_t, void*);
IMPORT("sockets/tcp", "[method]tcp-socket.subscribe") int32_t tcp_subscribe(int32_t);
IMPORT("sockets/tcp", "[method]tcp-socket.shutdown") void tcp_shutdown(int32_t, int32_t, void*);
IMPORT("sockets/tcp", "[resource-drop]tcp-socket") void tcp_drop(int32_t);
IMPORT("sockets/udp-create-socket", "create-udp-socket") void create_udp(int32_t, void*);
IMPORT("sockets/udp", "[method]udp-socket.start-bind")
void udp_start_bind(int32_t, int32_t, ADDRESS, void*);
IMPORT("sockets/udp", "[method]udp-socket.finish-bind") void udp_finish_bind(int32_t, void*);
IMPORT("sockets/udp", "[method]udp-socket.local-address") void udp_local(int32_t, void*);
IMPORT("sockets/udp", "[method]udp-socket.stream")
void udp_stream(int32_t, int32_t, ADDRESS, void*);
IMPORT("sockets/udp", "[method]outgoing-datagram-stream.check-send") void udp_check(int32_t, void*);
IMPORT("sockets/udp", "[method]outgoing-datagram-stream.send")
void udp_send(int32_t, const void*, int32_t, void*);
IMPORT("sockets/udp", "[method]incoming-datagram-stream.receive")
void udp_receive(int32_t, int64_t, void*);
IMPORT("sockets/udp", "[method]incoming-datagram-stream.subscribe") int32_t udp_subscribe(int32_t);
IMPORT("sockets/ip-name-lookup", "resolve-addresses")
void resolve(int32_t, const char*, int32_t, void*);
IMPORT("sockets/ip-name-lookup", "[method]resolve-address-stream.resolve-next-address")
void resolve_next(int32_t, void*);
IMPORT("sockets/ip-name-lookup", "[method]resolve-address-stream.subscribe")
int32_t resolve_subscribe(int32_t);
IMPORT("io/poll", "[method]pollable.block") void pollable_block(int32_t);
IMPORT("io/poll", "[method]pollable.ready") int32_t pollable_ready(int32_t);
IMPORT("io/poll", "[resource-drop]pollable") void pollable_drop(int32_t);
IMPORT("io/poll", "poll") void poll_list(const int32_t*, int32_t, void*);
IMPORT("io/streams", "[method]input-stream.blocking-read")
void blocking_read(int32_t, int64_t, void*);
IMPORT("io/streams", "[method]input-stream.read") void read_now(int32_t, int64_t, void*);
IMPORT("io/streams", "[method]input-stream.subscribe") int32_t input_subscribe(int32_t);
IMPORT("io/streams", "[method]output-stream.check-write") void check_write(int32_t, void*);
IMPORT("io/streams", "[method]output-stream.write")
void write_now(int32_t, const void*, int32_t, void*);
IMPORT("io/streams", "[method]output-stream.blocking-flush") void blocking_flush(int32_t, void*);
IMPORT("io/streams", "[method]output-stream.subscribe") int32_t output_subscribe(int32_t);
IMPORT("io/streams", "[method]output-stream.blocking-write-and-flush")
void blocking_write(int32_t, const void*, int32_t, void*);
IMPORT("clocks/timezone", "display") void zone_display(int64_t, int32_t, void*);
IMPORT("clocks/timezone", "utc-offset") int32_t zone_offset(int64_t, int32_t);
IMPORT("clocks/monotonic-clock", "now") int64_t monotonic_now(void);
IMPORT("clocks/monotonic-clock", "subscribe-duration") int32_t subscribe_duration(int64_t);

__attribute__((export_name("cabi_realloc"))) void* cabi_realloc(void* old, size_t old_size,
                                                                size_t align, size_t size) {
  (void)old_size, (void)align;
  return realloc(old, size);
}

typedef struct {
  uint8_t failed;
  uint8_t pad[3];
  union {
    uint8_t error;
    int32_t handles[3];
    struct {
      uint8_t* data;
      int32_t size;
    } list;
    struct {
      uint8_t is_v6, pad[3];
      uint16_t port;
      uint8_t address[26];
    } address;
  };
} Result;

typedef struct {
  uint8_t failed, pad[7];
  union {
    uint8_t error;
    uint64_t value;
  };
} Wide;

typedef struct {
  uint8_t failed, error;
} Plain;

static void block(int32_t pollable) {
  pollable_block(pollable);
  assert(pollable_ready(pollable));
  pollable_drop(pollable);
}

#define OK(call)                                \
  do {                                          \
    call;                                       \
    if (p.failed) {                             \
      printf("%s: error %d\n", #call, p.error); \
      exit(1);                                  \
    }                                           \
  } while (0)

static void tcp(int32_t net) {
  Result r;
  Plain p;
  create_tcp(0, &r);
  assert(!r.failed);
  const int32_t server = r.handles[0];
  tcp_finish_bind(server, &p);
  printf("finish before start %d %d\n", p.failed, p.error);
  tcp_local(server, &r);
  printf("address before bind %d %d\n", r.failed, r.error);
  tcp_start_bind(server, net, 0, 0, 224, 0, 0, 1, 0, 0, 0, 0, 0, 0, &p);
  printf("multicast %d %d\n", p.failed, p.error);
  tcp_start_bind(server, net, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, &p);
  printf("other family %d %d\n", p.failed, p.error);
  OK(tcp_start_bind(server, net, IPV4(0), &p));
  OK(tcp_finish_bind(server, &p));
  OK(tcp_start_listen(server, &p));
  OK(tcp_finish_listen(server, &p));
  printf("listening %d\n", tcp_is_listening(server));
  tcp_local(server, &r);
  assert(!r.failed && !r.address.is_v6 && r.address.port);
  printf("bound to %d.%d.%d.%d\n", r.address.address[0], r.address.address[1], r.address.address[2],
         r.address.address[3]);
  const int32_t port = r.address.port;
  tcp_accept(server, &r);
  printf("nobody yet %d %d\n", r.failed, r.error);

  create_tcp(0, &r);
  const int32_t client = r.handles[0];
  tcp_set_idle(client, 1500000000, &p);
  Wide w;
  tcp_idle(client, &w);
  printf("idle %d %lld\n", w.failed, (long long)w.value);
  tcp_set_hops(client, 0, &p);
  printf("no hops %d %d\n", p.failed, p.error);
  OK(tcp_start_connect(client, net, IPV4(port), &p));
  block(tcp_subscribe(client));
  tcp_finish_connect(client, &r);
  assert(!r.failed);
  const int32_t in = r.handles[0], out = r.handles[1];
  block(tcp_subscribe(server));
  tcp_accept(server, &r);
  assert(!r.failed);
  const int32_t peer = r.handles[0], peer_in = r.handles[1], peer_out = r.handles[2];
  tcp_remote(peer, &r);
  assert(!r.failed && r.address.port != port);

  read_now(peer_in, 100, &r);
  printf("nothing yet %d %d\n", r.failed, (int)r.list.size);
  blocking_write(out, "ping", 4, &r);
  assert(!r.failed);
  blocking_read(peer_in, 100, &r);
  printf("got %.*s\n", (int)r.list.size, r.list.data);

  // More than the system keeps, in both directions at once.
  enum { kTotal = 8 << 20 };
  size_t sent = 0, received = 0;
  uint32_t sum_sent = 0, sum_received = 0;
  static uint8_t piece[65536];
  const int32_t readable = input_subscribe(in), writable = output_subscribe(peer_out);
  int closed = 0;
  while (!closed) {
    if (sent < kTotal) {
      check_write(peer_out, &w);
      assert(!w.failed);
      size_t n = w.value < sizeof(piece) ? (size_t)w.value : sizeof(piece);
      if (n > kTotal - sent) n = kTotal - sent;
      for (size_t i = 0; i < n; ++i) sum_sent += piece[i] = (uint8_t)((sent + i) * 7 >> 3);
      if (n) {
        write_now(peer_out, piece, (int32_t)n, &r);
        assert(!r.failed);
        sent += n;
        if (sent == kTotal) OK(tcp_shutdown(peer, 1, &p));
      }
    }
    read_now(in, 1 << 20, &r);
    if (r.failed) {
      closed = 1;
      break;
    }
    for (int32_t i = 0; i < r.list.size; ++i) sum_received += r.list.data[i];
    received += (size_t)r.list.size;
    free(r.list.data);
    if (r.list.size == 0) {
      const int32_t both[2] = {readable, writable};
      struct {
        uint32_t* data;
        int32_t size;
      } ready;
      poll_list(both, sent < kTotal ? 2 : 1, &ready);
      assert(ready.size >= 1);
      free(ready.data);
    }
  }
  printf("moved %d %d\n", received == kTotal, sum_sent == sum_received);
  blocking_read(in, 10, &r);
  printf("at the end %d %d\n", r.failed, r.error);  // the case `closed`

  create_tcp(0, &r);
  const int32_t refused = r.handles[0];
  tcp_drop(server);
  OK(tcp_start_connect(refused, net, IPV4(port), &p));
  block(tcp_subscribe(refused));
  tcp_finish_connect(refused, &r);
  printf("refused %d %d\n", r.failed, r.error);
}

typedef struct {
  const void* data;
  int32_t size;
  uint8_t has_address, pad[3];
  uint8_t is_v6, pad2[3];
  uint16_t port;
  uint8_t address[26];
} Outgoing;
_Static_assert(sizeof(Outgoing) == 44, "layout of outgoing-datagram");

typedef struct {
  uint8_t* data;
  int32_t size;
  uint8_t is_v6, pad2[3];
  uint16_t port;
  uint8_t address[26];
} Incoming;
_Static_assert(sizeof(Incoming) == 40, "layout of incoming-datagram");

static void udp(int32_t net) {
  Result r;
  Plain p;
  int32_t sockets[2], in[2], out[2];
  uint16_t port[2];
  for (int i = 0; i < 2; ++i) {
    create_udp(0, &r);
    assert(!r.failed);
    sockets[i] = r.handles[0];
    udp_stream(sockets[i], 0, IPV4(0), &r);
    if (i == 0) printf("stream before bind %d %d\n", r.failed, r.error);
    OK(udp_start_bind(sockets[i], net, IPV4(0), &p));
    OK(udp_finish_bind(sockets[i], &p));
    udp_local(sockets[i], &r);
    assert(!r.failed);
    port[i] = r.address.port;
    udp_stream(sockets[i], 0, IPV4(0), &r);
    assert(!r.failed);
    in[i] = r.handles[0];
    out[i] = r.handles[1];
  }
  udp_receive(in[1], 5, &r);
  printf("no datagram %d %d\n", r.failed, (int)r.list.size);
  Wide wide;
  udp_check(out[0], &wide);
  printf("may send %d\n", !wide.failed && wide.value >= 2);
  Outgoing list[2];
  memset(list, 0, sizeof(list));
  for (int i = 0; i < 2; ++i) {
    list[i].data = i ? "two" : "one";
    list[i].size = 3;
    list[i].has_address = 1;
    list[i].port = port[1];
    memcpy(list[i].address, "\x7f\0\0\1", 4);
  }
  udp_send(out[0], list, 2, &wide);
  printf("sent %d %d\n", wide.failed, (int)wide.value);
  for (int got = 0; got < 2;) {
    block(udp_subscribe(in[1]));
    udp_receive(in[1], 5, &r);
    assert(!r.failed);
    const Incoming* d = (const Incoming*)r.list.data;
    for (int i = 0; i < r.list.size; ++i, ++got)
      printf("datagram %.*s from the other %d\n", (int)d[i].size, d[i].data, d[i].port == port[0]);
  }
  // Connected, there is nobody else to send to.
  udp_stream(sockets[0], 1, IPV4(port[1]), &r);
  assert(!r.failed);
  out[0] = r.handles[1];
  udp_check(out[0], &wide);
  list[0].port = (uint16_t)(port[1] ^ 1);
  udp_send(out[0], list, 1, &wide);
  printf("elsewhere %d %d\n", wide.failed, wide.error);
  list[0].has_address = 0;
  udp_check(out[0], &wide);
  udp_send(out[0], list, 1, &wide);
  printf("sent %d %d\n", wide.failed, (int)wide.value);
}

static void lookup(int32_t net, const char* name) {
  Result r;
  resolve(net, name, (int32_t)strlen(name), &r);
  if (r.failed) {
    printf("lookup of %s: error %d\n", name, r.error);
    return;
  }
  const int32_t stream = r.handles[0];
  int loopback = 0;
  for (;;) {
    struct {
      uint8_t failed, pad, some, pad2, is_v6, pad3, address[16];
    } next;
    resolve_next(stream, &next);
    if (next.failed && next.some == 8) {  // would-block
      block(resolve_subscribe(stream));
      continue;
    }
    assert(!next.failed);
    if (!next.some) break;
    loopback |=
        next.is_v6 ? next.address[14] == 1 || next.address[15] == 1 : next.address[0] == 127;
  }
  printf("lookup of %s: loopback %d\n", name, loopback);
}

// A reactor with this export, since a command's exports all run its destructors.
__attribute__((export_name("wasi:cli/run@0.2.12#run"))) int run(void) {
  setvbuf(stdout, NULL, _IONBF, 0);
  const int32_t net = instance_network();
  if (getenv("DENIED")) {
    Result r;
    Plain p;
    create_tcp(0, &r);
    const int32_t s = r.handles[0];
    tcp_start_bind(s, net, IPV4(0), &p);
    printf("bind %d %d\n", p.failed, p.error);
    tcp_start_connect(s, net, IPV4(9), &p);
    printf("connect %d %d\n", p.failed, p.error);
    create_udp(0, &r);
    udp_start_bind(r.handles[0], net, IPV4(0), &p);
    printf("udp %d %d\n", p.failed, p.error);
    lookup(net, "localhost");
    lookup(net, "127.0.0.1");
    return 0;
  }
  tcp(net);
  udp(net);
  lookup(net, "localhost");
  lookup(net, "::1");
  lookup(net, "not a name");
  lookup(net, "");

  struct {
    int32_t offset;
    const char* name;
    int32_t size;
    uint8_t summer;
  } zone;
  zone_display(1700000000, 0, &zone);
  printf("zone %d %.*s %d\n", zone.offset, (int)zone.size, zone.name, zone.summer);
  printf("summer %d\n", zone_offset(1690000000, 0));
  const int64_t before = monotonic_now();
  block(subscribe_duration(20000000));
  printf("waited %d\n", monotonic_now() - before >= 20000000);
  return 0;
}

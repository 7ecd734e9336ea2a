// A handler of HTTP requests, by the canonical ABI and without a library. What it does is told by
// the path.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VERSION "@0.2.12"
#define IMPORT(interface, name) \
  __attribute__((import_module("wasi:" interface VERSION), import_name(name))) extern

IMPORT("http/types", "[constructor]fields") int32_t fields_new(void);
IMPORT("http/types", "[method]fields.append")
void fields_append(int32_t, const char*, int32_t, const char*, int32_t, void*);
IMPORT("http/types", "[method]fields.entries") void fields_entries(int32_t, void*);
IMPORT("http/types", "[resource-drop]fields") void fields_drop(int32_t);
IMPORT("http/types", "[method]incoming-request.method") void request_method(int32_t, void*);
IMPORT("http/types", "[method]incoming-request.path-with-query") void request_path(int32_t, void*);
IMPORT("http/types", "[method]incoming-request.authority") void request_authority(int32_t, void*);
IMPORT("http/types", "[method]incoming-request.headers") int32_t request_headers(int32_t);
IMPORT("http/types", "[method]incoming-request.consume") void request_consume(int32_t, void*);
IMPORT("http/types", "[resource-drop]incoming-request") void request_drop(int32_t);
IMPORT("http/types", "[method]incoming-body.stream") void body_stream(int32_t, void*);
IMPORT("http/types", "[static]incoming-body.finish") int32_t body_finish(int32_t);
IMPORT("http/types", "[method]future-trailers.subscribe") int32_t trailers_subscribe(int32_t);
IMPORT("http/types", "[method]future-trailers.get") void trailers_get(int32_t, void*);
IMPORT("http/types", "[constructor]outgoing-response") int32_t response_new(int32_t);
IMPORT("http/types", "[method]outgoing-response.set-status-code")
int32_t response_status(int32_t, int32_t);
IMPORT("http/types", "[method]outgoing-response.body") void response_body(int32_t, void*);
IMPORT("http/types", "[method]outgoing-body.write") void body_write(int32_t, void*);
IMPORT("http/types", "[static]outgoing-body.finish")
void body_done(int32_t, int32_t, int32_t, void*);
IMPORT("http/types", "[resource-drop]outgoing-body") void body_drop(int32_t);
IMPORT("http/types", "[method]response-outparam.send-informational")
void outparam_inform(int32_t, int32_t, int32_t, void*);
IMPORT("http/types", "[static]response-outparam.set")
void outparam_set(int32_t, int32_t, int32_t, int32_t, int64_t, int32_t, int32_t, int32_t, int32_t);
IMPORT("io/poll", "[method]pollable.block") void pollable_block(int32_t);
IMPORT("io/poll", "[resource-drop]pollable") void pollable_drop(int32_t);
IMPORT("io/streams", "[method]input-stream.blocking-read")
void blocking_read(int32_t, int64_t, void*);
IMPORT("io/streams", "[resource-drop]input-stream") void input_drop(int32_t);
IMPORT("io/streams", "[method]output-stream.blocking-write-and-flush")
void blocking_write(int32_t, const void*, int32_t, void*);
IMPORT("io/streams", "[resource-drop]output-stream") void output_drop(int32_t);
IMPORT("clocks/monotonic-clock", "subscribe-duration") int32_t subscribe_duration(int64_t);

__attribute__((export_name("cabi_realloc"))) void* cabi_realloc(void* old, size_t old_size,
                                                                size_t align, size_t size) {
  (void)old_size, (void)align;
  return realloc(old, size);
}

typedef struct {
  uint8_t tag, pad[3];
  union {
    int32_t handle;
    uint8_t error;
    struct {
      char* data;
      int32_t size;
    } list;
  };
} Result;
// Room for the largest that a host gives back: an error-code.
typedef union {
  Result r;
  uint8_t room[64];
} Large;

static int32_t append(int32_t fields, const char* name, const char* value) {
  Large l;
  fields_append(fields, name, (int32_t)strlen(name), value, (int32_t)strlen(value), &l);
  return l.r.tag ? 1 + l.room[1] : 0;
}

static int32_t begin(int32_t out, int status, int32_t fields, int32_t* body) {
  Large l;
  const int32_t response = response_new(fields);
  if (response_status(response, status) != 0) __builtin_trap();
  response_body(response, &l);
  *body = l.r.handle;
  outparam_set(out, 0, response, 0, 0, 0, 0, 0, 0);
  body_write(*body, &l);
  return l.r.handle;
}

static int put(int32_t stream, const char* data, size_t size) {
  Large l;
  while (size) {
    const size_t n = size < 4096 ? size : 4096;
    blocking_write(stream, data, (int32_t)n, &l);
    if (l.r.tag) return 0;
    data += n;
    size -= n;
  }
  return 1;
}

static void answer(int32_t out, int status, const char* text) {
  Large l;
  int32_t body;
  const int32_t fields = fields_new();
  append(fields, "content-type", "text/plain");
  const int32_t stream = begin(out, status, fields, &body);
  put(stream, text, strlen(text));
  output_drop(stream);
  body_done(body, 0, 0, &l);
}

static void echo(int32_t request, int32_t out) {
  Large l;
  int32_t body;
  request_consume(request, &l);
  const int32_t incoming = l.r.handle;
  body_stream(incoming, &l);
  const int32_t in = l.r.handle;
  const int32_t stream = begin(out, 200, fields_new(), &body);
  for (;;) {
    blocking_read(in, 65536, &l);
    if (l.r.tag) break;
    if (!put(stream, l.r.list.data, (size_t)l.r.list.size)) break;
    free(l.r.list.data);
  }
  input_drop(in);
  output_drop(stream);
  const int32_t future = body_finish(incoming);
  const int32_t pollable = trailers_subscribe(future);
  pollable_block(pollable);
  pollable_drop(pollable);
  Large t;
  trailers_get(future, &t);
  // option<result<result<option<own>, error-code>>>, the inner ones aligned to 8.
  const int has = t.room[0] == 1 && t.room[8] == 0 && t.room[16] == 0 && t.room[24] == 1;
  int32_t trailers;
  memcpy(&trailers, t.room + 28, 4);
  body_done(body, has, has ? trailers : 0, &l);
}

static void describe(int32_t request, int32_t out) {
  char text[4096];
  Large l;
  size_t n = 0;
  request_method(request, &l);
  n += (size_t)snprintf(text + n, sizeof(text) - n, "method %d %.*s\n", l.r.tag,
                        l.r.tag == 9 ? (int)l.r.list.size : 0, l.r.list.data);
  request_authority(request, &l);
  n += (size_t)snprintf(text + n, sizeof(text) - n, "authority %.*s\n",
                        l.r.tag ? (int)l.r.list.size : 0, l.r.list.data);
  const int32_t headers = request_headers(request);
  n += (size_t)snprintf(text + n, sizeof(text) - n, "immutable %d\n", append(headers, "a", "b"));
  struct {
    struct {
      char* name;
      int32_t name_size;
      char* value;
      int32_t value_size;
    }* data;
    int32_t size;
  } list;
  fields_entries(headers, &list);
  for (int32_t i = 0; i < list.size; ++i)
    n += (size_t)snprintf(text + n, sizeof(text) - n, "%.*s=%.*s\n", (int)list.data[i].name_size,
                          list.data[i].name, (int)list.data[i].value_size, list.data[i].value);
  const int32_t own = fields_new();
  n += (size_t)snprintf(text + n, sizeof(text) - n, "syntax %d value %d forbidden %d good %d\n",
                        append(own, "a b", "c"), append(own, "a", "b\r\nc: d"),
                        append(own, "Transfer-Encoding", "chunked"), append(own, "a", "b"));
  answer(out, 200, text);
}

__attribute__((export_name("wasi:http/incoming-handler@0.2.12#handle"))) void handle(
    int32_t request, int32_t out) {
  Large l;
  request_path(request, &l);
  char path[256];
  snprintf(path, sizeof(path), "%.*s", l.r.tag ? (int)l.r.list.size : 0, l.r.list.data);
  if (strncmp(path, "/status/", 8) == 0) return answer(out, atoi(path + 8), "as you wish\n");
  if (strcmp(path, "/echo") == 0) return echo(request, out);
  if (strncmp(path, "/describe", 9) == 0) return describe(request, out);
  if (strcmp(path, "/trap") == 0) __builtin_trap();
  if (strcmp(path, "/spin") == 0)
    for (volatile int i = 0;; ++i) {
    }
  if (strcmp(path, "/sleep") == 0) {
    const int32_t pollable = subscribe_duration(strlen(path) * 50000000ll);
    pollable_block(pollable);
    pollable_drop(pollable);
    return answer(out, 200, "slept\n");
  }
  if (strcmp(path, "/unread") == 0) {
    // All of it may have come, and is let go without a look.
    pollable_block(subscribe_duration(30000000));
    request_consume(request, &l);
    body_finish(l.r.handle);
    return answer(out, 200, "not read\n");
  }
  if (strcmp(path, "/forever") == 0) return pollable_block(subscribe_duration(INT64_MAX));
  if (strcmp(path, "/none") == 0) return;
  if (strcmp(path, "/error") == 0) return outparam_set(out, 1, 36, 0, 0, 0, 0, 0, 0);
  if (strcmp(path, "/grow") == 0) {
    static char* volatile last;
    while ((last = malloc(1 << 20))) {
    }
    return answer(out, 200, "no more memory\n");
  }
  if (strcmp(path, "/state") == 0) {
    // The same for each request, whatever the others did.
    static int count = 7;
    static char* last;
    char text[200];
    snprintf(text, sizeof(text), "count %d last %d pages %d handle %d\n", count++, last != NULL,
             (int)__builtin_wasm_memory_size(0), fields_new());
    last = malloc(3 << 20);
    memset(last, 1, 3 << 20);
    for (int i = 0; i < 50; ++i) fields_new();
    return answer(out, 200, text);
  }
  if (strcmp(path, "/hints") == 0) {
    const int32_t fields = fields_new();
    append(fields, "link", "</a>");
    outparam_inform(out, 103, fields, &l);
    if (l.r.tag) return answer(out, 500, "not informed\n");
    outparam_inform(out, 200, fields_new(), &l);
    return answer(out, 200, l.r.tag ? "after hints\n" : "informed by 200\n");
  }
  int32_t body;
  // Tells of a body, and has none.
  if (strncmp(path, "/told/", 6) == 0) {
    const int32_t fields = fields_new();
    append(fields, "content-length", "100");
    output_drop(begin(out, atoi(path + 6), fields, &body));
    body_done(body, 0, 0, &l);
    if (l.r.tag) fprintf(stderr, "%s was refused\n", path);
    return;
  }
  // The same, and it is finished before it is part of an answer.
  if (strcmp(path, "/early") == 0) {
    const int32_t fields = fields_new();
    append(fields, "content-length", "100");
    const int32_t response = response_new(fields);
    response_body(response, &l);
    body_done(l.r.handle, 0, 0, &l);
    if (l.r.tag) return answer(out, 500, "refused\n");
    return outparam_set(out, 0, response, 0, 0, 0, 0, 0, 0);
  }
  if (strcmp(path, "/big") == 0 || strcmp(path, "/cut") == 0 || strcmp(path, "/short") == 0) {
    const int32_t fields = fields_new();
    if (path[1] == 's') append(fields, "content-length", "100");
    const int32_t stream = begin(out, 200, fields, &body);
    static char block[65536];
    memset(block, 'x', sizeof(block));
    if (path[1] == 's') {
      put(stream, block, 50);
    } else {
      for (int i = 0; i < 64; ++i)
        if (!put(stream, block, sizeof(block))) break;
    }
    output_drop(stream);
    if (path[1] == 'c') __builtin_trap();
    return body_done(body, 0, 0, &l);
  }
  if (strcmp(path, "/") == 0) return answer(out, 200, "hello\n");
  answer(out, 404, "nothing here\n");
}

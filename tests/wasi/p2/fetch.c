// Sends HTTP requests, one for each argument, and tells what comes of them. An argument is words:
// METHOD SCHEME AUTHORITY PATH and what there is besides, as NAME=VALUE.
#include "fetch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  char *method, *scheme, *authority, *path;
  long body, connect, first, between, pause, read, hold, together;
  char *text, *header[8], *trailer;
  bool drop, unread, abandon;
} Request;

static fetch_string_t str(char* s) {
  fetch_string_t out = {(void*)s, strlen(s)};
  return out;
}
static fetch_list_u8_t bytes(const char* s, size_t n) {
  fetch_list_u8_t out = {(uint8_t*)s, n};
  return out;
}

static const char* const kErrors[] = {"DNS-timeout",
                                      "DNS-error",
                                      "destination-not-found",
                                      "destination-unavailable",
                                      "destination-IP-prohibited",
                                      "destination-IP-unroutable",
                                      "connection-refused",
                                      "connection-terminated",
                                      "connection-timeout",
                                      "connection-read-timeout",
                                      "connection-write-timeout",
                                      "connection-limit-reached",
                                      "TLS-protocol-error",
                                      "TLS-certificate-error",
                                      "TLS-alert-received",
                                      "HTTP-request-denied",
                                      "HTTP-request-length-required",
                                      "HTTP-request-body-size",
                                      "HTTP-request-method-invalid",
                                      "HTTP-request-URI-invalid",
                                      "HTTP-request-URI-too-long",
                                      "HTTP-request-header-section-size",
                                      "HTTP-request-header-size",
                                      "HTTP-request-trailer-section-size",
                                      "HTTP-request-trailer-size",
                                      "HTTP-response-incomplete",
                                      "HTTP-response-header-section-size",
                                      "HTTP-response-header-size",
                                      "HTTP-response-body-size",
                                      "HTTP-response-trailer-section-size",
                                      "HTTP-response-trailer-size",
                                      "HTTP-response-transfer-coding",
                                      "HTTP-response-content-coding",
                                      "HTTP-response-timeout",
                                      "HTTP-upgrade-failed",
                                      "HTTP-protocol-error",
                                      "loop-detected",
                                      "configuration-error",
                                      "internal-error"};

static void wait_for(wasi_io_poll_own_pollable_t p) {
  wasi_io_poll_method_pollable_block(wasi_io_poll_borrow_pollable(p));
  wasi_io_poll_pollable_drop_own(p);
}
static void wait_ms(long ms) {
  if (ms > 0) wait_for(wasi_clocks_monotonic_clock_subscribe_duration((uint64_t)ms * 1000000));
}

static bool name_value(wasi_http_types_own_fields_t fields, char* text) {
  char* colon = strchr(text, ':');
  *colon = 0;
  fetch_string_t name = str(text);
  wasi_http_types_field_value_t value = {(uint8_t*)colon + 1, strlen(colon + 1)};
  wasi_http_types_header_error_t error;
  const bool ok = wasi_http_types_method_fields_append(wasi_http_types_borrow_fields(fields), &name,
                                                       &value, &error);
  if (!ok) printf(" header-error %d", error.tag);
  return ok;
}

// Prints why a stream failed, if it did and was not just closed.
static void stream_failure(const char* what, wasi_io_streams_stream_error_t* e) {
  if (e->tag != 0) return;
  wasi_http_types_error_code_t code;
  if (wasi_http_types_http_error_code(wasi_io_error_borrow_error(e->val.last_operation_failed),
                                      &code))
    printf(" %s=%s", what, kErrors[code.tag]);
  else
    printf(" %s=?", what);
  wasi_io_error_error_drop_own(e->val.last_operation_failed);
}

static void parse(char* spec, Request* r) {
  memset(r, 0, sizeof(*r));
  r->body = -1;
  int headers = 0;
  r->method = strtok(spec, " ");
  r->scheme = strtok(NULL, " ");
  r->authority = strtok(NULL, " ");
  r->path = strtok(NULL, " ");
  for (char* word; (word = strtok(NULL, " "));) {
    char* value = strchr(word, '=');
    if (value) *value++ = 0;
    if (!strcmp(word, "body")) r->body = atol(value);
    if (!strcmp(word, "text")) r->text = value;
    if (!strcmp(word, "connect")) r->connect = atol(value);
    if (!strcmp(word, "first")) r->first = atol(value);
    if (!strcmp(word, "between")) r->between = atol(value);
    if (!strcmp(word, "pause")) r->pause = atol(value);
    if (!strcmp(word, "read")) r->read = atol(value);
    if (!strcmp(word, "hold")) r->hold = atol(value);
    if (!strcmp(word, "together")) r->together = atol(value);
    if (!strcmp(word, "header")) r->header[headers++] = value;
    if (!strcmp(word, "trailer")) r->trailer = value;
    if (!strcmp(word, "drop")) r->drop = true;
    if (!strcmp(word, "unread")) r->unread = true;
    if (!strcmp(word, "abandon")) r->abandon = true;
  }
}

static wasi_http_types_method_t method_of(char* text) {
  static const char* const kNames[] = {"GET",     "HEAD",    "POST",  "PUT",  "DELETE",
                                       "CONNECT", "OPTIONS", "TRACE", "PATCH"};
  wasi_http_types_method_t m;
  for (m.tag = 0; m.tag < 9; ++m.tag)
    if (!strcmp(text, kNames[m.tag])) return m;
  m.val.other = str(text);
  return m;
}

static void send_body(const Request* r, wasi_http_types_own_outgoing_body_t body) {
  wasi_io_streams_own_output_stream_t out;
  wasi_io_streams_stream_error_t error;
  wasi_http_types_method_outgoing_body_write(wasi_http_types_borrow_outgoing_body(body), &out);
  const wasi_io_streams_borrow_output_stream_t stream = wasi_io_streams_borrow_output_stream(out);
  static char piece[4096];
  bool ok = true;
  if (r->text) {
    fetch_list_u8_t l = bytes(r->text, strlen(r->text));
    ok = wasi_io_streams_method_output_stream_blocking_write_and_flush(stream, &l, &error);
  }
  for (long done = 0; ok && done < r->body;) {
    const long n = r->body - done < 4096 ? r->body - done : 4096;
    for (long i = 0; i < n; ++i) piece[i] = (char)('a' + (done + i) % 23);
    fetch_list_u8_t l = bytes(piece, (size_t)n);
    ok = wasi_io_streams_method_output_stream_blocking_write_and_flush(stream, &l, &error);
    done += n;
    wait_ms(r->pause);
  }
  if (!ok) {
    printf(" write-ended");
    stream_failure("write", &error);
  }
  wasi_io_streams_output_stream_drop_own(out);
  if (r->abandon) {
    wasi_http_types_outgoing_body_drop_own(body);
    return;
  }
  wasi_http_types_own_fields_t trailers;
  if (r->trailer) {
    trailers = wasi_http_types_constructor_fields();
    name_value(trailers, r->trailer);
  }
  wasi_http_types_error_code_t code;
  if (!wasi_http_types_static_outgoing_body_finish(body, r->trailer ? &trailers : NULL, &code))
    printf(" finish=%s", kErrors[code.tag]);
}

static void receive(const Request* r, wasi_http_types_own_incoming_response_t response) {
  const wasi_http_types_borrow_incoming_response_t b =
      wasi_http_types_borrow_incoming_response(response);
  printf(" %d", wasi_http_types_method_incoming_response_status(b));
  const wasi_http_types_own_fields_t fields = wasi_http_types_method_incoming_response_headers(b);
  fetch_list_tuple2_wasi_http_types_field_name_wasi_http_types_field_value_t entries;
  wasi_http_types_method_fields_entries(wasi_http_types_borrow_fields(fields), &entries);
  for (size_t i = 0; i < entries.len; ++i)
    if (entries.ptr[i].f0.len > 2 && (entries.ptr[i].f0.ptr[0] | 32) == 'x')
      printf(" %.*s:%.*s", (int)entries.ptr[i].f0.len, entries.ptr[i].f0.ptr,
             (int)entries.ptr[i].f1.len, (const char*)entries.ptr[i].f1.ptr);
  wasi_http_types_fields_drop_own(fields);
  wasi_http_types_own_incoming_body_t body;
  wasi_http_types_method_incoming_response_consume(b, &body);
  wasi_http_types_incoming_response_drop_own(response);
  wasi_io_streams_own_input_stream_t in;
  wasi_http_types_method_incoming_body_stream(wasi_http_types_borrow_incoming_body(body), &in);
  size_t size = 0;
  uint32_t hash = 2166136261;
  char start[65] = "";
  while (!r->unread) {
    fetch_list_u8_t l;
    wasi_io_streams_stream_error_t error;
    wait_ms(r->read);
    if (!wasi_io_streams_method_input_stream_blocking_read(wasi_io_streams_borrow_input_stream(in),
                                                           65536, &l, &error)) {
      stream_failure("read", &error);
      break;
    }
    for (size_t i = 0; i < l.len; ++i) {
      if (size + i < 64) start[size + i] = (char)l.ptr[i];
      hash = (hash ^ l.ptr[i]) * 16777619;
    }
    size += l.len;
    free(l.ptr);
    if (r->drop && size > 0) break;
  }
  wasi_io_streams_input_stream_drop_own(in);
  printf(" size=%zu", size);
  if (size > 64)
    printf(" hash=%08x", hash);
  else
    printf(" [%s]", start);
  if (r->drop || r->unread) {
    wait_ms(r->read);
    wasi_http_types_incoming_body_drop_own(body);
    return;
  }
  const wasi_http_types_own_future_trailers_t future =
      wasi_http_types_static_incoming_body_finish(body);
  const wasi_http_types_borrow_future_trailers_t f = wasi_http_types_borrow_future_trailers(future);
  wait_for(wasi_http_types_method_future_trailers_subscribe(f));
  fetch_result_result_option_wasi_http_types_own_fields_wasi_http_types_error_code_void_t got;
  if (wasi_http_types_method_future_trailers_get(f, &got)) {
    if (got.val.ok.is_err) {
      printf(" trailers=%s", kErrors[got.val.ok.val.err.tag]);
    } else if (got.val.ok.val.ok.is_some) {
      const wasi_http_types_own_fields_t trailers = got.val.ok.val.ok.val;
      wasi_http_types_method_fields_entries(wasi_http_types_borrow_fields(trailers), &entries);
      for (size_t i = 0; i < entries.len; ++i)
        printf(" trailer %.*s:%.*s", (int)entries.ptr[i].f0.len, entries.ptr[i].f0.ptr,
               (int)entries.ptr[i].f1.len, (const char*)entries.ptr[i].f1.ptr);
      wasi_http_types_fields_drop_own(trailers);
    }
  }
  wasi_http_types_future_trailers_drop_own(future);
}

// Sends a request and its body; false if that fails at once, which it prints.
static bool send(const Request* r, wasi_http_types_own_future_incoming_response_t* future) {
  const wasi_http_types_own_fields_t fields = wasi_http_types_constructor_fields();
  for (int i = 0; r->header[i]; ++i) name_value(fields, r->header[i]);
  const wasi_http_types_own_outgoing_request_t request =
      wasi_http_types_constructor_outgoing_request(fields);
  const wasi_http_types_borrow_outgoing_request_t b =
      wasi_http_types_borrow_outgoing_request(request);
  wasi_http_types_method_t method = method_of(r->method);
  wasi_http_types_scheme_t scheme;
  scheme.tag = !strcmp(r->scheme, "http") ? 0 : !strcmp(r->scheme, "https") ? 1 : 2;
  if (scheme.tag == 2) scheme.val.other = str(r->scheme);
  fetch_string_t authority = str(r->authority), path = str(r->path);
  bool ok = wasi_http_types_method_outgoing_request_set_method(b, &method);
  ok = wasi_http_types_method_outgoing_request_set_scheme(b, &scheme) && ok;
  ok = wasi_http_types_method_outgoing_request_set_authority(b, &authority) && ok;
  ok = wasi_http_types_method_outgoing_request_set_path_with_query(b, &path) && ok;
  if (!ok) {
    printf(" unset");
    wasi_http_types_outgoing_request_drop_own(request);
    return false;
  }
  wasi_http_types_own_outgoing_body_t body;
  const bool has_body = r->body >= 0 || r->text;
  if (has_body) wasi_http_types_method_outgoing_request_body(b, &body);
  const wasi_http_types_own_request_options_t options =
      wasi_http_types_constructor_request_options();
  const wasi_http_types_borrow_request_options_t o =
      wasi_http_types_borrow_request_options(options);
  uint64_t ns = (uint64_t)r->connect * 1000000;
  if (r->connect) wasi_http_types_method_request_options_set_connect_timeout(o, &ns);
  ns = (uint64_t)r->first * 1000000;
  if (r->first) wasi_http_types_method_request_options_set_first_byte_timeout(o, &ns);
  ns = (uint64_t)r->between * 1000000;
  if (r->between) wasi_http_types_method_request_options_set_between_bytes_timeout(o, &ns);
  wasi_http_types_error_code_t error;
  wasi_http_types_own_request_options_t given = options;
  if (!wasi_http_outgoing_handler_handle(request, &given, future, &error)) {
    printf(" %s", kErrors[error.tag]);
    if (has_body) wasi_http_types_outgoing_body_drop_own(body);
    return false;
  }
  if (has_body) send_body(r, body);
  return true;
}

static void take(const Request* r, wasi_http_types_own_future_incoming_response_t future) {
  const wasi_http_types_borrow_future_incoming_response_t f =
      wasi_http_types_borrow_future_incoming_response(future);
  if (r->hold) {
    // Given up.
    wait_ms(r->hold);
    wasi_http_types_future_incoming_response_drop_own(future);
    printf(" given up");
    return;
  }
  wait_for(wasi_http_types_method_future_incoming_response_subscribe(f));
  fetch_result_result_wasi_http_types_own_incoming_response_wasi_http_types_error_code_void_t got;
  if (!wasi_http_types_method_future_incoming_response_get(f, &got) || got.is_err)
    printf(" no response");
  else if (got.val.ok.is_err)
    printf(" %s", kErrors[got.val.ok.val.err.tag]);
  else
    receive(r, got.val.ok.val.ok);
  wasi_http_types_future_incoming_response_drop_own(future);
}

static void run(char* spec) {
  enum { kMost = 64 };
  wasi_http_types_own_future_incoming_response_t futures[kMost];
  bool sent[kMost];
  Request r;
  parse(spec, &r);
  const long count = r.together ? r.together : 1;
  for (long i = 0; i < count; ++i) sent[i] = send(&r, &futures[i]);
  for (long i = 0; i < count; ++i)
    if (sent[i]) take(&r, futures[i]);
}

bool exports_wasi_cli_run_run(void) {
  fetch_list_string_t arguments;
  wasi_cli_environment_get_arguments(&arguments);
  for (size_t i = 1; i < arguments.len; ++i) {
    printf("%zu", i);
    char* const spec = strndup((const char*)arguments.ptr[i].ptr, arguments.ptr[i].len);
    run(spec);
    printf("\n");
    fflush(stdout);
  }
  return true;
}

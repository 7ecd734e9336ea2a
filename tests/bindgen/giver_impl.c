// The world "giver": functions in steps, which go on as their streams and futures do.
#include "giver.h"

// What a task goes on with.
typedef struct job {
  enum { kNumbers, kSum, kLater } kind;
  uint32_t end, set;
  uint32_t count, at, *values;  // numbers
  uint32_t chunk[64];           // sum
  uint64_t total;
  giver_string_t text;  // later
} job;

static job* new_job(int kind, uint32_t end) {
  job* j = calloc(1, sizeof *j);
  j->kind = kind;
  j->end = end;
  return j;
}

static wit_step_t wait(job* j) {
  if (!j->set) {
    j->set = giver_waitable_set_new();
    giver_waitable_join(j->end, j->set);
    giver_set_task_value(j);
  }
  return WIT_WAIT(j->set);
}

static wit_step_t end(job* j) {
  giver_waitable_join(j->end, 0);
  if (j->kind == kNumbers) giver_stream_u32_drop_writable(j->end);
  if (j->kind == kSum) giver_stream_u32_drop_readable(j->end);
  if (j->kind == kLater) giver_future_string_drop_writable(j->end);
  if (j->set) giver_waitable_set_drop(j->set);
  free(j->values);
  giver_string_free(&j->text);
  free(j);
  return WIT_EXIT;
}

static wit_step_t numbers_on(job* j, uint32_t code) {
  for (;;) {
    if (code == WIT_BLOCKED) return wait(j);
    j->at += WIT_COUNT(code);
    if (WIT_RESULT(code) != WIT_COMPLETED || j->at == j->count) return end(j);
    code = giver_stream_u32_write_async(j->end, j->values + j->at, j->count - j->at);
  }
}

wit_step_t exports_t_flows_flow_numbers(uint32_t count) {
  giver_stream_u32_writer_t writer;
  exports_t_flows_flow_numbers__return(giver_stream_u32_new(&writer));
  job* j = new_job(kNumbers, writer);
  j->count = count;
  j->values = malloc(4 * count + 1);
  for (uint32_t i = 0; i < count; i++) j->values[i] = i;
  return numbers_on(j, giver_stream_u32_write_async(writer, j->values, count));
}
wit_step_t exports_t_flows_flow_numbers__callback(wit_event_t event) {
  return event.code == WIT_EVENT_STREAM_WRITE ? numbers_on(giver_task_value(), event.result)
                                              : WIT_EXIT;
}

static wit_step_t sum_on(job* j, uint32_t code) {
  for (;;) {
    if (code == WIT_BLOCKED) return wait(j);
    for (uint32_t i = 0; i < WIT_COUNT(code); i++) j->total += j->chunk[i];
    if (WIT_RESULT(code) != WIT_COMPLETED) {
      exports_t_flows_flow_sum__return(j->total);
      return end(j);
    }
    code = giver_stream_u32_read_async(j->end, j->chunk, 64);
  }
}

wit_step_t exports_t_flows_flow_sum(giver_stream_u32_t values, uint64_t start) {
  job* j = new_job(kSum, values);
  j->total = start;
  return sum_on(j, giver_stream_u32_read_async(values, j->chunk, 64));
}
wit_step_t exports_t_flows_flow_sum__callback(wit_event_t event) {
  return event.code == WIT_EVENT_STREAM_READ ? sum_on(giver_task_value(), event.result) : WIT_EXIT;
}

wit_step_t exports_t_flows_flow_later(giver_string_t* text) {
  giver_future_string_writer_t writer;
  exports_t_flows_flow_later__return(giver_future_string_new(&writer));
  job* j = new_job(kLater, writer);
  j->text = *text;
  return giver_future_string_write_async(writer, &j->text) == WIT_BLOCKED ? wait(j) : end(j);
}
wit_step_t exports_t_flows_flow_later__callback(wit_event_t event) {
  (void)event;
  return end(giver_task_value());
}

wit_step_t exports_t_flows_flow_items(exports_t_flows_flow_item_t* a,
                                      exports_t_flows_flow_item_t* b, giver_list_string_t* c) {
  giver_result_list_exports_t_flows_flow_item_string_t result = {.is_err = c->len == 0};
  exports_t_flows_flow_item_t both[2] = {*a, *b};
  if (result.is_err) {
    giver_string_set(&result.val.err, "nothing");
  } else {
    result.val.ok.ptr = both;
    result.val.ok.len = 2;
  }
  exports_t_flows_flow_items__return(&result);
  exports_t_flows_flow_item_free(a);
  exports_t_flows_flow_item_free(b);
  giver_list_string_free(c);
  return WIT_EXIT;
}
wit_step_t exports_t_flows_flow_items__callback(wit_event_t event) {
  (void)event;
  return WIT_EXIT;
}

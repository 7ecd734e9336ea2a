// The world "taker": calls everything of "giver", waiting and not waiting.
#include "taker.h"

#define CHECK(what, condition)   \
  if (!(condition)) {            \
    taker_string_dup(err, what); \
    return false;                \
  }

static bool same(const taker_string_t* s, const char* text) {
  return s->len == strlen(text) && memcmp(s->ptr, text, s->len) == 0;
}

// Until a call that was started has returned.
static void finish(wit_started_t started) {
  if (WIT_STATE(started) == WIT_RETURNED) return;
  uint32_t subtask = WIT_SUBTASK(started), set = taker_waitable_set_new();
  taker_waitable_join(subtask, set);
  wit_event_t event;
  do event = taker_waitable_set_wait(set);
  while (event.code != WIT_EVENT_SUBTASK || event.waitable != subtask ||
         event.result != WIT_RETURNED);
  taker_waitable_join(subtask, 0);
  taker_subtask_drop(subtask);
  taker_waitable_set_drop(set);
}

bool exports_taker_run(uint32_t count, uint64_t* ret, taker_string_t* err) {
  // A stream that the other one writes.
  taker_stream_u32_t numbers = t_flows_flow_numbers(count);
  uint32_t chunk[100], seen = 0, code;
  uint64_t total = 0;
  do {
    code = taker_stream_u32_read(numbers, chunk, 100);
    for (uint32_t i = 0; i < WIT_COUNT(code); i++, seen++) {
      CHECK("order", chunk[i] == seen);
      total += chunk[i];
    }
  } while (WIT_RESULT(code) == WIT_COMPLETED);
  CHECK("all numbers", seen == count);
  taker_stream_u32_drop_readable(numbers);

  // One that it reads.
  taker_stream_u32_writer_t writer;
  t_flows_flow_sum__args_t args = {taker_stream_u32_new(&writer), 5};
  uint64_t sum = 0;
  wit_started_t started = t_flows_flow_sum__async(&args, &sum);
  CHECK("waits for the stream", WIT_STATE(started) == WIT_STARTED);
  for (uint32_t i = 1; i <= 3; i++)
    CHECK("write", WIT_COUNT(taker_stream_u32_write(writer, &i, 1)) == 1);
  taker_stream_u32_drop_writable(writer);
  finish(started);
  CHECK("sum", sum == 11);

  // One that it forgets.
  numbers = t_flows_flow_numbers(count);
  if (count) CHECK("first", WIT_COUNT(taker_stream_u32_read(numbers, chunk, 1)) == 1);
  taker_stream_u32_drop_readable(numbers);

  taker_string_t text, got;
  taker_string_set(&text, "hello");
  taker_future_string_t future = t_flows_flow_later(&text);
  CHECK("future", taker_future_string_read(future, &got) == WIT_COMPLETED && same(&got, "hello"));
  taker_string_free(&got);
  taker_future_string_drop_readable(future);

  t_flows_flow_items__args_t items = {{text, 1}, {text, 2}, {&text, 1}};
  taker_result_list_t_flows_flow_item_string_t result;
  finish(t_flows_flow_items__async(&items, &result));
  CHECK("items", !result.is_err && result.val.ok.len == 2 && result.val.ok.ptr[1].size == 2 &&
                     same(&result.val.ok.ptr[1].name, "hello"));
  taker_result_list_t_flows_flow_item_string_free(&result);
  taker_list_string_t none = {NULL, 0};
  taker_list_t_flows_flow_item_t list;
  CHECK("no items",
        !t_flows_flow_items(&items.a, &items.b, &none, &list, &got) && same(&got, "nothing"));
  taker_string_free(&got);
  *ret = total;
  return true;
}

// The world "waits": what the host answers later.
#include "waits.h"

void exports_waits_run(uint32_t times, waits_string_t* ret) {
  waits_string_t text;
  waits_string_set(&text, "ab");
  uint32_t bad = 0;
  t_all_slow_tick();
  if (!t_all_slow_repeated(&text, times, ret, &bad))
    waits_string_dup(ret, bad == times ? "too often" : "wrong");
}

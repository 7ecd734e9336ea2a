// The platform layer on Arduino, whose sketches are one task: no tasks and no queues.
#include <Arduino.h>
#include <stdlib.h>

#include "wafer_port.h"

extern "C" {

void* wafer_port_allocate(size_t size) { return malloc(size); }
void wafer_port_release(void* block) { free(block); }
size_t wafer_port_free_bytes(void) { return 0; }

uint64_t wafer_port_clock(void) {
  // micros() starts again every 71 minutes.
  static uint32_t last, rounds;
  const uint32_t now = micros();
  if (now < last) ++rounds;
  last = now;
  return ((uint64_t(rounds) << 32) | now) * 1000;
}
void wafer_port_sleep(uint64_t nanoseconds) { delay((nanoseconds + 999999) / 1000000); }

void wafer_port_put(const char* text, size_t size) {
  Serial.write(reinterpret_cast<const uint8_t*>(text), size);
}
size_t wafer_port_get(char* out, size_t size) {
  size_t got = 0;
  while (got < size && Serial.available() > 0) out[got++] = char(Serial.read());
  return got;
}

bool wafer_port_start(const char*, void (*)(void*), void*, unsigned, size_t) { return false; }
wafer_port_queue* wafer_port_queue_new(size_t) { return nullptr; }
void wafer_port_queue_delete(wafer_port_queue*) {}
bool wafer_port_queue_send(wafer_port_queue*, int32_t, int32_t) { return false; }
bool wafer_port_queue_receive(wafer_port_queue*, int32_t*, int32_t) { return false; }

void** wafer_port_slot(void) {
  static void* slot;
  return &slot;
}
void wafer_port_panic(const char* message) {
  Serial.println(message);
  for (;;) {
  }
}

}  // extern "C"

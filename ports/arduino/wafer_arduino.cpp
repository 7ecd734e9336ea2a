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
void wafer_port_sleep(uint64_t nanoseconds) {
  constexpr uint64_t kMost = UINT32_MAX;  // that delay() takes
  uint64_t left = wafer_port_ticks(nanoseconds, 1000);
  for (; left > kMost; left -= kMost) delay(uint32_t(kMost));
  delay(uint32_t(left));
}

void wafer_port_put(const char* text, size_t size) {
  Serial.write(reinterpret_cast<const uint8_t*>(text), size);
}
size_t wafer_port_get(char* out, size_t size) {
  // Its end never comes.
  while (size && Serial.available() <= 0) delay(1);
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

#include "wafer_console_posix.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "wafer_port.h"

void wafer_console_write(const char* text, size_t size) {
  while (size) {
    const ssize_t done = write(STDOUT_FILENO, text, size);
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return;
    text += done;
    size -= (size_t)done;
  }
}

size_t wafer_port_get(char* out, size_t size) {
  const ssize_t got = read(STDIN_FILENO, out, size);
  return got > 0 ? (size_t)got : 0;
}

uint64_t wafer_port_date(void) {
  struct timespec time;
  return clock_gettime(CLOCK_REALTIME, &time) == 0
             ? (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec
             : 0;
}

void wafer_port_panic(const char* message) {
  static const char prefix[] = "wafer: ";
  wafer_port_put(prefix, sizeof prefix - 1);
  wafer_port_put(message, strlen(message));
  wafer_port_put("\n", 1);
  abort();
}

// Clocks move on, and sleeping takes as long as asked.
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int64_t now(clockid_t id) {
  struct timespec t;
  assert(clock_gettime(id, &t) == 0);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int main(void) {
  struct timespec resolution;
  assert(clock_getres(CLOCK_MONOTONIC, &resolution) == 0);
  printf("resolution %d\n", resolution.tv_sec == 0 && resolution.tv_nsec > 0);
  int64_t last = now(CLOCK_MONOTONIC);
  int backwards = 0;
  for (int i = 0; i < 1000; ++i) {
    const int64_t t = now(CLOCK_MONOTONIC);
    backwards += t < last;
    last = t;
  }
  printf("backwards %d\n", backwards);
  // After 2020-01-01, before 2200.
  const int64_t real = now(CLOCK_REALTIME) / 1000000000;
  printf("realtime %d\n", real > 1577836800 && real < 7258118400);

  int64_t start = now(CLOCK_MONOTONIC);
  struct timespec wait = {0, 30 * 1000 * 1000};
  assert(nanosleep(&wait, NULL) == 0);
  int64_t took = now(CLOCK_MONOTONIC) - start;
  printf("nanosleep %d\n", took >= 30000000 && took < 10000000000);

  start = now(CLOCK_REALTIME);
  const int64_t until = start + 20 * 1000 * 1000;
  struct timespec deadline = {until / 1000000000, until % 1000000000};
  assert(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &deadline, NULL) == 0);
  took = now(CLOCK_REALTIME) - start;
  printf("clock_nanosleep %d\n", took >= 20000000 && took < 10000000000);
  printf("usleep %d\n", usleep(1000));

  const time_t zero = 86400;
  struct tm tm;
  gmtime_r(&zero, &tm);
  char text[64];
  strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm);
  puts(text);
  return 0;
}

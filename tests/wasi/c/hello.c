// printf in all its forms, both output streams, isatty.
#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(void) {
  printf("%d %u %x %o %c %s|%5d|%-5d|%05d\n", -42, 42u, 0xBEEFu, 8, 'z', "text", 7, 7, 7);
  printf("%lld %llu %zu\n", (long long)INT64_MIN, (unsigned long long)UINT64_MAX, sizeof(void*));
  printf("%f %.3f %e %g %g %a\n", 1.0 / 3, 2.0 / 3, 12345.678, 1e-5, 1e20, 1.5);
  printf("%.17g %g %g %g\n", 0.1, INFINITY, -INFINITY, DBL_MAX);
  printf("%.10f %.10f %.10f\n", sqrt(2.0), sin(1.0), pow(2.0, 0.5));
  char buffer[32];
  const int n = snprintf(buffer, sizeof buffer, "%*d", 40, 5);
  printf("%d %zu\n", n, strlen(buffer));
  int a;
  float b;
  char word[8];
  if (sscanf("17 2.5 word", "%d %f %7s", &a, &b, word) == 3) printf("%d %.2f %s\n", a, b, word);
  printf("tty %d %d\n", isatty(1), errno == ENOTTY);
  fprintf(stderr, "to stderr\n");
  return 0;
}

// Random bytes are there, differ, and are spread evenly.
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(void) {
  unsigned char a[256], b[256];
  assert(getentropy(a, sizeof a) == 0 && getentropy(b, sizeof b) == 0);
  printf("differ %d\n", memcmp(a, b, sizeof a) != 0);
  static unsigned char big[1 << 20];
  for (size_t at = 0; at < sizeof big; at += 256) assert(getentropy(big + at, 256) == 0);
  unsigned counts[256] = {0};
  for (size_t i = 0; i < sizeof big; ++i) ++counts[big[i]];
  int even = 1;
  for (int i = 0; i < 256; ++i) even &= counts[i] > 3600 && counts[i] < 4600;
  printf("even %d\n", even);
  printf("none %d\n", getentropy(a, 0));
  return 0;
}

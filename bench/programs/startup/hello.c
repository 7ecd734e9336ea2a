// The least that a program can do: a line of output.
#include <stdio.h>

int main(void) {
  puts("hello");
  return 0;
}

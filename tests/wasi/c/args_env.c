// Arguments, environment, atexit handlers and the exit code.
#include <stdio.h>
#include <stdlib.h>

extern char** environ;

static void first(void) { puts("atexit 1"); }
static void second(void) { puts("atexit 2"); }

int main(int argc, char** argv) {
  for (int i = 0; i < argc; ++i) printf("argv[%d] = <%s>\n", i, argv[i]);
  int count = 0;
  for (char** e = environ; *e; ++e) ++count;
  printf("%d variables\n", count);
  printf("GREETING = <%s>\n", getenv("GREETING"));
  printf("EMPTY = <%s>\n", getenv("EMPTY"));
  printf("MISSING = %d\n", getenv("MISSING") == NULL);
  setenv("MISSING", "set", 1);
  printf("MISSING = <%s>\n", getenv("MISSING"));
  atexit(first);
  atexit(second);
  exit(argc + 40);
}

// Sleeps longer than the runner allows.
#include <unistd.h>

int main(void) {
  sleep(1000);
  return 0;
}

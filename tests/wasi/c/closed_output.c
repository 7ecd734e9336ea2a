// Run with standard output closed: whatever is tried, nothing is written anywhere.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int main(void) {
  struct stat st;
  int refused = 0;
  for (int i = 0; i < 300000; i++) refused += write(1, "MARK", 4) == -1 && errno == EBADF;
  if (refused != 300000) return 1;
  if (printf("MARK\n") >= 0 && fflush(stdout) == 0) return 2;
  if (fstat(1, &st) != -1 || errno != EBADF) return 3;
  if (lseek(1, 0, SEEK_SET) != -1 || errno != EBADF) return 4;
  if (close(1) != -1 || errno != EBADF) return 5;
  // Descriptors of nothing that the program was given.
  for (int fd = 3; fd < 300; fd++)
    if (fcntl(fd, F_GETFL) != -1 || errno != EBADF) return 6;
  fprintf(stderr, "all refused\n");
  return 0;
}

// Copies standard input to a file, the file to standard output, block by block.
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static char block[70000];

static long copy(int from, int to) {
  long total = 0;
  ssize_t n;
  while ((n = read(from, block, sizeof block)) > 0) {
    for (ssize_t done = 0; done < n;) {
      const ssize_t w = write(to, block + done, (size_t)(n - done));
      assert(w > 0);
      done += w;
    }
    total += n;
  }
  assert(n == 0);
  return total;
}

int main(void) {
  const int fd = open("copy", O_CREAT | O_RDWR | O_TRUNC, 0644);
  assert(fd >= 0);
  const long in = copy(0, fd);
  assert(lseek(fd, 0, SEEK_SET) == 0);
  const long out = copy(fd, 1);
  fprintf(stderr, "%ld %ld\n", in, out);
  return in != out;
}

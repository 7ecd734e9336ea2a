// poll and select on standard input at its end, a file, and with a timeout.
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/select.h>
#include <unistd.h>

int main(void) {
  struct pollfd p[2] = {{.fd = 0, .events = POLLIN}, {.fd = 1, .events = POLLOUT}};
  printf("poll %d\n", poll(p, 2, 5000) >= 1);
  printf("stdout %d\n", (p[1].revents & POLLOUT) != 0);

  const int fd = open("file", O_CREAT | O_RDWR, 0644);
  assert(fd >= 0);
  p[0].fd = fd;
  p[0].events = POLLIN | POLLOUT;
  printf("file %d %d\n", poll(p, 1, -1), (p[0].revents & (POLLIN | POLLOUT)) != 0);

  fd_set writable;
  FD_ZERO(&writable);
  FD_SET(fd, &writable);
  struct timeval timeout = {1, 0};
  printf("select %d", select(fd + 1, NULL, &writable, NULL, &timeout));
  printf(" %d\n", FD_ISSET(fd, &writable) != 0);

  struct timeval brief = {0, 10000};
  printf("timeout %d\n", select(0, NULL, NULL, NULL, &brief));
  unlink("file");
  return 0;
}

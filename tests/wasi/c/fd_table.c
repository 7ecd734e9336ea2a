// Descriptor numbers, renumbering, rights as C sees them.
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
#include <wasi/api.h>

int main(void) {
  const int a = open("a", O_CREAT | O_RDWR, 0644), b = open("b", O_CREAT | O_RDWR, 0644);
  assert(a > 2 && b == a + 1);
  close(a);
  const int again = open("a", O_RDONLY);
  printf("reused %d\n", again == a);
  assert(write(b, "to b", 4) == 4);
  printf("renumber %d\n", __wasi_fd_renumber((__wasi_fd_t)b, (__wasi_fd_t)again));
  char c;
  printf("gone %d\n", read(b, &c, 1) == -1 && errno == EBADF);
  assert(lseek(again, 0, SEEK_SET) == 0);
  printf("read %zd %c\n", read(again, &c, 1), c);

  __wasi_fdstat_t stat;
  assert(__wasi_fd_fdstat_get(1, &stat) == 0);
  printf("stdout rights %d %d\n", (stat.fs_rights_base & __WASI_RIGHTS_FD_WRITE) != 0,
         (stat.fs_rights_base & __WASI_RIGHTS_FD_READ) != 0);
  __wasi_prestat_t prestat;
  printf("prestat %d %d\n", __wasi_fd_prestat_get(3, &prestat),
         __wasi_fd_prestat_get(4, &prestat) == __WASI_ERRNO_BADF);
  const int flags = fcntl(again, F_GETFL);
  assert(fcntl(again, F_SETFL, flags | O_APPEND) == 0);
  printf("append %d\n", (fcntl(again, F_GETFL) & O_APPEND) != 0);
  unlink("a");
  unlink("b");
  return 0;
}

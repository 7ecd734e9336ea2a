// Files: writing, reading back, seeking, appending, truncating, renaming.
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static void expect_errno(const char* what, int result, int wanted) {
  if (result != -1 || errno != wanted)
    printf("%s: result %d, errno %d (%s)\n", what, result, errno, strerror(errno));
  else
    printf("%s: %s\n", what, strerror(wanted));
}

int main(void) {
  FILE* f = fopen("numbers.txt", "w");
  assert(f);
  for (int i = 0; i < 1000; ++i) fprintf(f, "%d\n", i * i);
  assert(fclose(f) == 0);

  f = fopen("/numbers.txt", "r");
  assert(f);
  long sum = 0, value, lines = 0;
  while (fscanf(f, "%ld", &value) == 1) sum += value, ++lines;
  printf("lines %ld sum %ld\n", lines, sum);
  assert(fseek(f, -7, SEEK_END) == 0);
  char tail[16] = {0};
  printf("tail %zu ", fread(tail, 1, sizeof tail - 1, f));
  printf("%s", tail);
  printf("eof %d at %ld\n", feof(f) != 0, ftell(f));
  fclose(f);

  int fd = open("log", O_CREAT | O_WRONLY | O_APPEND, 0644);
  assert(fd >= 0);
  struct iovec parts[3] = {{"one,", 4}, {"two,", 4}, {"three", 5}};
  printf("writev %zd\n", writev(fd, parts, 3));
  assert(lseek(fd, 0, SEEK_SET) == 0);
  assert(write(fd, "!", 1) == 1);
  close(fd);
  fd = open("log", O_RDWR);
  char text[64] = {0};
  printf("read %zd %s\n", read(fd, text, sizeof text), text);
  printf("pwrite %zd\n", pwrite(fd, "ONE", 3, 0));
  memset(text, 0, sizeof text);
  printf("pread %zd %s\n", pread(fd, text, 5, 2), text);
  assert(ftruncate(fd, 3) == 0);
  struct stat st;
  assert(fstat(fd, &st) == 0);
  printf("size %lld regular %d links %d\n", (long long)st.st_size, S_ISREG(st.st_mode),
         (int)st.st_nlink);
  assert(ftruncate(fd, 100000) == 0 && lseek(fd, 0, SEEK_END) == 100000);
  assert(fsync(fd) == 0 && fdatasync(fd) == 0);
  close(fd);

  assert(mkdir("sub", 0755) == 0);
  assert(rename("log", "sub/moved") == 0);
  assert(stat("sub/moved", &st) == 0 && st.st_size == 100000);
  assert(link("sub/moved", "hard") == 0);
  assert(stat("hard", &st) == 0);
  printf("links %d\n", (int)st.st_nlink);
  assert(symlink("sub/moved", "soft") == 0);
  memset(text, 0, sizeof text);
  printf("readlink %zd %s\n", readlink("soft", text, sizeof text), text);
  assert(lstat("soft", &st) == 0);
  printf("link %d\n", S_ISLNK(st.st_mode));
  struct timespec times[2] = {{1000, 5}, {2000, 6}};
  assert(utimensat(AT_FDCWD, "hard", times, 0) == 0 && stat("soft", &st) == 0);
  printf("times %lld.%ld %lld.%ld\n", (long long)st.st_atim.tv_sec, st.st_atim.tv_nsec,
         (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);

  expect_errno("missing", open("missing", O_RDONLY), ENOENT);
  expect_errno("exists", mkdir("sub", 0755), EEXIST);
  expect_errno("exclusive", open("hard", O_CREAT | O_EXCL | O_WRONLY, 0644), EEXIST);
  expect_errno("not empty", rmdir("sub"), ENOTEMPTY);
  expect_errno("directory", unlink("sub"), EISDIR);
  expect_errno("not directory", open("hard/x", O_RDONLY), ENOTDIR);
  expect_errno("write directory", open("sub", O_WRONLY), EISDIR);
  fd = open("hard", O_RDONLY);
  expect_errno("write read-only", (int)write(fd, "x", 1), EBADF);
  close(fd);
  expect_errno("closed", close(fd), EBADF);

  assert(unlink("soft") == 0 && unlink("hard") == 0 && unlink("sub/moved") == 0);
  assert(rmdir("sub") == 0 && unlink("numbers.txt") == 0);
  puts("done");
  return 0;
}

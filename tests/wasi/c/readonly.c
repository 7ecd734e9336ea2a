// A read-only directory can be read and not changed.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void show(const char* what, int result) {
  printf("%s: %s\n", what, result >= 0 ? "ok" : strerror(errno));
}

int main(void) {
  char text[64] = {0};
  const int fd = open("inside/good", O_RDONLY);
  show("open", fd);
  (void)read(fd, text, sizeof text - 1);
  printf("%s\n", text);
  show("write", open("inside/good", O_WRONLY));
  show("truncate", open("inside/good", O_RDONLY | O_TRUNC));
  show("create", open("new", O_CREAT | O_RDWR, 0644));
  show("mkdir", mkdir("new", 0755));
  show("unlink", unlink("inside/good"));
  show("rename", rename("inside/good", "good"));
  show("link", link("inside/good", "good"));
  show("symlink", symlink("inside/good", "good"));
  show("utimens", utimensat(AT_FDCWD, "inside/good", NULL, 0));
  DIR* d = opendir("inside");
  int n = 0;
  while (d && readdir(d)) ++n;
  printf("entries %d\n", n);
  return 0;
}

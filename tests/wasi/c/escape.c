// Ways out of the sandbox, all of which must be closed. The runner has laid out
// links in the directory and a file "secret" beside it.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int escaped = 0;

static void try_open(const char* path) {
  const int fd = open(path, O_RDONLY);
  if (fd < 0) {
    printf("open %s: %s\n", path, strerror(errno));
    return;
  }
  char text[64] = {0};
  (void)read(fd, text, sizeof text - 1);
  printf("open %s: %s\n", path, text);
  if (strstr(text, "secret")) escaped = 1;
  close(fd);
}

static void show(const char* what, int result) {
  printf("%s: %s\n", what, result == 0 ? "ok" : strerror(errno));
}

int main(void) {
  try_open("../secret");
  try_open("inside/../../secret");
  try_open("up");
  try_open("absolute");
  try_open("parent/secret");
  try_open("root/etc/passwd");
  try_open("inside/good");
  try_open("good_link");
  show("symlink absolute", symlink("/etc/passwd", "made"));
  show("symlink relative", symlink("../secret", "made"));
  try_open("made");
  show("mkdir", mkdir("parent/made", 0755));
  show("rename", rename("inside/good", "parent/stolen"));
  show("link", link("parent/secret", "stolen"));
  show("unlink", unlink("parent/secret"));
  struct stat st;
  show("stat", stat("up", &st));
  show("lstat", lstat("up", &st));
  show("create", open("parent/new", O_CREAT | O_WRONLY, 0644) < 0 ? -1 : 0);
  show("chdir", chdir("parent"));
  return escaped;
}

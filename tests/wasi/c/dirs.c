// Directory listings: many entries, telldir and seekdir, types, recursion.
#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int by_name(const struct dirent** a, const struct dirent** b) {
  return strcmp((*a)->d_name, (*b)->d_name);
}

static int remove_tree(const char* path) {
  DIR* d = opendir(path);
  assert(d);
  int removed = 0;
  struct dirent* e;
  while ((e = readdir(d))) {
    if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
    char name[512];
    snprintf(name, sizeof name, "%s/%s", path, e->d_name);
    if (e->d_type == DT_DIR) {
      removed += remove_tree(name);
    } else {
      assert(unlink(name) == 0);
      ++removed;
    }
  }
  closedir(d);
  assert(rmdir(path) == 0);
  return removed + 1;
}

int main(void) {
  assert(mkdir("tree", 0755) == 0);
  for (int i = 0; i < 500; ++i) {
    char name[64];
    snprintf(name, sizeof name, "tree/file-%03d-with-a-longer-name", i);
    int fd = open(name, O_CREAT | O_WRONLY, 0644);
    assert(fd >= 0);
    close(fd);
  }
  assert(mkdir("tree/nested", 0755) == 0 && mkdir("tree/nested/deeper", 0755) == 0);
  assert(symlink("nowhere", "tree/nested/link") == 0);

  DIR* d = opendir("tree");
  assert(d);
  int files = 0, dirs = 0, total = 0;
  long middle = 0;
  char after_middle[256] = "";
  struct dirent* e;
  while ((e = readdir(d))) {
    if (total == 251) strcpy(after_middle, e->d_name);
    files += e->d_type == DT_REG;
    dirs += e->d_type == DT_DIR;
    if (++total == 251) middle = telldir(d);
  }
  printf("files %d dirs %d\n", files, dirs);
  seekdir(d, middle);
  e = readdir(d);
  printf("seekdir %d\n", e && strcmp(e->d_name, after_middle) == 0);
  rewinddir(d);
  int again = 0;
  while (readdir(d)) ++again;
  printf("again %d\n", again == total);
  closedir(d);

  struct dirent** names;
  const int n = scandir("tree/nested", &names, NULL, by_name);
  for (int i = 0; i < n; ++i) {
    struct stat st;
    char path[300];
    snprintf(path, sizeof path, "tree/nested/%s", names[i]->d_name);
    assert(lstat(path, &st) == 0);
    printf("%s %d %d\n", names[i]->d_name, names[i]->d_type == DT_DIR,
           !strcmp(names[i]->d_name, "..") || st.st_ino == names[i]->d_ino);
  }
  printf("removed %d\n", remove_tree("tree"));
  return 0;
}

// A filter: counts lines, words and characters while turning letters to capitals.
#include <ctype.h>
#include <stdio.h>

int main(void) {
  long lines = 0, words = 0, chars = 0;
  int c, in_word = 0;
  while ((c = getchar()) != EOF) {
    ++chars;
    lines += c == '\n';
    if (isspace(c)) {
      in_word = 0;
    } else if (!in_word) {
      in_word = 1;
      ++words;
    }
    putchar(toupper(c));
  }
  fprintf(stderr, "%ld %ld %ld\n", lines, words, chars);
  return ferror(stdin) || ferror(stdout);
}

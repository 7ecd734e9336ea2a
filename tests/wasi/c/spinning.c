// Computes for ever.
int main(void) {
  volatile unsigned n = 1;
  while (n) n = n * 3 | 1;
  return 0;
}

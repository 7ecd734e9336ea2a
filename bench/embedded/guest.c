// Programs that interpreters for microcontrollers are measured with: each returns a number
// that its work went into. Built as a module, and natively to compare.
#define EXPORT(name) __attribute__((export_name(#name), noinline)) int name(void)

static __attribute__((noinline)) int fib_of(int n) {
  return n < 2 ? n : fib_of(n - 1) + fib_of(n - 2);
}

EXPORT(fib) { return fib_of(20); }

// CRC-32, bit by bit, of 8 KiB.
EXPORT(crc) {
  unsigned crc = ~0u;
  for (unsigned i = 0; i < 8192; ++i) {
    crc ^= i * 7 & 0xFF;
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (0xEDB88320u & -(crc & 1));
  }
  return (int)~crc;
}

enum { kSize = 48 };
static int a[kSize][kSize], b[kSize][kSize], c[kSize][kSize];

EXPORT(matmul) {
  for (int i = 0; i < kSize; ++i)
    for (int j = 0; j < kSize; ++j) a[i][j] = i + j, b[i][j] = i - j;
  for (int i = 0; i < kSize; ++i)
    for (int j = 0; j < kSize; ++j) {
      int sum = 0;
      for (int k = 0; k < kSize; ++k) sum += a[i][k] * b[k][j];
      c[i][j] = sum;
    }
  return c[3][5] + c[kSize - 1][kSize - 2];
}

static short samples[1024];

EXPORT(fir) {
  static const short taps[8] = {1, 3, 5, 7, 7, 5, 3, 1};
  for (int i = 0; i < 1024; ++i) samples[i] = (short)((i * 37 + 11) % 101);
  int max = 0;
  for (int i = 7; i < 1024; ++i) {
    int sum = 0;
    for (int k = 0; k < 8; ++k) sum += taps[k] * samples[i - k];
    if (sum > max) max = sum;
  }
  return max;
}

// A state machine over text, with a table of branches.
static char text[512];
EXPORT(lexer) {
  for (int i = 0; i < 512; ++i) text[i] = "ab1 + (c2*33) -4/x;\n "[i * 5 % 21];
  int words = 0, numbers = 0, others = 0, state = 0;
  for (int round = 0; round < 8; ++round)
    for (int i = 0; i < 512; ++i) {
      const char at = text[i];
      switch (at) {
        case 'a':
        case 'b':
        case 'c':
        case 'x':
          if (state != 1) ++words;
          state = 1;
          break;
        case '1':
        case '2':
        case '3':
        case '4':
          if (state == 0) ++numbers, state = 2;
          break;
        case ' ':
        case '\n':
          state = 0;
          break;
        default:
          ++others;
          state = 0;
      }
    }
  return words * 10000 + numbers * 100 + others;
}

// A sort by insertion, and binary search in what comes of it.
static int keys[256];
EXPORT(sort) {
  unsigned seed = 1;
  for (int i = 0; i < 256; ++i) keys[i] = (int)((seed = seed * 1664525u + 1013904223u) >> 8);
  for (int i = 1; i < 256; ++i) {
    const int key = keys[i];
    int j = i;
    for (; j > 0 && keys[j - 1] > key; --j) keys[j] = keys[j - 1];
    keys[j] = key;
  }
  int steps = 0;
  for (int i = 0; i < 256; ++i)
    for (int low = 0, high = 256; low < high; ++steps) {
      const int middle = (low + high) / 2;
      if (keys[middle] < keys[i])
        low = middle + 1;
      else
        high = middle;
    }
  return steps ^ keys[100];
}

// 64-bit integers: a generator of random numbers and a product modulo.
EXPORT(random64) {
  unsigned long long x = 88172645463325252ull, sum = 0;
  for (int i = 0; i < 4096; ++i) {
    x ^= x << 13, x ^= x >> 7, x ^= x << 17;
    sum += x >> 11;
  }
  return (int)(sum ^ sum >> 32);
}

// Single precision, which a Cortex-M4F has instructions for.
static float signal[256];
EXPORT(biquad) {
  for (int i = 0; i < 256; ++i) signal[i] = (float)(i % 17) - 8.0f;
  float x1 = 0, x2 = 0, y1 = 0, y2 = 0;
  for (int round = 0; round < 8; ++round)
    for (int i = 0; i < 256; ++i) {
      const float x = signal[i];
      const float y = 0.2f * x + 0.4f * x1 + 0.2f * x2 + 0.3f * y1 - 0.1f * y2;
      x2 = x1, x1 = x, y2 = y1, y1 = y;
      signal[i] = y;
    }
  return (int)(y1 * 1000.0f);
}

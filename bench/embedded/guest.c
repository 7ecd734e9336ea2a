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

// A receiver of frames as they come over a serial line, byte by byte: each state is a function
// that is called by its address, and so is each command.
enum { kFlag = 0x7E, kEscape = 0x7D, kFlip = 0x20, kFrame = 24 };
static unsigned char wire[2048], frame[kFrame], registers[32];
static unsigned frame_size, accepted, rejected;
static void (*receive)(unsigned char);

static unsigned checksum(const unsigned char* bytes, unsigned size) {
  unsigned low = 1, high = 0;
  for (unsigned i = 0; i < size; ++i) {
    low = (low + bytes[i]) & 0xFF;
    high = (high + low) & 0xFF;
  }
  return high << 8 | low;
}

static void command_set(const unsigned char* bytes, unsigned size) {
  for (unsigned i = 1; i < size; ++i) registers[(bytes[0] + i) % sizeof registers] = bytes[i];
}
static void command_add(const unsigned char* bytes, unsigned size) {
  unsigned carry = 0;
  for (unsigned i = 1; i < size; ++i) {
    unsigned char* const at = &registers[(bytes[0] + i) % sizeof registers];
    carry += *at + bytes[i];
    *at = (unsigned char)carry;
    carry >>= 8;
  }
}
static void command_mask(const unsigned char* bytes, unsigned size) {
  for (unsigned i = 0; i < sizeof registers; ++i) registers[i] ^= bytes[i % size];
}
static void command_swap(const unsigned char* bytes, unsigned size) {
  for (unsigned i = 1; i < size; ++i) {
    unsigned char* const one = &registers[bytes[i - 1] % sizeof registers];
    unsigned char* const other = &registers[bytes[i] % sizeof registers];
    const unsigned char kept = *one;
    *one = *other;
    *other = kept;
  }
}

static void on_idle(unsigned char byte);
static void on_byte(unsigned char byte);
static void on_escaped(unsigned char byte);

static void frame_ends(void) {
  static void (*const commands[4])(const unsigned char*, unsigned) = {command_set, command_add,
                                                                      command_mask, command_swap};
  if (frame_size == 0) return;  // one flag after another
  const unsigned size = frame_size - 2;
  if (frame_size < 4 || checksum(frame, size) != (unsigned)(frame[size] << 8 | frame[size + 1])) {
    ++rejected;
  } else {
    ++accepted;
    commands[frame[0] & 3](frame + 1, size - 1);
  }
  frame_size = 0;
}
static void take(unsigned char byte) {
  if (frame_size < kFrame)
    frame[frame_size++] = byte;
  else
    receive = on_idle;
}
static void on_idle(unsigned char byte) {
  if (byte != kFlag) return;
  frame_size = 0;
  receive = on_byte;
}
static void on_byte(unsigned char byte) {
  if (byte == kFlag)
    frame_ends();
  else if (byte == kEscape)
    receive = on_escaped;
  else
    take(byte);
}
static void on_escaped(unsigned char byte) {
  receive = on_byte;
  take(byte ^ kFlip);
}

// Writes a byte to the wire, escaped where it has to be.
static unsigned char* sent(unsigned char* at, unsigned char byte) {
  if (byte == kFlag || byte == kEscape) *at++ = kEscape, byte ^= kFlip;
  *at++ = byte;
  return at;
}

EXPORT(protocol) {
  unsigned seed = 7;
  unsigned char* end = wire;
  while (end + 2 * kFrame + 2 < wire + sizeof wire) {
    unsigned char bytes[kFrame];
    const unsigned size = 3 + (seed >> 20) % (kFrame - 4);
    for (unsigned i = 0; i < size; ++i)
      bytes[i] = (unsigned char)((seed = seed * 1664525u + 1013904223u) >> 24);
    const unsigned sum = checksum(bytes, size) ^ (seed >> 16) % 8 / 7;  // one in eight is wrong
    *end++ = kFlag;
    for (unsigned i = 0; i < size; ++i) end = sent(end, bytes[i]);
    end = sent(end, (unsigned char)(sum >> 8));
    end = sent(end, (unsigned char)sum);
  }
  *end++ = kFlag;
  for (unsigned i = 0; i < sizeof registers; ++i) registers[i] = 0;
  accepted = rejected = 0;
  receive = on_idle;
  for (int round = 0; round < 4; ++round)
    for (const unsigned char* at = wire; at < end; ++at) receive(*at);
  return (int)(accepted << 22 | rejected << 16 | checksum(registers, sizeof registers));
}

// Compresses text with LZ77 over a window of 32 KiB and canonical Huffman codes, block by block,
// then expands it again.
#include "text.h"

enum {
  kWindow = 1 << 15,
  kHashBits = 15,
  kShortest = 3,
  kLongest = 258,
  kChain = 32,  // candidates that the matcher looks at
  kEnd = 256,
  kFirstLength = 257,
  kLiterals = kFirstLength + 16,
  kDistances = 30,
  kMaxBits = 15,
  kBlockTokens = 1 << 15,
};

// Values are coded as a bucket, whose size doubles with every second one, and extra bits.
static int bucket_of(uint32_t value) {
  if (value < 4) return (int)value;
  int top = 31 - __builtin_clz(value);
  return 2 * top + (int)(value >> (top - 1) & 1);
}
static int bucket_bits(int bucket) { return bucket < 4 ? 0 : bucket / 2 - 1; }
static uint32_t bucket_base(int bucket) {
  return bucket < 4 ? (uint32_t)bucket : (uint32_t)(2 + (bucket & 1)) << (bucket / 2 - 1);
}

typedef struct {
  uint8_t* bytes;
  size_t at;
  uint64_t pending;
  int count;
} Bits;

static void put(Bits* out, uint32_t value, int bits) {
  out->pending |= (uint64_t)value << out->count;
  out->count += bits;
  while (out->count >= 8) {
    out->bytes[out->at++] = (uint8_t)out->pending;
    out->pending >>= 8;
    out->count -= 8;
  }
}

static void fill(Bits* in) {
  while (in->count <= 48) {
    in->pending |= (uint64_t)in->bytes[in->at++] << in->count;
    in->count += 8;
  }
}

static uint32_t get(Bits* in, int bits) {
  if (in->count < bits) fill(in);
  uint32_t value = (uint32_t)(in->pending & (((uint64_t)1 << bits) - 1));
  in->pending >>= bits;
  in->count -= bits;
  return value;
}

// Lengths of Huffman codes for the frequencies, none longer than kMaxBits: when a tree is too
// deep, the frequencies are flattened and it is built again.
static void code_lengths(const uint32_t* frequency, int symbols, uint8_t* lengths) {
  uint32_t weight[2 * kLiterals];
  int parent[2 * kLiterals], live[kLiterals];
  for (int flatten = 0;; ++flatten) {
    int count = 0, nodes = symbols;
    for (int i = 0; i < symbols; ++i) {
      lengths[i] = 0;
      if (frequency[i] == 0) continue;
      weight[i] = (frequency[i] >> flatten) + 1;
      live[count++] = i;
    }
    if (count == 1) {
      lengths[live[0]] = 1;
      return;
    }
    for (int left = count; left > 1; --left) {
      int least[2];
      for (int pick = 0; pick < 2; ++pick) {
        int best = pick;
        for (int i = pick; i < left; ++i) {
          if (weight[live[i]] < weight[live[best]]) best = i;
        }
        least[pick] = live[best];
        live[best] = live[pick];
        live[pick] = least[pick];
      }
      weight[nodes] = weight[least[0]] + weight[least[1]];
      parent[least[0]] = parent[least[1]] = nodes;
      live[1] = nodes++;
      live[0] = live[left - 1];
    }
    int deepest = 0;
    for (int i = 0; i < symbols; ++i) {
      if (frequency[i] == 0) continue;
      int depth = 0;
      for (int node = i; node != nodes - 1; node = parent[node]) ++depth;
      lengths[i] = (uint8_t)depth;
      if (depth > deepest) deepest = depth;
    }
    if (deepest <= kMaxBits) return;
  }
}

// Canonical codes, with their bits in the order in which they are written.
static void make_codes(const uint8_t* lengths, int symbols, uint16_t* codes) {
  uint32_t code = 0;
  for (int bits = 1; bits <= kMaxBits; ++bits, code <<= 1) {
    for (int i = 0; i < symbols; ++i) {
      if (lengths[i] != bits) continue;
      uint32_t reversed = 0;
      for (int b = 0; b < bits; ++b) reversed |= (code >> b & 1) << (bits - 1 - b);
      codes[i] = (uint16_t)reversed;
      ++code;
    }
  }
}

typedef struct {
  uint16_t length;    // of the match; 0: a literal
  uint16_t distance;  // less one; or the literal
} Token;

static void write_lengths(Bits* out, const uint8_t* lengths, int symbols) {
  for (int i = 0; i < symbols; ++i) put(out, lengths[i], 4);
}

static void write_block(Bits* out, const Token* tokens, int count) {
  uint32_t literal_frequency[kLiterals] = {0}, distance_frequency[kDistances] = {0};
  for (int i = 0; i < count; ++i) {
    if (tokens[i].length == 0) {
      ++literal_frequency[tokens[i].distance];
    } else {
      ++literal_frequency[kFirstLength + bucket_of(tokens[i].length - kShortest)];
      ++distance_frequency[bucket_of(tokens[i].distance)];
    }
  }
  literal_frequency[kEnd] = 1;
  distance_frequency[0] += 1;  // a code of no symbols has no tree
  uint8_t literal_lengths[kLiterals], distance_lengths[kDistances];
  uint16_t literal_codes[kLiterals], distance_codes[kDistances];
  code_lengths(literal_frequency, kLiterals, literal_lengths);
  code_lengths(distance_frequency, kDistances, distance_lengths);
  make_codes(literal_lengths, kLiterals, literal_codes);
  make_codes(distance_lengths, kDistances, distance_codes);
  write_lengths(out, literal_lengths, kLiterals);
  write_lengths(out, distance_lengths, kDistances);
  for (int i = 0; i < count; ++i) {
    if (tokens[i].length == 0) {
      int symbol = tokens[i].distance;
      put(out, literal_codes[symbol], literal_lengths[symbol]);
      continue;
    }
    uint32_t length = tokens[i].length - kShortest, distance = tokens[i].distance;
    int l = bucket_of(length), d = bucket_of(distance);
    put(out, literal_codes[kFirstLength + l], literal_lengths[kFirstLength + l]);
    put(out, length - bucket_base(l), bucket_bits(l));
    put(out, distance_codes[d], distance_lengths[d]);
    put(out, distance - bucket_base(d), bucket_bits(d));
  }
  put(out, literal_codes[kEnd], literal_lengths[kEnd]);
}

static uint32_t hash(const uint8_t* p) {
  return ((uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2]) * 2654435761u >> (32 - kHashBits);
}

static size_t compress(const uint8_t* data, size_t size, uint8_t* output) {
  static int32_t head[1 << kHashBits], previous[kWindow];
  static Token tokens[kBlockTokens];
  memset(head, 0xff, sizeof head);
  Bits out = {output, 0, 0, 0};
  int count = 0;
  for (size_t at = 0; at < size;) {
    int best_length = 0;
    size_t best_distance = 0;
    if (at + kShortest <= size) {
      int most = size - at < kLongest ? (int)(size - at) : kLongest;
      int32_t candidate = head[hash(data + at)];
      for (int tries = 0; tries < kChain && candidate >= 0; ++tries) {
        size_t distance = at - (size_t)candidate;
        if (distance > kWindow - 1) break;
        const uint8_t *a = data + candidate, *b = data + at;
        if (best_length == 0 || a[best_length] == b[best_length]) {
          int length = 0;
          while (length < most && a[length] == b[length]) ++length;
          if (length > best_length) {
            best_length = length;
            best_distance = distance;
            if (length == most) break;
          }
        }
        candidate = previous[candidate & (kWindow - 1)];
      }
    }
    int step = 1;
    if (best_length >= kShortest) {
      tokens[count++] = (Token){(uint16_t)best_length, (uint16_t)(best_distance - 1)};
      step = best_length;
    } else {
      tokens[count++] = (Token){0, data[at]};
    }
    for (; step > 0; --step, ++at) {
      if (at + kShortest > size) continue;
      uint32_t slot = hash(data + at);
      previous[at & (kWindow - 1)] = head[slot];
      head[slot] = (int32_t)at;
    }
    if (count == kBlockTokens || at == size) {
      put(&out, at == size, 1);
      write_block(&out, tokens, count);
      count = 0;
    }
  }
  put(&out, 0, 7);
  return out.at;
}

typedef struct {
  uint16_t symbol[1 << kMaxBits];
  uint8_t bits[1 << kMaxBits];
} Decoder;

static void read_code(Bits* in, int symbols, Decoder* decoder) {
  uint8_t lengths[kLiterals];
  uint16_t codes[kLiterals];
  for (int i = 0; i < symbols; ++i) lengths[i] = (uint8_t)get(in, 4);
  make_codes(lengths, symbols, codes);
  for (int i = 0; i < symbols; ++i) {
    if (lengths[i] == 0) continue;
    for (int rest = codes[i]; rest < 1 << kMaxBits; rest += 1 << lengths[i]) {
      decoder->symbol[rest] = (uint16_t)i;
      decoder->bits[rest] = lengths[i];
    }
  }
}

static int read_symbol(Bits* in, const Decoder* decoder) {
  if (in->count < kMaxBits) fill(in);
  uint32_t index = (uint32_t)in->pending & ((1 << kMaxBits) - 1);
  in->pending >>= decoder->bits[index];
  in->count -= decoder->bits[index];
  return decoder->symbol[index];
}

static uint32_t read_value(Bits* in, int bucket) {
  return bucket_base(bucket) + get(in, bucket_bits(bucket));
}

static size_t expand(uint8_t* input, uint8_t* output) {
  static Decoder literals, distances;
  Bits in = {input, 0, 0, 0};
  size_t at = 0;
  for (int last = 0; !last;) {
    last = (int)get(&in, 1);
    read_code(&in, kLiterals, &literals);
    read_code(&in, kDistances, &distances);
    for (int symbol; (symbol = read_symbol(&in, &literals)) != kEnd;) {
      if (symbol < kEnd) {
        output[at++] = (uint8_t)symbol;
        continue;
      }
      uint32_t length = read_value(&in, symbol - kFirstLength) + kShortest;
      uint32_t distance = read_value(&in, read_symbol(&in, &distances)) + 1;
      for (uint32_t i = 0; i < length; ++i, ++at) output[at] = output[at - distance];
    }
  }
  return at;
}

int main(int argc, char** argv) {
  enum { kSize = 2000000 };
  int rounds = bench_start(argc, argv, 12, 1);
  uint8_t* text = bench_allocate(kSize + 8);
  uint8_t* packed = bench_allocate(kSize + kSize / 4);
  uint8_t* back = bench_allocate(kSize);
  memset(packed, 0, kSize + kSize / 4);  // the reader looks a few bytes ahead
  for (int r = 0; r < rounds; ++r) {
    make_text((char*)text, kSize);
    size_t size = compress(text, kSize, packed);
    bench_add(size);
    bench_add_bytes(packed, size);
    bench_require(size < kSize / 2, "the text did not get smaller");
    bench_require(expand(packed, back) == kSize, "the expanded size is wrong");
    bench_require(memcmp(text, back, kSize) == 0, "the expanded text is wrong");
  }
  return bench_finish("compress");
}

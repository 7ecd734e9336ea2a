// What small embedded programs do with integers: linked lists, a matrix of 16-bit numbers, a
// state machine that reads text, and a bitwise CRC over all the results.
#include "../bench.h"

enum { kNodes = 300, kSide = 24, kText = 600 };

typedef struct Node {
  struct Node* next;
  int16_t key;
  int16_t value;
} Node;

static uint16_t crc16(uint16_t crc, uint32_t value) {
  for (int bit = 0; bit < 32; ++bit) {
    uint32_t feedback = (crc ^ value) & 1;
    crc >>= 1;
    value >>= 1;
    if (feedback) crc ^= 0xa001;
  }
  return crc;
}

// The smaller of two nodes: by key in the first round, by value in the second.
static int by_key(const Node* a, const Node* b) { return a->key - b->key; }
static int by_value(const Node* a, const Node* b) { return a->value - b->value; }

static Node* merge(Node* a, Node* b, int (*order)(const Node*, const Node*)) {
  Node head, *tail = &head;
  while (a != NULL && b != NULL) {
    Node** from = order(a, b) <= 0 ? &a : &b;
    tail->next = *from;
    tail = *from;
    *from = tail->next;
  }
  tail->next = a != NULL ? a : b;
  return head.next;
}

static Node* sort(Node* list, int (*order)(const Node*, const Node*)) {
  if (list == NULL || list->next == NULL) return list;
  Node* middle = list;
  for (Node* end = list->next; end != NULL && end->next != NULL; end = end->next->next) {
    middle = middle->next;
  }
  Node* second = middle->next;
  middle->next = NULL;
  return merge(sort(list, order), sort(second, order), order);
}

static Node* reverse(Node* list) {
  Node* out = NULL;
  while (list != NULL) {
    Node* next = list->next;
    list->next = out;
    out = list;
    list = next;
  }
  return out;
}

static const Node* find(const Node* list, int16_t key) {
  while (list != NULL && list->key != key) list = list->next;
  return list;
}

static uint16_t list_work(Node* nodes, uint16_t crc) {
  for (int i = 0; i < kNodes; ++i) {
    nodes[i].next = i + 1 < kNodes ? &nodes[i + 1] : NULL;
    nodes[i].key = (int16_t)((i * 167 + crc) & 0x3ff);
    nodes[i].value = (int16_t)(crc16(crc, (uint32_t)i) & 0x7ff);
  }
  Node* list = sort(nodes, by_value);
  list = reverse(list);
  for (int16_t key = 0; key < 40; ++key) {
    const Node* found = find(list, (int16_t)(key * 25));
    crc = crc16(crc, found != NULL ? (uint32_t)found->value : 1);
  }
  list = sort(list, by_key);
  for (const Node* n = list; n != NULL; n = n->next)
    crc = crc16(crc, (uint32_t)(n->key ^ n->value));
  return crc;
}

static uint16_t matrix_work(int16_t a[kSide][kSide], int16_t b[kSide][kSide], uint16_t crc) {
  static int32_t product[kSide][kSide];
  for (int i = 0; i < kSide; ++i) {
    for (int j = 0; j < kSide; ++j) {
      a[i][j] = (int16_t)((i * 7 + j * 3 + crc) & 0xff);
      b[i][j] = (int16_t)((i * 5 - j + crc) & 0x7f);
    }
  }
  for (int i = 0; i < kSide; ++i) {
    for (int j = 0; j < kSide; ++j) {
      int32_t sum = 0;
      for (int k = 0; k < kSide; ++k) sum += a[i][k] * b[k][j];
      product[i][j] = sum;
    }
  }
  // Bits 2 to 5 times bits 5 to 11, then the count of rises along each row.
  uint32_t rises = 0, mixed = 0;
  for (int i = 0; i < kSide; ++i) {
    for (int j = 1; j < kSide; ++j) {
      int32_t here = product[i][j];
      mixed += (uint32_t)((here >> 2 & 15) * (here >> 5 & 127));
      rises += product[i][j - 1] < here;
    }
  }
  return crc16(crc16(crc, mixed), rises);
}

typedef enum { kStart, kSign, kInteger, kPoint, kFraction, kExponent, kPower, kBad, kStates } State;

// The next state of a reader of numbers such as -12.5e+3.
static State next_state(State state, char c) {
  int digit = c >= '0' && c <= '9';
  switch (state) {
    case kStart:
      return digit ? kInteger : c == '+' || c == '-' ? kSign : c == '.' ? kPoint : kBad;
    case kSign:
      return digit ? kInteger : c == '.' ? kPoint : kBad;
    case kInteger:
      return digit ? kInteger : c == '.' ? kFraction : c == 'e' ? kExponent : kBad;
    case kPoint:
      return digit ? kFraction : kBad;
    case kFraction:
      return digit ? kFraction : c == 'e' ? kExponent : kBad;
    case kExponent:
      return digit || c == '+' || c == '-' ? kPower : kBad;
    case kPower:
      return digit ? kPower : kBad;
    default:
      return kBad;
  }
}

static uint16_t state_work(char* text, uint16_t crc) {
  static const char alphabet[] = "0123456789012345.e+-,,x";
  uint32_t noise = crc;
  for (int i = 0; i < kText; ++i) {
    noise = noise * 1103515245u + 12345u;
    text[i] = alphabet[(noise >> 16) % (sizeof alphabet - 1)];
  }
  uint32_t ended[kStates] = {0}, visited[kStates] = {0};
  State state = kStart;
  for (int i = 0; i < kText; ++i) {
    if (text[i] == ',') {
      ++ended[state];
      state = kStart;
      continue;
    }
    state = next_state(state, text[i]);
    ++visited[state];
  }
  for (int s = 0; s < kStates; ++s) crc = crc16(crc16(crc, ended[s]), visited[s]);
  return crc;
}

int main(int argc, char** argv) {
  int rounds = bench_start(argc, argv, 30000, 900);
  static Node nodes[kNodes];
  static int16_t a[kSide][kSide], b[kSide][kSide];
  static char text[kText];
  uint16_t crc = 0x1d0f;
  for (int r = 0; r < rounds; ++r) {
    crc = list_work(nodes, crc);
    crc = matrix_work(a, b, crc);
    crc = state_work(text, crc);
    bench_add(crc);
  }
  return bench_finish("integer_mix");
}

// Parses JSON into a tree, sums its numbers, and prints it again; the second printing of what
// was parsed must be the same as the first.
#include "../bench.h"

typedef enum { kNull, kFalse, kTrue, kNumber, kString, kArray, kObject } Kind;

typedef struct Value {
  struct Value* next;   // the next element or member
  struct Value* first;  // of an array or object
  const char *name, *text;
  uint32_t name_size, size;  // bytes of the name and of the text; number of elements
  double number;
  Kind kind;
} Value;

typedef struct {
  char* memory;
  size_t used, size;
} Arena;

static void* arena_take(Arena* arena, size_t bytes) {
  size_t start = arena->used;
  arena->used = (start + bytes + 7) & ~(size_t)7;
  bench_require(arena->used <= arena->size, "the arena is full");
  return arena->memory + start;
}

typedef struct {
  const char *at, *end;
  Arena* arena;
} Reader;

static void skip_space(Reader* reader) {
  while (reader->at < reader->end &&
         (*reader->at == ' ' || *reader->at == '\n' || *reader->at == '\t')) {
    ++reader->at;
  }
}

static void expect(Reader* reader, const char* text) {
  for (; *text != '\0'; ++text) {
    bench_require(reader->at < reader->end && *reader->at == *text, "unexpected character");
    ++reader->at;
  }
}

static uint32_t read_hex(Reader* reader) {
  uint32_t value = 0;
  for (int i = 0; i < 4; ++i) {
    char c = *reader->at++;
    value = value << 4 | (uint32_t)(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
  }
  return value;
}

static char* put_utf8(char* out, uint32_t c) {
  if (c < 0x80) {
    *out++ = (char)c;
  } else if (c < 0x800) {
    *out++ = (char)(0xc0 | c >> 6);
    *out++ = (char)(0x80 | (c & 63));
  } else {
    *out++ = (char)(0xe0 | c >> 12);
    *out++ = (char)(0x80 | (c >> 6 & 63));
    *out++ = (char)(0x80 | (c & 63));
  }
  return out;
}

static const char* read_string(Reader* reader, uint32_t* size) {
  expect(reader, "\"");
  const char* start = reader->at;
  while (*reader->at != '"' && *reader->at != '\\') ++reader->at;
  if (*reader->at == '"') {  // nothing to unescape: the text itself serves
    *size = (uint32_t)(reader->at++ - start);
    return start;
  }
  const char* close = reader->at;
  while (*close != '"') close += *close == '\\' ? 2 : 1;
  char* out = arena_take(reader->arena, (size_t)(close - start));
  char* to = out;
  memcpy(to, start, (size_t)(reader->at - start));
  to += reader->at - start;
  while (reader->at < close) {
    char c = *reader->at++;
    if (c != '\\') {
      *to++ = c;
      continue;
    }
    switch (c = *reader->at++) {
      case 'n':
        *to++ = '\n';
        break;
      case 't':
        *to++ = '\t';
        break;
      case 'u':
        to = put_utf8(to, read_hex(reader));
        break;
      default:
        *to++ = c;
    }
  }
  ++reader->at;
  *size = (uint32_t)(to - out);
  return out;
}

// Numbers here have at most 15 digits and 6 decimals, so that one division rounds them right.
static double read_number(Reader* reader) {
  static const double scales[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6};
  int negative = *reader->at == '-', decimals = 0, point = 0;
  reader->at += negative;
  int64_t digits = 0;
  for (;; ++reader->at) {
    char c = *reader->at;
    if (c >= '0' && c <= '9') {
      digits = digits * 10 + (c - '0');
      decimals += point;
    } else if (c == '.' && !point) {
      point = 1;
    } else {
      break;
    }
  }
  bench_require(decimals <= 6, "too many decimals");
  double value = (double)digits / scales[decimals];
  return negative ? -value : value;
}

static Value* read_value(Reader* reader);

static Value* read_members(Reader* reader, Value* parent, char close) {
  int named = close == '}';
  Value** link = &parent->first;
  ++reader->at;
  skip_space(reader);
  while (*reader->at != close) {
    const char* name = NULL;
    uint32_t name_size = 0;
    if (named) {
      name = read_string(reader, &name_size);
      skip_space(reader);
      expect(reader, ":");
    }
    Value* value = read_value(reader);
    value->name = name;
    value->name_size = name_size;
    *link = value;
    link = &value->next;
    ++parent->size;
    skip_space(reader);
    if (*reader->at == ',') {
      ++reader->at;
      skip_space(reader);
    }
  }
  ++reader->at;
  return parent;
}

static Value* read_value(Reader* reader) {
  Value* value = arena_take(reader->arena, sizeof *value);
  memset(value, 0, sizeof *value);
  skip_space(reader);
  switch (*reader->at) {
    case '{':
      value->kind = kObject;
      return read_members(reader, value, '}');
    case '[':
      value->kind = kArray;
      return read_members(reader, value, ']');
    case '"':
      value->kind = kString;
      value->text = read_string(reader, &value->size);
      return value;
    case 'n':
      expect(reader, "null");
      return value;
    case 't':
      expect(reader, "true");
      value->kind = kTrue;
      return value;
    case 'f':
      expect(reader, "false");
      value->kind = kFalse;
      return value;
    default:
      value->kind = kNumber;
      value->number = read_number(reader);
      return value;
  }
}

static char* print_string(char* out, const char* text, uint32_t size) {
  static const char hex[] = "0123456789abcdef";
  *out++ = '"';
  for (uint32_t i = 0; i < size; ++i) {
    unsigned char c = (unsigned char)text[i];
    if (c == '"' || c == '\\') {
      *out++ = '\\';
      *out++ = (char)c;
    } else if (c == '\n') {
      *out++ = '\\';
      *out++ = 'n';
    } else if (c < 0x20) {
      memcpy(out, "\\u00", 4);
      out[4] = hex[c >> 4];
      out[5] = hex[c & 15];
      out += 6;
    } else {
      *out++ = (char)c;
    }
  }
  *out++ = '"';
  return out;
}

static char* print_number(char* out, double number) {
  if (number < 0) *out++ = '-';
  double magnitude = number < 0 ? -number : number;
  uint64_t scaled = (uint64_t)(magnitude * 1e6 + 0.5);
  uint64_t whole = scaled / 1000000;
  uint32_t fraction = (uint32_t)(scaled % 1000000);
  char digits[24];
  int count = 0;
  do digits[count++] = (char)('0' + whole % 10);
  while ((whole /= 10) != 0);
  while (count > 0) *out++ = digits[--count];
  if (fraction == 0) return out;
  *out++ = '.';
  for (uint32_t place = 100000; fraction != 0; place /= 10) {
    *out++ = (char)('0' + fraction / place);
    fraction %= place;
  }
  return out;
}

static char* print_value(char* out, const Value* value) {
  static const char* const words[] = {"null", "false", "true"};
  switch (value->kind) {
    case kNumber:
      return print_number(out, value->number);
    case kString:
      return print_string(out, value->text, value->size);
    case kArray:
    case kObject:
      *out++ = value->kind == kArray ? '[' : '{';
      for (const Value* v = value->first; v != NULL; v = v->next) {
        if (v != value->first) *out++ = ',';
        if (value->kind == kObject) {
          out = print_string(out, v->name, v->name_size);
          *out++ = ':';
        }
        out = print_value(out, v);
      }
      *out++ = value->kind == kArray ? ']' : '}';
      return out;
    default: {
      size_t size = strlen(words[value->kind]);
      memcpy(out, words[value->kind], size);
      return out + size;
    }
  }
}

static double sum_of(const Value* value) {
  double sum = value->kind == kNumber ? value->number : 0;
  for (const Value* v = value->first; v != NULL; v = v->next) sum += sum_of(v);
  return sum;
}

// Random JSON with the shapes of records: names repeat, numbers are short, some text is escaped.
static char* make_value(char* out, int depth) {
  static const char* const names[] = {"id", "name", "tags", "price", "position", "owner", "notes"};
  uint32_t kind = bench_random_below(depth > 0 ? 10 : 6);
  if (kind < 3)
    return out +
           sprintf(out, "%d.%02u", (int)bench_random_below(20000) - 5000, bench_random_below(100));
  if (kind < 5) {
    *out++ = '"';
    for (uint32_t i = 4 + bench_random_below(20); i > 0; --i) {
      uint32_t c = bench_random_below(40);
      if (c < 26)
        *out++ = (char)('a' + c);
      else if (c == 26)
        out += sprintf(out, "\\n");
      else if (c == 27)
        out += sprintf(out, "\\u%04x", 0xa0 + bench_random_below(3000));
      else
        *out++ = ' ';
    }
    *out++ = '"';
    return out;
  }
  if (kind == 5) {
    static const char* const words[] = {"null", "false", "true"};
    return out + sprintf(out, "%s", words[bench_random_below(3)]);
  }
  int named = kind >= 7;
  *out++ = named ? '{' : '[';
  for (uint32_t i = 0, count = 2 + bench_random_below(6); i < count; ++i) {
    if (i > 0) out += sprintf(out, ",\n ");
    if (named) out += sprintf(out, "\"%s\": ", names[bench_random_below(7)]);
    out = make_value(out, depth - 1);
  }
  *out++ = named ? '}' : ']';
  return out;
}

int main(int argc, char** argv) {
  enum { kText = 2 << 20, kArena = 12 << 20 };
  int rounds = bench_start(argc, argv, 250, 6);
  char* text = bench_allocate(kText);
  char* printed = bench_allocate(kText);
  char* again = bench_allocate(kText);
  Arena arena = {bench_allocate(kArena), 0, kArena};
  char* end = text;
  *end++ = '[';
  while (end < text + kText / 2) {
    if (end != text + 1) *end++ = ',';
    end = make_value(end, 5);
  }
  *end++ = ']';
  for (int r = 0; r < rounds; ++r) {
    arena.used = 0;
    Reader reader = {text, end, &arena};
    const Value* value = read_value(&reader);
    bench_require(reader.at == end, "text was left over");
    double sum = sum_of(value);
    bench_add_doubles(&sum, 1);
    char* printed_end = print_value(printed, value);
    arena.used = 0;
    Reader second = {printed, printed_end, &arena};
    char* again_end = print_value(again, read_value(&second));
    bench_require(again_end - again == printed_end - printed, "printed sizes differ");
    bench_require(memcmp(again, printed, (size_t)(again_end - again)) == 0, "printed texts differ");
    if (r == 0) bench_add_bytes(printed, (size_t)(printed_end - printed));
  }
  return bench_finish("json");
}

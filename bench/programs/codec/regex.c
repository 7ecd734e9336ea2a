// Regular expressions, compiled to a nondeterministic automaton that is searched in two ways: by
// following all its states at once, and through a deterministic automaton that is built as the
// text demands. Both find the longest match at the leftmost place.
#include "text.h"

enum { kMaxStates = 256, kMaxSets = 512, kUnknown = -1, kDead = 0 };

typedef enum { kClass, kSplit, kJump, kMatch } Kind;

typedef struct {
  Kind kind;
  int first, second;     // targets of kSplit and kJump
  uint32_t accepted[8];  // the bytes of kClass
} State;

typedef struct {
  State states[kMaxStates];
  int count;
  const char* pattern;
} Program;

static int emit(Program* program, Kind kind) {
  bench_require(program->count < kMaxStates, "the expression is too large");
  State* state = &program->states[program->count];
  memset(state, 0, sizeof *state);
  state->kind = kind;
  return program->count++;
}

static void accept(State* state, unsigned char c) { state->accepted[c / 32] |= 1u << c % 32; }

// Makes room for one state before `at`, for an operator that follows its operand.
static void insert(Program* program, int at, Kind kind) {
  emit(program, kind);
  State* states = program->states;
  memmove(&states[at + 1], &states[at], (size_t)(program->count - 1 - at) * sizeof *states);
  memset(&states[at], 0, sizeof *states);
  states[at].kind = kind;
  for (int i = at + 1; i < program->count; ++i) {
    if (states[i].kind == kSplit || states[i].kind == kJump) {
      ++states[i].first;
      ++states[i].second;
    }
  }
}

static void parse_alternatives(Program* program);

static void parse_atom(Program* program) {
  char c = *program->pattern++;
  if (c == '(') {
    parse_alternatives(program);
    bench_require(*program->pattern++ == ')', "a group is not closed");
    return;
  }
  State* state = &program->states[emit(program, kClass)];
  if (c == '[') {
    while (*program->pattern != ']') {
      unsigned char low = (unsigned char)*program->pattern++, high = low;
      if (*program->pattern == '-') {
        high = (unsigned char)program->pattern[1];
        program->pattern += 2;
      }
      for (int i = low; i <= high; ++i) accept(state, (unsigned char)i);
    }
    ++program->pattern;
  } else if (c == '.') {
    for (int i = 0; i < 256; ++i) {
      if (i != '\n') accept(state, (unsigned char)i);
    }
  } else {
    if (c == '\\') c = *program->pattern++;
    accept(state, (unsigned char)c);
  }
}

static void parse_repeat(Program* program) {
  int start = program->count;
  parse_atom(program);
  for (char c; (c = *program->pattern) == '*' || c == '+' || c == '?'; ++program->pattern) {
    if (c == '+') {
      int split = emit(program, kSplit);
      program->states[split].first = start;
      program->states[split].second = split + 1;
      continue;
    }
    insert(program, start, kSplit);
    if (c == '*') program->states[emit(program, kJump)].first = start;
    program->states[start].first = start + 1;
    program->states[start].second = program->count;
  }
}

static void parse_alternatives(Program* program) {
  int start = program->count;
  while (*program->pattern != '\0' && *program->pattern != '|' && *program->pattern != ')') {
    parse_repeat(program);
  }
  if (*program->pattern != '|') return;
  ++program->pattern;
  insert(program, start, kSplit);
  int jump = emit(program, kJump);
  program->states[start].first = start + 1;
  program->states[start].second = program->count;
  parse_alternatives(program);
  program->states[jump].first = program->count;
}

static void compile(Program* program, const char* pattern) {
  program->count = 0;
  program->pattern = pattern;
  parse_alternatives(program);
  emit(program, kMatch);
}

// A set of states, without duplicates and in the order in which they were added.
typedef struct {
  int members[kMaxStates];
  int count;
  uint32_t seen[kMaxStates];
  uint32_t generation;
} Set;

static void clear(Set* set) {
  set->count = 0;
  ++set->generation;
}

// Adds a state and all that can be reached from it without reading a byte.
static void add(const Program* program, Set* set, int index) {
  if (set->seen[index] == set->generation) return;
  set->seen[index] = set->generation;
  const State* state = &program->states[index];
  if (state->kind == kJump) {
    add(program, set, state->first);
  } else if (state->kind == kSplit) {
    add(program, set, state->first);
    add(program, set, state->second);
  } else {
    set->members[set->count++] = index;
  }
}

static void step(const Program* program, const Set* from, Set* to, unsigned char c) {
  clear(to);
  for (int i = 0; i < from->count; ++i) {
    const State* state = &program->states[from->members[i]];
    if (state->kind == kClass && (state->accepted[c / 32] >> c % 32 & 1)) {
      add(program, to, from->members[i] + 1);
    }
  }
}

static int matches(const Program* program, const Set* set) {
  for (int i = 0; i < set->count; ++i) {
    if (program->states[set->members[i]].kind == kMatch) return 1;
  }
  return 0;
}

// The length of the longest match at the start of `text`, or -1.
static int match_states(const Program* program, const char* text, int size) {
  static Set sets[2];
  Set *now = &sets[0], *next = &sets[1];
  clear(now);
  add(program, now, 0);
  int longest = matches(program, now) ? 0 : -1;
  for (int i = 0; i < size && now->count > 0; ++i) {
    step(program, now, next, (unsigned char)text[i]);
    Set* t = now;
    now = next;
    next = t;
    if (matches(program, now)) longest = i + 1;
  }
  return longest;
}

// Sets of states by number. Number 0 is the empty set, from which there is no way on.
typedef struct {
  int16_t next[kMaxSets][256];
  uint8_t matching[kMaxSets];
  int16_t members[kMaxSets][kMaxStates];
  int16_t sizes[kMaxSets];
  int count;
} Automaton;

static int number_of(Automaton* automaton, const Program* program, const Set* set) {
  for (int i = 0; i < automaton->count; ++i) {
    if (automaton->sizes[i] != set->count) continue;
    int same = 1;
    for (int j = 0; j < set->count && same; ++j) same = automaton->members[i][j] == set->members[j];
    if (same) return i;
  }
  bench_require(automaton->count < kMaxSets, "too many sets of states");
  int number = automaton->count++;
  automaton->sizes[number] = (int16_t)set->count;
  for (int j = 0; j < set->count; ++j) automaton->members[number][j] = (int16_t)set->members[j];
  automaton->matching[number] = (uint8_t)matches(program, set);
  for (int c = 0; c < 256; ++c) automaton->next[number][c] = kUnknown;
  return number;
}

static int build_next(Automaton* automaton, const Program* program, int from, unsigned char c) {
  static Set before, after;
  clear(&before);
  for (int j = 0; j < automaton->sizes[from]; ++j) {
    before.members[before.count++] = automaton->members[from][j];
  }
  step(program, &before, &after, c);
  int to = number_of(automaton, program, &after);
  automaton->next[from][c] = (int16_t)to;
  return to;
}

static void prepare(Automaton* automaton, const Program* program) {
  static Set set;
  automaton->count = 0;
  clear(&set);
  number_of(automaton, program, &set);
  add(program, &set, 0);
  number_of(automaton, program, &set);
}

static int match_automaton(Automaton* automaton, const Program* program, const char* text,
                           int size) {
  int now = 1, longest = automaton->matching[now] ? 0 : -1;
  for (int i = 0; i < size; ++i) {
    unsigned char c = (unsigned char)text[i];
    int next = automaton->next[now][c];
    if (next == kUnknown) next = build_next(automaton, program, now, c);
    if (next == kDead) break;
    now = next;
    if (automaton->matching[now]) longest = i + 1;
  }
  return longest;
}

int main(int argc, char** argv) {
  static const char* const patterns[] = {
      "[a-z]+@[a-z]+\\.(org|com)",         "(19|20)[0-9][0-9]-(0[1-9]|1[012])-[0-3][0-9]",
      "[A-Z][a-z]*(ba|co|di)+[a-z]*\\.",   "(ka|ke|ki|ko|ku)?(ra|re|ri|ro|ru)(ta|te|ti|to|tu)+",
      "[0-9]+ ([a-z]+ )?([a-z]+ )?[0-9]+", "(a|e|i|o|u|[b-d][a-i]|[f-h][a-u])*[tnsr](e|a) ",
  };
  int size = bench_start(argc, argv, 6000000, 150000);
  char* text = bench_allocate((size_t)size);
  make_text(text, (size_t)size);
  static Program program;
  static Automaton automaton;
  for (size_t p = 0; p < sizeof patterns / sizeof *patterns; ++p) {
    compile(&program, patterns[p]);
    prepare(&automaton, &program);
    uint32_t found = 0, total = 0;
    int automaton_only = size / 2;  // following all states is slower; the first half checks it
    for (int at = 0; at < size;) {
      int length = match_automaton(&automaton, &program, text + at, size - at);
      if (at < automaton_only) {
        int other = match_states(&program, text + at, size - at);
        bench_require(length == other, "the two searches differ");
      }
      if (length > 0) {
        ++found;
        total += (uint32_t)length;
      }
      at += length > 0 ? length : 1;
    }
    bench_require(found > 0, "nothing was found");
    bench_add(found);
    bench_add(total);
  }
  return bench_finish("regex");
}

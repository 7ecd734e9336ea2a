// An interpreter of a small language: a lexer, a compiler to bytecode by precedence climbing,
// and a stack machine, which run the program at the end of this file.
#include "../bench.h"

// ---- Values --------------------------------------------------------------------------------

typedef struct Array Array;

typedef struct {
  Array* array;  // NULL: a number
  double number;
} Value;

struct Array {
  Array* all;  // the array that was made before
  int size;
  Value* elements;
};

static Array* arrays;

static Value number_value(double number) { return (Value){NULL, number}; }

static Value make_array(int size) {
  Array* array = bench_allocate(sizeof *array);
  array->all = arrays;
  arrays = array;
  array->size = size;
  array->elements = bench_allocate((size_t)(size > 0 ? size : 1) * sizeof(Value));
  for (int i = 0; i < size; ++i) array->elements[i] = number_value(0);
  return (Value){array, 0};
}

static void free_arrays(void) {
  while (arrays != NULL) {
    Array* next = arrays->all;
    free(arrays->elements);
    free(arrays);
    arrays = next;
  }
}

// ---- Lexer ---------------------------------------------------------------------------------

typedef enum {
  kEndOfText,
  kNumberToken,
  kNameToken,
  kPunctuation,
} TokenKind;

typedef struct {
  TokenKind kind;
  char text[24];
  double number;
} Token;

static const char* source;
static Token token;  // the current one

static int is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
static int is_digit(char c) { return c >= '0' && c <= '9'; }

static void next_token(void) {
  for (;;) {
    while (*source == ' ' || *source == '\n') ++source;
    if (*source != '#') break;
    while (*source != '\n' && *source != '\0') ++source;
  }
  int length = 0;
  token.number = 0;
  if (*source == '\0') {
    token.kind = kEndOfText;
  } else if (is_digit(*source)) {
    token.kind = kNumberToken;
    double scale = 1;
    for (; is_digit(*source); ++source) token.number = token.number * 10 + (*source - '0');
    if (*source == '.') {
      for (++source; is_digit(*source); ++source) {
        token.number = token.number * 10 + (*source - '0');
        scale *= 10;
      }
    }
    token.number /= scale;
  } else if (is_letter(*source)) {
    token.kind = kNameToken;
    while (is_letter(*source) || is_digit(*source)) {
      bench_require(length < (int)sizeof token.text - 1, "a name is too long");
      token.text[length++] = *source++;
    }
  } else {
    token.kind = kPunctuation;
    char c = token.text[length++] = *source++;
    int doubled = (c == '&' || c == '|') && *source == c;
    if (doubled || ((c == '=' || c == '!' || c == '<' || c == '>') && *source == '=')) {
      token.text[length++] = *source++;
    }
  }
  token.text[length] = '\0';
}

static int at(const char* text) {
  return (token.kind == kNameToken || token.kind == kPunctuation) && strcmp(token.text, text) == 0;
}

static int skip(const char* text) {
  if (!at(text)) return 0;
  next_token();
  return 1;
}

static void need(const char* text) {
  if (skip(text)) return;
  fprintf(stderr, "expected %s, not %s\n", text, token.text);
  exit(1);
}

// ---- Compiler ------------------------------------------------------------------------------

typedef enum {
  kConstant,
  kLoadLocal,
  kStoreLocal,
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kRemainder,
  kEqual,
  kUnequal,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kNegate,
  kNot,
  kJump,
  kJumpIfFalse,
  kJumpIfFalseKeep,
  kJumpIfTrueKeep,
  kDrop,
  kCall,
  kReturn,
  kIndex,
  kStoreIndex,
  kMakeArray,
  kLength,
  kFloor,
  kEmit,
} Opcode;

enum { kMaxCode = 8192, kMaxConstants = 256, kMaxFunctions = 64, kMaxLocals = 48 };

typedef struct {
  char name[24];
  int entry, parameters, locals;
} Function;

static int32_t code[kMaxCode];
static int code_size;
static double constants[kMaxConstants];
static int constants_size;
static Function functions[kMaxFunctions];
static int functions_size;
static char locals[kMaxLocals][24];
static int locals_size, most_locals;

static int emit(int32_t word) {
  bench_require(code_size < kMaxCode, "the program is too long");
  code[code_size] = word;
  return code_size++;
}

static int emit_with(Opcode opcode, int32_t operand) {
  emit(opcode);
  return emit(operand);
}

static int find_local(const char* name) {
  for (int i = locals_size - 1; i >= 0; --i) {
    if (strcmp(locals[i], name) == 0) return i;
  }
  fprintf(stderr, "no variable %s\n", name);
  exit(1);
}

static int add_local(const char* name) {
  bench_require(locals_size < kMaxLocals, "too many variables");
  strcpy(locals[locals_size], name);
  if (locals_size + 1 > most_locals) most_locals = locals_size + 1;
  return locals_size++;
}

// A function's number; it may be called before its definition.
static int find_function(const char* name) {
  for (int i = 0; i < functions_size; ++i) {
    if (strcmp(functions[i].name, name) == 0) return i;
  }
  bench_require(functions_size < kMaxFunctions, "too many functions");
  strcpy(functions[functions_size].name, name);
  functions[functions_size].entry = -1;
  return functions_size++;
}

static void compile_expression(int least);

static int compile_arguments(void) {
  int count = 0;
  need("(");
  while (!at(")")) {
    compile_expression(0);
    ++count;
    if (!skip(",")) break;
  }
  need(")");
  return count;
}

static void compile_call(const char* name) {
  static const struct {
    const char* name;
    Opcode opcode;
  } builtins[] = {{"array", kMakeArray}, {"length", kLength}, {"floor", kFloor}, {"emit", kEmit}};
  for (size_t i = 0; i < sizeof builtins / sizeof *builtins; ++i) {
    if (strcmp(name, builtins[i].name) != 0) continue;
    bench_require(compile_arguments() == 1, "a built-in function takes one argument");
    emit(builtins[i].opcode);
    return;
  }
  int function = find_function(name);
  int count = compile_arguments();
  emit(kCall);
  emit(function);
  emit(count);
}

static void compile_primary(void) {
  if (skip("(")) {
    compile_expression(0);
    need(")");
  } else if (skip("-")) {
    compile_primary();
    emit(kNegate);
  } else if (skip("!")) {
    compile_primary();
    emit(kNot);
  } else if (token.kind == kNumberToken) {
    bench_require(constants_size < kMaxConstants, "too many constants");
    constants[constants_size] = token.number;
    emit_with(kConstant, constants_size++);
    next_token();
  } else {
    bench_require(token.kind == kNameToken, "an expression is missing");
    Token name = token;
    next_token();
    if (at("(")) {
      compile_call(name.text);
    } else {
      emit_with(kLoadLocal, find_local(name.text));
    }
  }
  while (skip("[")) {
    compile_expression(0);
    need("]");
    emit(kIndex);
  }
}

static const struct {
  const char* text;
  int precedence;
  Opcode opcode;
} operators[] = {
    {"||", 1, kJumpIfTrueKeep},
    {"&&", 2, kJumpIfFalseKeep},
    {"==", 3, kEqual},
    {"!=", 3, kUnequal},
    {"<", 4, kLess},
    {"<=", 4, kLessEqual},
    {">", 4, kGreater},
    {">=", 4, kGreaterEqual},
    {"+", 5, kAdd},
    {"-", 5, kSubtract},
    {"*", 6, kMultiply},
    {"/", 6, kDivide},
    {"%", 6, kRemainder},
};

static void compile_expression(int least) {
  compile_primary();
  for (;;) {
    int found = -1;
    for (int i = 0; i < (int)(sizeof operators / sizeof *operators); ++i) {
      if (operators[i].precedence > least && at(operators[i].text)) found = i;
    }
    if (found < 0) return;
    next_token();
    Opcode opcode = operators[found].opcode;
    if (opcode == kJumpIfTrueKeep || opcode == kJumpIfFalseKeep) {
      int jump = emit_with(opcode, 0);
      emit(kDrop);
      compile_expression(operators[found].precedence);
      code[jump] = code_size;
    } else {
      compile_expression(operators[found].precedence);
      emit(opcode);
    }
  }
}

static void compile_statement(void);

static void compile_block(void) {
  int outer = locals_size;
  need("{");
  while (!skip("}")) compile_statement();
  locals_size = outer;
}

static void compile_if(void) {
  compile_expression(0);
  int jump = emit_with(kJumpIfFalse, 0);
  compile_block();
  if (!skip("else")) {
    code[jump] = code_size;
    return;
  }
  int over = emit_with(kJump, 0);
  code[jump] = code_size;
  if (skip("if")) {
    compile_if();
  } else {
    compile_block();
  }
  code[over] = code_size;
}

// A name, an index or a call, followed by `= expression` unless it stands for its effect.
static void compile_simple(void) {
  int start = code_size;
  compile_primary();
  if (!skip("=")) {
    emit(kDrop);
    return;
  }
  Opcode last = code[code_size - 1] == kIndex && code_size - start > 2 ? kIndex : kLoadLocal;
  int local = code[code_size - 1];
  code_size -= last == kIndex ? 1 : 2;  // what would have been read is written instead
  compile_expression(0);
  if (last == kIndex) {
    emit(kStoreIndex);
  } else {
    emit_with(kStoreLocal, local);
  }
}

static void compile_statement(void) {
  if (skip("let")) {
    Token name = token;
    next_token();
    need("=");
    compile_expression(0);
    emit_with(kStoreLocal, add_local(name.text));
    need(";");
  } else if (skip("while")) {
    int start = code_size;
    compile_expression(0);
    int jump = emit_with(kJumpIfFalse, 0);
    compile_block();
    emit_with(kJump, start);
    code[jump] = code_size;
  } else if (skip("if")) {
    compile_if();
  } else if (skip("return")) {
    compile_expression(0);
    emit(kReturn);
    need(";");
  } else {
    compile_simple();
    need(";");
  }
}

static void compile_function(void) {
  need("fn");
  Function* function = &functions[find_function(token.text)];
  next_token();
  locals_size = most_locals = 0;
  need("(");
  while (!at(")")) {
    add_local(token.text);
    next_token();
    if (!skip(",")) break;
  }
  need(")");
  function->parameters = locals_size;
  function->entry = code_size;
  compile_block();
  constants[constants_size] = 0;
  emit_with(kConstant, constants_size++);
  emit(kReturn);
  function->locals = most_locals;
}

static void compile(const char* text) {
  code_size = constants_size = functions_size = 0;
  source = text;
  next_token();
  while (token.kind != kEndOfText) compile_function();
  for (int i = 0; i < functions_size; ++i) {
    bench_require(functions[i].entry >= 0, "a function is not defined");
  }
}

// ---- Machine -------------------------------------------------------------------------------

enum { kStackSize = 1 << 16, kMaxFrames = 1 << 12 };

typedef struct {
  int return_to, base;
} Frame;

static Value stack[kStackSize];
static Frame frames[kMaxFrames];

static double number_of(Value value) {
  bench_require(value.array == NULL, "a number is needed");
  return value.number;
}

static int truth(Value value) { return value.array != NULL || value.number != 0; }

static Value* element(Value array, Value index) {
  double number = number_of(index);
  bench_require(array.array != NULL, "an array is needed");
  bench_require(number >= 0 && number < array.array->size, "the index is out of bounds");
  return &array.array->elements[(int)number];
}

static double remainder_of(double a, double b) {
  bench_require(b >= 1, "the divisor is not positive");
  return (double)((int64_t)a % (int64_t)b);
}

// Runs the function from its entry, with its arguments on the stack from slot 0.
static double run(int function) {
  int pc = functions[function].entry, base = 0, depth = 0;
  int top = functions[function].locals;  // the next free slot
#define BINARY(expression)                     \
  {                                            \
    double b = number_of(stack[--top]);        \
    double a = number_of(stack[top - 1]);      \
    stack[top - 1] = number_value(expression); \
    break;                                     \
  }
  for (;;) {
    switch ((Opcode)code[pc++]) {
      case kConstant:
        stack[top++] = number_value(constants[code[pc++]]);
        break;
      case kLoadLocal:
        stack[top++] = stack[base + code[pc++]];
        break;
      case kStoreLocal:
        stack[base + code[pc++]] = stack[--top];
        break;
      case kAdd:
        BINARY(a + b)
      case kSubtract:
        BINARY(a - b)
      case kMultiply:
        BINARY(a * b)
      case kDivide:
        BINARY(a / b)
      case kRemainder:
        BINARY(remainder_of(a, b))
      case kEqual:
        BINARY(a == b)
      case kUnequal:
        BINARY(a != b)
      case kLess:
        BINARY(a < b)
      case kLessEqual:
        BINARY(a <= b)
      case kGreater:
        BINARY(a > b)
      case kGreaterEqual:
        BINARY(a >= b)
      case kNegate:
        stack[top - 1] = number_value(-number_of(stack[top - 1]));
        break;
      case kNot:
        stack[top - 1] = number_value(!truth(stack[top - 1]));
        break;
      case kJump:
        pc = code[pc];
        break;
      case kJumpIfFalse:
        pc = truth(stack[--top]) ? pc + 1 : code[pc];
        break;
      case kJumpIfFalseKeep:
        pc = truth(stack[top - 1]) ? pc + 1 : code[pc];
        break;
      case kJumpIfTrueKeep:
        pc = truth(stack[top - 1]) ? code[pc] : pc + 1;
        break;
      case kDrop:
        --top;
        break;
      case kCall: {
        const Function* callee = &functions[code[pc]];
        bench_require(code[pc + 1] == callee->parameters, "wrong number of arguments");
        bench_require(depth < kMaxFrames && top + callee->locals + 64 < kStackSize,
                      "the stack is full");
        frames[depth++] = (Frame){pc + 2, base};
        base = top - callee->parameters;
        top = base + callee->locals;
        pc = callee->entry;
        break;
      }
      case kReturn: {
        Value result = stack[top - 1];
        if (depth == 0) return number_of(result);
        top = base;
        stack[top++] = result;
        base = frames[--depth].base;
        pc = frames[depth].return_to;
        break;
      }
      case kIndex:
        --top;
        stack[top - 1] = *element(stack[top - 1], stack[top]);
        break;
      case kStoreIndex:
        top -= 3;
        *element(stack[top], stack[top + 1]) = stack[top + 2];
        break;
      case kMakeArray:
        stack[top - 1] = make_array((int)number_of(stack[top - 1]));
        break;
      case kLength:
        bench_require(stack[top - 1].array != NULL, "an array is needed");
        stack[top - 1] = number_value(stack[top - 1].array->size);
        break;
      case kFloor:
        stack[top - 1] = number_value((double)(int64_t)number_of(stack[top - 1]));
        break;
      case kEmit: {
        double number = number_of(stack[top - 1]);
        bench_add_doubles(&number, 1);
        break;
      }
    }
  }
#undef BINARY
}

static const char program[] =
    "fn fib(n) { if n < 2 { return n; } return fib(n - 1) + fib(n - 2); }\n"
    "fn sieve(n) {\n"
    "  let composite = array(n); let count = 0; let i = 2;\n"
    "  while i < n {\n"
    "    if !composite[i] {\n"
    "      count = count + 1;\n"
    "      let j = i * i;\n"
    "      while j < n { composite[j] = 1; j = j + i; }\n"
    "    }\n"
    "    i = i + 1;\n"
    "  }\n"
    "  return count;\n"
    "}\n"
    "fn matrix(n, seed) {\n"
    "  let rows = array(n); let i = 0;\n"
    "  while i < n {\n"
    "    let row = array(n); let j = 0;\n"
    "    while j < n { row[j] = (i * seed + j * 7) % 13 - 6; j = j + 1; }\n"
    "    rows[i] = row;\n"
    "    i = i + 1;\n"
    "  }\n"
    "  return rows;\n"
    "}\n"
    "fn trace_of_product(a, b) {\n"
    "  let n = length(a); let trace = 0; let i = 0;\n"
    "  while i < n {\n"
    "    let j = 0;\n"
    "    while j < n {\n"
    "      let sum = 0; let k = 0;\n"
    "      while k < n { sum = sum + a[i][k] * b[k][j]; k = k + 1; }\n"
    "      if i == j { trace = trace + sum; }\n"
    "      j = j + 1;\n"
    "    }\n"
    "    i = i + 1;\n"
    "  }\n"
    "  return trace;\n"
    "}\n"
    "# Queens on a board, by the columns and diagonals that are taken.\n"
    "fn queens(n, row, columns, up, down) {\n"
    "  if row == n { return 1; }\n"
    "  let found = 0; let c = 0;\n"
    "  while c < n {\n"
    "    if !columns[c] && !up[row + c] && !down[row - c + n] {\n"
    "      columns[c] = 1; up[row + c] = 1; down[row - c + n] = 1;\n"
    "      found = found + queens(n, row + 1, columns, up, down);\n"
    "      columns[c] = 0; up[row + c] = 0; down[row - c + n] = 0;\n"
    "    }\n"
    "    c = c + 1;\n"
    "  }\n"
    "  return found;\n"
    "}\n"
    "fn heap_sort(values) {\n"
    "  let n = length(values); let start = floor(n / 2);\n"
    "  while start > 0 { start = start - 1; sift(values, start, n); }\n"
    "  let end = n - 1;\n"
    "  while end > 0 {\n"
    "    let t = values[0]; values[0] = values[end]; values[end] = t;\n"
    "    sift(values, 0, end);\n"
    "    end = end - 1;\n"
    "  }\n"
    "}\n"
    "fn sift(values, root, n) {\n"
    "  let value = values[root]; let going = 1;\n"
    "  while going && 2 * root + 1 < n {\n"
    "    let child = 2 * root + 1;\n"
    "    if child + 1 < n && values[child + 1] > values[child] { child = child + 1; }\n"
    "    if values[child] > value { values[root] = values[child]; root = child; }\n"
    "    else { going = 0; }\n"
    "  }\n"
    "  values[root] = value;\n"
    "}\n"
    "fn shuffled(n, seed) {\n"
    "  let values = array(n); let i = 0;\n"
    "  while i < n {\n"
    "    seed = (seed * 1103515 + 12345) % 2147483647;\n"
    "    values[i] = seed; i = i + 1;\n"
    "  }\n"
    "  return values;\n"
    "}\n"
    "fn collatz(limit) {\n"
    "  let longest = 0; let start = 1;\n"
    "  while start < limit {\n"
    "    let n = start; let steps = 0;\n"
    "    while n != 1 {\n"
    "      if n % 2 == 0 { n = n / 2; } else { n = 3 * n + 1; }\n"
    "      steps = steps + 1;\n"
    "    }\n"
    "    if steps > longest { longest = steps; }\n"
    "    start = start + 1;\n"
    "  }\n"
    "  return longest;\n"
    "}\n"
    "fn main(round) {\n"
    "  emit(fib(20) + round);\n"
    "  emit(sieve(30000));\n"
    "  emit(trace_of_product(matrix(40, round + 3), matrix(40, 5)));\n"
    "  emit(queens(7, 0, array(7), array(14), array(15)));\n"
    "  let values = shuffled(4000, round + 1);\n"
    "  heap_sort(values);\n"
    "  emit(values[0]); emit(values[2000]);\n"
    "  emit(collatz(1500));\n"
    "  return sieve(10 * 10) == 25 && queens(6, 0, array(6), array(12), array(13)) == 4;\n"
    "}\n";

int main(int argc, char** argv) {
  int rounds = bench_start(argc, argv, 60, 2);
  for (int r = 0; r < rounds; ++r) {
    compile(program);
    stack[0] = number_value(r);
    bench_require(run(find_function("main")) == 1, "the program's own check failed");
    free_arrays();
  }
  return bench_finish("interpreter");
}

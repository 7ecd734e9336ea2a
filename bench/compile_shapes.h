// Modules that are hard to compile in linear time: each shape has something `n` times.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace wafer::bench {

struct Shape {
  const char* name;
  std::vector<uint8_t> (*make)(size_t n);
};

namespace shapes {

using Code = std::vector<uint8_t>;

inline void leb(Code& c, uint64_t v) {
  for (; v >= 0x80; v >>= 7) c.push_back(uint8_t(v | 0x80));
  c.push_back(uint8_t(v));
}
inline void sleb(Code& c, int64_t v) {
  for (;; v >>= 7) {
    const auto byte = uint8_t(v & 0x7F);
    if (v >= -64 && v < 64) {
      c.push_back(byte);
      return;
    }
    c.push_back(byte | 0x80);
  }
}
inline void put(Code& c, std::initializer_list<int> bytes) {
  for (const int b : bytes) c.push_back(uint8_t(b));
}
inline void append(Code& c, const Code& more) { c.insert(c.end(), more.begin(), more.end()); }

enum : uint8_t { kI32 = 0x7F, kVoid = 0x40 };

inline void get(Code& c, size_t local) { c.push_back(0x20), leb(c, local); }
inline void set(Code& c, size_t local) { c.push_back(0x21), leb(c, local); }
inline void constant(Code& c, int64_t v) { c.push_back(0x41), sleb(c, v); }
inline void br_if(Code& c, size_t label) { c.push_back(0x0D), leb(c, label); }
inline void end(Code& c, size_t n = 1) { c.insert(c.end(), n, 0x0B); }

inline void section(Code& to, uint8_t id, const Code& content) {
  to.push_back(id);
  leb(to, content.size());
  append(to, content);
}

// A module of functions i32 -> i32; each body comes with its count of further i32 locals.
// It has a memory, a global, a tag, and a table of function 0. Types: 0 is that of all
// functions, 1 has no parameters and results, 2 gives eight i32.
inline Code module_of(const std::vector<std::pair<Code, size_t>>& bodies) {
  Code out{0, 'a', 's', 'm', 1, 0, 0, 0}, s;
  put(s, {3, 0x60, 1, kI32, 1, kI32, 0x60, 0, 0, 0x60, 0, 8});
  s.insert(s.end(), 8, kI32);
  section(out, 1, s);
  s.clear();
  leb(s, bodies.size());
  s.insert(s.end(), bodies.size(), 0);
  section(out, 3, s);
  section(out, 4, {1, 0x70, 0, 1});              // a table
  section(out, 5, {1, 0, 1});                    // a memory
  section(out, 13, {1, 0, 1});                   // a tag
  section(out, 6, {1, kI32, 1, 0x41, 0, 0x0B});  // a global
  section(out, 7, {1, 1, 'f', 0, 0});            // export "f"
  section(out, 9, {1, 0, 0x41, 0, 0x0B, 1, 0});  // the table's element
  s.clear();
  leb(s, bodies.size());
  for (const auto& [code, locals] : bodies) {
    Code body;
    if (locals)
      put(body, {1}), leb(body, locals), put(body, {kI32});
    else
      put(body, {0});
    append(body, code);
    leb(s, body.size());
    append(s, body);
  }
  section(out, 10, s);
  return out;
}

// One function, to which an end is added.
inline Code function_of(Code body, size_t locals = 0) {
  end(body);
  return module_of({{std::move(body), locals}});
}

inline Code straight(size_t n) {
  Code c;
  for (size_t i = 0; i < n; ++i)
    get(c, 0), constant(c, int64_t(i * 7 % 1000) - 500), put(c, {i % 3 ? 0x6A : 0x73}), set(c, 0);
  get(c, 0);
  return function_of(c);
}

inline Code nested_blocks(size_t n) {
  Code c;
  for (size_t i = 0; i < n; ++i) put(c, {0x02, kVoid});
  get(c, 0), put(c, {0x45}), br_if(c, 0);
  end(c, n);
  get(c, 0);
  return function_of(c);
}

// Every level may leave any other.
inline Code nested_branches(size_t n) {
  Code c;
  for (size_t i = 0; i < n; ++i) put(c, {0x02, kVoid}), get(c, 0), br_if(c, i * 31 % (i + 1));
  for (size_t i = 0; i < n; ++i) get(c, 0), constant(c, 1), put(c, {0x6A}), set(c, 0), end(c);
  get(c, 0);
  return function_of(c);
}

inline Code nested_ifs(size_t n) {
  Code c;
  for (size_t i = 0; i < n; ++i) get(c, 0), put(c, {0x04, kVoid});
  get(c, 0), constant(c, 3), put(c, {0x6A}), set(c, 0);
  end(c, n);
  get(c, 0);
  return function_of(c);
}

// What one of them asks is known after the one before.
inline Code ifs_of_one_value(size_t n) {
  Code c;
  for (size_t i = 0; i < n; ++i) {
    get(c, 0), put(c, {0x04, kVoid});
    get(c, 0), put(c, {0x10, 0}), set(c, 0), end(c);
  }
  get(c, 0);
  return function_of(c);
}

inline Code ifs_in_a_row(size_t n) {
  Code c;
  for (size_t i = 0; i < n; ++i) {
    get(c, 0), constant(c, int64_t(i)), put(c, {0x4A, 0x04, kVoid});
    get(c, 0), constant(c, 3), put(c, {0x6C}), set(c, 0), end(c);
  }
  get(c, 0);
  return function_of(c);
}

inline Code nested_loops(size_t n) {
  Code c;
  for (size_t i = 0; i < n; ++i) put(c, {0x03, kVoid});
  get(c, 0), constant(c, 1), put(c, {0x6B}), set(c, 0);
  for (size_t i = 0; i < n; ++i) get(c, 0), br_if(c, 0), end(c);
  get(c, 0);
  return function_of(c);
}

inline Code loops_in_a_row(size_t n) {
  Code c;
  for (size_t i = 0; i < n; ++i) {
    get(c, 0), set(c, 1);
    put(c, {0x03, kVoid});
    get(c, 1), constant(c, 1), put(c, {0x6B, 0x22, 1}), br_if(c, 0), end(c);
  }
  get(c, 0);
  return function_of(c, 1);
}

// br_table to n nested blocks.
inline Code switch_of_blocks(size_t n) {
  Code c;
  for (size_t i = 0; i <= n; ++i) put(c, {0x02, kVoid});
  get(c, 0), put(c, {0x0E}), leb(c, n);
  for (size_t i = 0; i <= n; ++i) leb(c, i);
  for (size_t i = 0; i <= n; ++i) {
    end(c), get(c, 0), constant(c, int64_t(i)), put(c, {0x6A}), set(c, 0);
  }
  get(c, 0);
  return function_of(c);
}

// The same in a loop, as interpreters are written.
inline Code interpreter(size_t n) {
  Code c;
  put(c, {0x03, kVoid});
  for (size_t i = 0; i <= n; ++i) put(c, {0x02, kVoid});
  get(c, 0), put(c, {0x0E}), leb(c, n);
  for (size_t i = 0; i <= n; ++i) leb(c, i);
  for (size_t i = 0; i < n; ++i) {
    end(c), get(c, 1 + i % 8), get(c, 1 + i % 7), put(c, {0x6A}), set(c, 1 + i % 5);
    get(c, 1 + i % 3), set(c, 0), put(c, {0x0C}), leb(c, n - i);
  }
  end(c), end(c);
  get(c, 1);
  return function_of(c, 8);
}

// In a loop, n ways that meet, and n selections by what came of them.
inline Code selects_of_what_meets(size_t n) {
  Code c;
  put(c, {0x03, kVoid});
  for (size_t i = 0; i <= n + 1; ++i) put(c, {0x02, kVoid});
  get(c, 0), put(c, {0x0E}), leb(c, n);
  for (size_t i = 0; i <= n; ++i) leb(c, i);
  for (size_t i = 0; i <= n; ++i) {
    end(c), get(c, 1), constant(c, int64_t(i)), put(c, {0x6A}), set(c, 1);
    put(c, {0x0C}), leb(c, n - i);
  }
  end(c);
  for (size_t i = 0; i < n; ++i) {
    get(c, 2), get(c, 0), constant(c, int64_t(i)), get(c, 1), constant(c, int64_t(i * 3));
    put(c, {0x48, 0x1B, 0x6A}), set(c, 2);
  }
  get(c, 0), constant(c, 1), put(c, {0x6B, 0x22, 0}), br_if(c, 0), end(c);
  get(c, 2);
  return function_of(c, 2);
}

// A table of n entries for four places.
inline Code wide_table(size_t n) {
  Code c;
  for (size_t i = 0; i < 4; ++i) put(c, {0x02, kVoid});
  get(c, 0), put(c, {0x0E}), leb(c, n);
  for (size_t i = 0; i <= n; ++i) leb(c, (i * 2654435761u >> 7) % 4);
  for (size_t i = 0; i < 4; ++i) end(c), get(c, 0), constant(c, 5), put(c, {0x6C}), set(c, 0);
  get(c, 0);
  return function_of(c);
}

inline Code unused_locals(size_t n) {
  Code c;
  get(c, n - 1);
  return function_of(c, n);
}

// Each local is set on one of two ways, and all are added up at the end.
inline Code locals_and_ifs(size_t n) {
  Code c;
  for (size_t i = 0; i < n; ++i) get(c, 0), put(c, {0x04, kVoid}), get(c, 0), set(c, 1 + i), end(c);
  for (size_t i = 0; i < n; ++i) get(c, 1 + i), get(c, 0), put(c, {0x6A}), set(c, 0);
  get(c, 0);
  return function_of(c, n);
}

// n locals that change between n ways to one place: n * n values could meet there.
inline Code locals_and_branches(size_t n) {
  Code c;
  put(c, {0x02, kVoid});
  for (size_t i = 0; i < n; ++i) get(c, 0), set(c, 1 + i), get(c, i), br_if(c, 0);
  end(c);
  for (size_t i = 0; i < n; ++i) get(c, 1 + i), get(c, 0), put(c, {0x6A}), set(c, 0);
  get(c, 0);
  return function_of(c, n);
}

// n locals that live through n loops.
inline Code locals_and_loops(size_t n) {
  Code c;
  for (size_t i = 0; i < n; ++i) {
    put(c, {0x03, kVoid});
    get(c, 1 + i), get(c, 0), put(c, {0x6A}), set(c, 1 + i), get(c, 1 + (i * 7 + 3) % n);
    br_if(c, 0), end(c);
  }
  for (size_t i = 0; i < n; ++i) get(c, 1 + i), get(c, 0), put(c, {0x6A}), set(c, 0);
  get(c, 0);
  return function_of(c, n);
}

// Branches that take eight values each.
inline Code branches_with_values(size_t n) {
  Code c;
  put(c, {0x02, 2});
  for (int i = 0; i < 8; ++i) get(c, 0);
  for (size_t i = 0; i < n; ++i)
    get(c, 0), constant(c, int64_t(i)), put(c, {0x6A}), get(c, 0), br_if(c, 0), put(c, {0x73});
  end(c);
  for (int i = 0; i < 7; ++i) put(c, {0x6A});
  return function_of(c);
}

inline Code returns(size_t n) {
  Code c;
  for (size_t i = 0; i < n; ++i) {
    get(c, 0), constant(c, int64_t(i)), put(c, {0x46, 0x04, kVoid});
    constant(c, int64_t(i * 3)), put(c, {0x0F}), end(c);
  }
  get(c, 0);
  return function_of(c);
}

inline Code selects(size_t n) {
  Code c;
  get(c, 0);
  for (size_t i = 0; i < n; ++i)
    constant(c, int64_t(i * 17)), get(c, 0), constant(c, int64_t(i)), put(c, {0x46, 0x1B});
  return function_of(c);
}

// n operands at once, and then a tree of additions that leans to one side.
inline Code deep_expression(size_t n) {
  Code c;
  for (size_t i = 0; i <= n; ++i) get(c, 0), constant(c, int64_t(i)), put(c, {0x6C});
  for (size_t i = 0; i < n; ++i) put(c, {i % 2 ? 0x6A : 0x73});
  return function_of(c);
}

inline Code memory_accesses(size_t n) {
  Code c;
  for (size_t i = 0; i < n; ++i) {
    get(c, 0), get(c, 0), put(c, {0x28, 2}), leb(c, i * 8);
    put(c, {0x36, 2}), leb(c, i * 12 % 40000);
  }
  get(c, 0);
  return function_of(c);
}

inline Code globals(size_t n) {
  Code c;
  for (size_t i = 0; i < n; ++i) {
    put(c, {0x23, 0}), get(c, 0), put(c, {0x6A, 0x24, 0});
    if (i % 4 == 3) get(c, 0), put(c, {0x28, 2, 0}), set(c, 0);
  }
  get(c, 0);
  return function_of(c);
}

inline Code divisions(size_t n) {
  Code c;
  for (size_t i = 0; i < n; ++i) constant(c, int64_t(i)), get(c, 0), put(c, {0x6D}), set(c, 0);
  get(c, 0);
  return function_of(c);
}

inline Code calls(size_t n) {
  Code c, callee;
  for (size_t i = 0; i < n; ++i) get(c, 0), put(c, {0x10, 1}), set(c, 0);
  get(c, 0), end(c);
  get(callee, 0), constant(callee, 3), put(callee, {0x6C}), end(callee);
  return module_of({{c, 0}, {callee, 0}});
}

inline Code calls_of_itself(size_t n) {
  Code c;
  for (size_t i = 0; i < n; ++i) get(c, 0), put(c, {0x10, 0}), set(c, 0);
  get(c, 0);
  return function_of(c);
}

inline Code indirect_calls(size_t n) {
  Code c;
  for (size_t i = 0; i < n; ++i) get(c, 0), get(c, 0), put(c, {0x11, 0, 0}), set(c, 0);
  get(c, 0);
  return function_of(c);
}

inline Code tries_in_a_row(size_t n) {
  Code c;
  for (size_t i = 0; i < n; ++i) {
    put(c, {0x02, kVoid, 0x1F, kVoid, 1, 0, 0, 0});  // block, try_table (catch 0 0)
    get(c, 0), put(c, {0x10, 0}), set(c, 0), end(c, 2);
  }
  get(c, 0);
  return function_of(c);
}

// Each with two calls, of a function which throws and of one which does not.
inline Code throws_in_a_row(size_t n) {
  Code thrower;
  get(thrower, 0), constant(thrower, 1), put(thrower, {0x71, 0x04, kVoid, 0x08, 0}), end(thrower);
  get(thrower, 0), end(thrower);
  Code c;
  for (size_t i = 0; i < n; ++i) {
    put(c, {0x02, kVoid, 0x1F, kVoid, 1, 0, 0, 0});
    get(c, 0), constant(c, 2), put(c, {0x6C, 0x10, 1}), constant(c, 5), put(c, {0x6A}), set(c, 0);
    get(c, 0), put(c, {0x10, 1}), constant(c, 3), put(c, {0x6C}), set(c, 0), end(c, 2);
  }
  get(c, 0), end(c);
  return module_of({{std::move(c), 0}, {std::move(thrower), 0}});
}

inline Code nested_tries(size_t n) {
  Code c;
  for (size_t i = 0; i < n; ++i) put(c, {0x02, kVoid, 0x1F, kVoid, 1, 0, 0, 0});
  get(c, 0), put(c, {0x10, 0}), set(c, 0);
  for (size_t i = 0; i < n; ++i) end(c), get(c, 0), put(c, {0x10, 0}), set(c, 0), end(c);
  get(c, 0);
  return function_of(c);
}

inline Code functions(size_t n) {
  std::vector<std::pair<Code, size_t>> bodies;
  for (size_t i = 0; i < n; ++i) {
    Code c;
    get(c, 0), constant(c, int64_t(i)), put(c, {0x6A}), end(c);
    bodies.emplace_back(std::move(c), 0);
  }
  return module_of(bodies);
}

// Each function calls the next.
inline Code chain_of_functions(size_t n) {
  std::vector<std::pair<Code, size_t>> bodies;
  for (size_t i = 0; i < n; ++i) {
    Code c;
    get(c, 0), constant(c, 1), put(c, {0x6A, 0x10}), leb(c, (i + 1) % n), end(c);
    bodies.emplace_back(std::move(c), 0);
  }
  return module_of(bodies);
}

}  // namespace shapes

inline constexpr Shape kShapes[] = {
    {"straight", shapes::straight},
    {"nested_blocks", shapes::nested_blocks},
    {"nested_branches", shapes::nested_branches},
    {"nested_ifs", shapes::nested_ifs},
    {"ifs_of_one_value", shapes::ifs_of_one_value},
    {"ifs_in_a_row", shapes::ifs_in_a_row},
    {"nested_loops", shapes::nested_loops},
    {"loops_in_a_row", shapes::loops_in_a_row},
    {"switch_of_blocks", shapes::switch_of_blocks},
    {"interpreter", shapes::interpreter},
    {"selects_of_what_meets", shapes::selects_of_what_meets},
    {"wide_table", shapes::wide_table},
    {"unused_locals", shapes::unused_locals},
    {"locals_and_ifs", shapes::locals_and_ifs},
    {"locals_and_branches", shapes::locals_and_branches},
    {"locals_and_loops", shapes::locals_and_loops},
    {"branches_with_values", shapes::branches_with_values},
    {"returns", shapes::returns},
    {"selects", shapes::selects},
    {"deep_expression", shapes::deep_expression},
    {"memory_accesses", shapes::memory_accesses},
    {"globals", shapes::globals},
    {"divisions", shapes::divisions},
    {"calls", shapes::calls},
    {"calls_of_itself", shapes::calls_of_itself},
    {"indirect_calls", shapes::indirect_calls},
    {"tries_in_a_row", shapes::tries_in_a_row},
    {"throws_in_a_row", shapes::throws_in_a_row},
    {"nested_tries", shapes::nested_tries},
    {"functions", shapes::functions},
    {"chain_of_functions", shapes::chain_of_functions},
};

}  // namespace wafer::bench

// Modules built byte by byte, with debug information too.
#pragma once

#include <initializer_list>
#include <string_view>
#include <utility>

#include "base/leb128.h"
#include "base/memory.h"

namespace wafer {

using Code = Vec<uint8_t>;

inline Code cat(std::initializer_list<Code> parts) {
  Code out;
  for (const Code& p : parts) out.insert(out.end(), p.begin(), p.end());
  return out;
}
inline Code number(uint64_t v) {
  Code out;
  write_uleb(out, v);
  return out;
}
inline Code snumber(int64_t v) {
  Code out;
  write_sleb(out, v);
  return out;
}
inline Code name(std::string_view s) {
  Code out = number(s.size());
  out.insert(out.end(), s.begin(), s.end());
  return out;
}
// vec(items)
inline Code list(std::initializer_list<Code> items) {
  return cat({number(items.size()), cat(items)});
}
inline Code section(uint8_t id, const Code& body) { return cat({{id}, number(body.size()), body}); }
inline Code module_bytes(std::initializer_list<Code> sections) {
  return cat({{0, 'a', 's', 'm', 1, 0, 0, 0}, cat(sections)});
}
inline Code i32_const(int32_t v) { return cat({{0x41}, snumber(v), {0x0B}}); }

inline Code fixed32(uint64_t v) {
  return {uint8_t(v), uint8_t(v >> 8), uint8_t(v >> 16), uint8_t(v >> 24)};
}
inline Code text(std::string_view t) {
  Code out(t.begin(), t.end());
  out.push_back(0);
  return out;
}

// Entries of a unit in the layout of `version`: a function "outer" at code addresses 2 to 8,
// in which "b" is inlined from 5 to 8 (called at line 30 column 5), and in that "_Z1av" from
// 5 to 7 (line 20 column 4). Another function with the same inside lies elsewhere.
inline std::pair<Code, Code> entries(int version) {
  const Code abbrev = {1,    0x11, 1,    0x10, 0x17, 0x11, 0x01, 0x12, 0x06, 0, 0,  // the unit
                       2,    0x2E, 0,    0x6E, 0x08, 0x03, 0x08, 0,    0,  // what is inlined
                       3,    0x2E, 0,    0x47, 0x13, 0,    0,              // by declaration
                       4,    0x2E, 1,    0x11, 0x01, 0x12, 0x06, 0x03, 0x08, 0, 0,  // functions
                       5,    0x1D, 1,    0x31, 0x13, 0x11, 0x01, 0x12, 0x06,        // inlined
                       0x58, 0x0B, 0x59, 0x0B, 0x57, 0x21, 5,    0,    0,           // column 5
                       6,    0x1D, 0,    0x31, 0x13, 0x11, 0x01, 0x12, 0x06,        //
                       0x58, 0x0B, 0x59, 0x0B, 0x57, 0x0B, 0,    0,                 //
                       7,    0x2E, 0,    0x03, 0x08, 0,    0,    0};
  const Code root = cat({{1}, fixed32(0), fixed32(2), fixed32(8)});
  const uint64_t begin = (version >= 5 ? 12 : 11) + root.size();
  const Code a = cat({{2}, text("_Z1av"), text("a")});
  const Code b = cat({{7}, text("b")});
  const uint64_t b_at = begin + a.size(), b_by = b_at + b.size();
  const auto function = [&](uint64_t from, std::string_view name) {
    return cat({{4},
                fixed32(from),
                fixed32(6),
                text(name),  //
                {5},
                fixed32(b_by),
                fixed32(from + 3),
                fixed32(3),
                {1, 30},  //
                {6},
                fixed32(begin),
                fixed32(from + 3),
                fixed32(2),
                {1, 20, 4},  //
                {0, 0}});
  };
  const Code by = cat({{3}, fixed32(b_at)});
  const Code unit = cat({{uint8_t(version), 0},
                         version >= 5 ? Code{1, 4} : Code{},
                         fixed32(0),
                         version >= 5 ? Code{} : Code{4},
                         root,
                         a,
                         b,
                         by,
                         function(100, "far"),
                         function(2, "outer"),
                         {0}});
  return {cat({fixed32(unit.size()), unit}), abbrev};
}

// A module of one function "f", which traps at code address 5, and a line table in the layout
// of `version`: code address 2 is line 10, address 4 line 0, address 5 line 12 column 3.
inline Code module_with_lines(int version, bool with_entries = false) {
  Code program = {0, 5, 2, 2, 0, 0, 0,  // set_address 2
                  3, 9, 1,              // advance_line 9; copy
                  2, 2, 3, 0x76, 1,     // advance_pc 2; advance_line -10; copy
                  3, 12,                // advance_line 12
                  5, 3,                 // set_column 3
                  32,                   // special: address + 1
                  2, 3,                 // advance_pc 3
                  0, 1, 1,              // end_sequence
                  // A dropped function, relocated to 0.
                  0, 5, 2, 0, 0, 0, 0, 1, 2, 100, 0, 1, 1};
  const Code lengths = {0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1};
  Code tables;
  if (version == 4)
    tables = cat({text("sub"), {0}, text("a.c"), {1, 0, 0}, text("b.c"), {0, 0, 0}, {0}});
  else  // path as string; path as string and directory as udata
    tables = cat({{1, 1, 0x08, 2},
                  text("/tmp"),
                  text("sub"),
                  {2, 1, 0x08, 2, 0x0F, 2},
                  text("x.c"),
                  {0},
                  text("a.c"),
                  {1}});
  const Code header_rest =
      cat({{1}, version >= 4 ? Code{1} : Code{}, {1, uint8_t(-5), 14, 13}, lengths, tables});
  const Code unit = cat({{uint8_t(version), 0},
                         version >= 5 ? Code{4, 0} : Code{},
                         fixed32(header_rest.size()),
                         header_rest,
                         program});
  const auto [info, abbrev] = entries(version);
  return module_bytes({
      section(1, list({Code{0x60, 0, 0}})),
      section(3, {1, 0}),
      section(7, list({cat({name("f"), {0, 0}})})),
      section(10, list({Code{9, 0, 1, 1, 0, 1, 1, 1, 1, 0x0B}})),
      section(0, cat({name(".debug_line"), fixed32(unit.size()), unit})),
      with_entries ? section(0, cat({name(".debug_info"), info})) : Code{},
      with_entries ? section(0, cat({name(".debug_abbrev"), abbrev})) : Code{},
  });
}

}  // namespace wafer

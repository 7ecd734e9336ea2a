// The texts that WIT is read from, and places in them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace wafer::wit {

// A stretch of one text, counted in bytes over all texts of a SourceMap.
struct Span {
  uint32_t start = 0;
  uint32_t end = 0;
};

// Line and column count from 1; columns are characters, not bytes.
struct Place {
  std::string_view path;
  uint32_t line = 0;
  uint32_t column = 0;
};

class SourceMap {
 public:
  // Keeps `text` under the name `path`, and gives where it starts. Fails if all texts
  // together would pass 2 GiB.
  Result<uint32_t> add(std::string path, std::string text);

  std::string_view text(Span span) const;
  // All of the text that starts at `start`, as add() gave it.
  std::string_view text_from(uint32_t start) const;
  Place place(uint32_t offset) const;
  // "path:line:column", of the start.
  std::string place_text(Span span) const;

  // An error whose message names file, line and column and shows the line:
  //   unknown type `foo`
  //     --> types.wit:5:14
  //     |
  //   5 |   type t = foo;
  //     |            ^^^
  Error error(ErrorKind kind, Span span, std::string_view message) const;

 private:
  struct File {
    std::string path;
    std::string text;
    uint32_t start = 0;
  };
  const File& file_of(uint32_t offset) const;

  std::vector<File> files_;
  uint32_t end_ = 0;
};

}  // namespace wafer::wit

#include "wit/source.h"

#include <algorithm>

namespace wafer::wit {

namespace {

// Lines longer than this are not shown in errors.
constexpr size_t kShownLine = 200;

bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

size_t characters(std::string_view s) {
  return static_cast<size_t>(
      std::count_if(s.begin(), s.end(), [](char c) { return !is_continuation(c); }));
}

}  // namespace

Result<uint32_t> SourceMap::add(std::string path, std::string text) {
  // One place more than there are bytes: errors at the end of a file need one as well.
  if (text.size() >= (uint64_t{1} << 31) - end_)
    return Error(ErrorKind::Exhaustion, path + ": too much text");
  const uint32_t start = end_;
  end_ += static_cast<uint32_t>(text.size()) + 1;
  files_.push_back({std::move(path), std::move(text), start});
  return start;
}

const SourceMap::File& SourceMap::file_of(uint32_t offset) const {
  auto it = std::upper_bound(files_.begin(), files_.end(), offset,
                             [](uint32_t at, const File& f) { return at < f.start; });
  return it == files_.begin() ? files_.front() : *(it - 1);
}

std::string_view SourceMap::text(Span span) const {
  const File& f = file_of(span.start);
  return std::string_view(f.text).substr(span.start - f.start, span.end - span.start);
}

std::string_view SourceMap::text_from(uint32_t start) const { return file_of(start).text; }

Place SourceMap::place(uint32_t offset) const {
  const File& f = file_of(offset);
  const std::string_view before =
      std::string_view(f.text).substr(0, std::min<size_t>(offset - f.start, f.text.size()));
  Place p;
  p.path = f.path;
  p.line = static_cast<uint32_t>(std::count(before.begin(), before.end(), '\n')) + 1;
  const size_t newline = before.rfind('\n');
  p.column = static_cast<uint32_t>(
                 characters(newline == before.npos ? before : before.substr(newline + 1))) +
             1;
  return p;
}

std::string SourceMap::place_text(Span span) const {
  const Place p = place(span.start);
  return std::string(p.path) + ":" + std::to_string(p.line) + ":" + std::to_string(p.column);
}

Error SourceMap::error(ErrorKind kind, Span span, std::string_view message) const {
  const File& f = file_of(span.start);
  const size_t at = std::min<size_t>(span.start - f.start, f.text.size());
  size_t begin = at == 0 ? f.text.npos : f.text.rfind('\n', at - 1);
  begin = begin == f.text.npos ? 0 : begin + 1;
  const size_t end = std::min(f.text.find('\n', at), f.text.size());
  const std::string_view line = std::string_view(f.text).substr(begin, end - begin);

  std::string out(message);
  out += "\n  --> " + place_text(span);
  if (line.size() <= kShownLine) {
    const std::string number = std::to_string(place(span.start).line);
    const std::string margin(number.size() + 2, ' ');
    out += "\n" + margin + "|\n " + number + " | ";
    for (char c : line) out += c == '\t' || c == '\r' ? ' ' : c;
    out += "\n" + margin + "| " + std::string(characters(line.substr(0, at - begin)), ' ');
    const size_t length = std::min<size_t>(span.end - span.start, line.size() - (at - begin));
    out += std::string(std::max<size_t>(characters(line.substr(at - begin, length)), 1), '^');
  }
  return {kind, out, at};
}

}  // namespace wafer::wit

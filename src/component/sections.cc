#include "component/sections.h"

#include "base/leb128.h"
#include "component/component.h"

namespace wafer::component {

Result<std::vector<Section>> sections(Bytes bytes) {
  const auto malformed = [&](const uint8_t* at, std::string_view what) {
    return Error(ErrorKind::Malformed, what, static_cast<uint64_t>(at - bytes.data()));
  };
  const uint8_t* p = bytes.data();
  const uint8_t* end = p + bytes.size();
  if (!is_binary(bytes)) return malformed(p, "magic header not detected");
  p += 8;
  std::vector<Section> out;
  while (p != end) {
    Section s;
    const uint8_t* start = p;
    s.id = *p++;
    uint64_t size = 0;
    if (read_uleb<32>(p, end, size) != LebStatus::Ok || size > static_cast<uint64_t>(end - p))
      return malformed(start, "unexpected end");
    const uint8_t* stop = p + size;
    s.whole = {start, stop};
    if (s.id == 0) {
      uint64_t length = 0;
      if (read_uleb<32>(p, stop, length) != LebStatus::Ok ||
          length > static_cast<uint64_t>(stop - p))
        return malformed(start, "unexpected end");
      s.name = {reinterpret_cast<const char*>(p), static_cast<size_t>(length)};
      p += length;
    }
    s.contents = {p, stop};
    p = stop;
    out.push_back(s);
  }
  return out;
}

std::optional<Bytes> custom_section(Bytes bytes, std::string_view name) {
  auto all = sections(bytes);
  if (!all.ok()) return std::nullopt;
  for (const Section& s : *all)
    if (s.id == 0 && s.name == name) return s.contents;
  return std::nullopt;
}

}  // namespace wafer::component

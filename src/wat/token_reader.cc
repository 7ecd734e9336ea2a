#include "wat/token_reader.h"

namespace wafer::wat {

std::optional<uint32_t> TokenReader::outer_index(const IndexSpace&, std::string_view) {
  return std::nullopt;
}

Result<uint32_t> TokenReader::define(IndexSpace& space) {
  const uint32_t index = space.count++;
  WAFER_TRY(binding(space.what, index, space.names, &space.debug));
  return index;
}

Result<void> TokenReader::binding(std::string_view what, uint32_t index, IdMap& ids,
                                  DebugNames* names) {
  String name;
  bool named = false;
  if (peek().kind == TokenKind::Id) {
    WAFER_LET(id, id_value(peek()));
    if (!ids.try_emplace(id, index).second) {
      String m("duplicate ");
      m += what;
      return fail(m);
    }
    name = std::move(id);
    named = true;
    ++p_;
  }
  if (at_annotation("name")) {
    ++p_;
    WAFER_LET(n, annotation_name(what));
    name = std::move(n);
    named = true;
  }
  if (named && names) names->emplace_back(index, std::move(name));
  return {};
}

Result<String> TokenReader::annotation_name(std::string_view what) {
  if (peek().kind != TokenKind::String) return fail("@name annotation: unexpected token");
  WAFER_LET(n, name_string());
  if (peek().kind != TokenKind::Close) return fail("@name annotation: unexpected token");
  ++p_;
  if (at_annotation("name")) {
    String m("@name annotation: multiple ");
    m += what;
    return fail(m);
  }
  return std::move(n);
}

Result<uint32_t> TokenReader::index(const IndexSpace& space) {
  if (peek().kind == TokenKind::Id) {
    WAFER_LET(id, id_value(peek()));
    const auto it = space.names.find(id);
    if (it == space.names.end()) {
      if (const auto outer = outer_index(space, id)) {
        ++p_;
        return *outer;
      }
      String m("unknown ");
      m += space.what;
      m += " $";
      m += id;
      return fail(m);
    }
    ++p_;
    return it->second;
  }
  return u32();
}

}  // namespace wafer::wat

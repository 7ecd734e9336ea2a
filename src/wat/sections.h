// Names of sections in annotations, and annotations of our own that keep what the text format
// does not say of a binary.
#pragma once

#include <cstdint>
#include <iterator>
#include <string_view>

namespace wafer::wat {

// (@wafer.section KIND*): sections that are there although empty or, of the data count, not needed.
inline constexpr std::string_view kSectionAnnotation = "wafer.section";
// (@wafer.locals (COUNT TYPE)*): groups of locals, where they are not the fewest possible.
inline constexpr std::string_view kLocalsAnnotation = "wafer.locals";

// In components: (@wafer.section KIND*): an empty section of this kind; without kinds: what follows
// does not share the section of what is in front.
// (@wafer.name CODE): the code with which a name of an import or export is written, if another
// would do.
inline constexpr std::string_view kNameAnnotation = "wafer.name";
// (@wafer.unnamed): the binary has no name section, though the text has names.
inline constexpr std::string_view kUnnamedAnnotation = "wafer.unnamed";

struct SectionName {
  uint8_t id;
  std::string_view keyword;
};
// In binary order.
inline constexpr SectionName kSections[] = {
    {1, "type"},       {2, "import"}, {3, "func"},   {4, "table"}, {5, "memory"},
    {13, "tag"},       {6, "global"}, {7, "export"}, {8, "start"}, {9, "elem"},
    {12, "datacount"}, {10, "code"},  {11, "data"}};

// Position in binary order, from 1, or 0.
constexpr unsigned section_order(std::string_view keyword) {
  for (unsigned i = 0; i < std::size(kSections); ++i)
    if (kSections[i].keyword == keyword) return i + 1;
  return 0;
}
constexpr unsigned section_order(uint8_t id) {
  for (unsigned i = 0; i < std::size(kSections); ++i)
    if (kSections[i].id == id) return i + 1;
  return 0;
}

}  // namespace wafer::wat

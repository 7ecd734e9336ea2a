// Names of imports and exports (Explainer.md, "Import and Export Definitions").
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace wafer::component {

// Whether `name` is a label: words of lower case or acronyms of upper case, joined by single
// hyphens, the first beginning with a letter. `why` says what is wrong if it is not.
bool is_label(std::string_view name, std::string* why = nullptr);

// What two names must differ in to stand in one scope: without hyphens, case and annotations
// ("Name Uniqueness").
std::string unique_form(std::string_view name);

// A set of names that have to differ strongly.
class UniqueNames {
 public:
  // Gives the name that `name` collides with, or null after adding it.
  const std::string* add(std::string_view name);

 private:
  std::unordered_map<std::string, std::string> names_;
};

enum class NameKind : uint8_t { Label, Constructor, Method, Static, Interface };
enum class NameAccessor : uint8_t { None, Get, Set };

// An externname taken apart. Views point into the name.
struct ExternName {
  NameKind kind = NameKind::Label;
  NameAccessor accessor = NameAccessor::None;
  std::string_view resource;  // of Constructor, Method and Static
  std::string_view label;     // of the rest; of Interface: the last projection
  std::string_view package;   // of Interface: "ns:pkg"
  std::string_view version;   // of Interface, without "@"; may be empty
};

struct NameOptions {
  bool nested = false;     // several namespaces and projections
  bool canonical = false;  // versions such as "0.2"
  bool accessors = false;  // [get] and [set]
};

// Parses `name`; `why` says what is wrong if it is none.
std::optional<ExternName> parse_extern_name(std::string_view name, const NameOptions& options,
                                            std::string* why = nullptr);

// What names of interfaces of compatible versions have in common: "ns:package/interface@0.2".
std::string_view common_name(std::string_view name);

// Those of `there` that are the same in other versions: " (there is `a:b/c@2.0.0`)"; empty: none.
std::string other_versions(std::string_view name, const std::vector<std::string_view>& there);

// Whether an import named `wanted` is met by what is named `offered`: the same name, or an
// interface of the same package and a compatible version.
bool names_match(std::string_view wanted, std::string_view offered);

}  // namespace wafer::component

// Semantic versions (semver.org, 2.0.0), as names of packages and interfaces carry them.
#pragma once

#include <compare>
#include <string_view>

namespace wafer {

// Whether `text` is a semantic version. Its numbers have to fit in 64 bits.
bool is_semver(std::string_view text);

// Precedence of two semantic versions. Build metadata has none.
std::strong_ordering compare_semver(std::string_view a, std::string_view b);

// The part of a version that has to be equal for one to serve in place of the other: "1" of
// 1.2.3, "0.2" of 0.2.6, "0.0.1" of 0.0.1, all of a pre-release (Explainer.md, "Canonical
// Interface Name").
std::string_view compatible_version(std::string_view version);

}  // namespace wafer

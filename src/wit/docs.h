// Comments and feature gates of a package, which its binary form has in a custom section of JSON.
#pragma once

#include "base/span.h"
#include "wit/resolve.h"

namespace wafer::wit {

inline constexpr std::string_view kDocsSection = "package-docs";

// The section's contents; empty if there is nothing to tell.
Vec<uint8_t> encode_docs(const Resolve& resolve, PackageId package);

// Adds what the section tells to the package. Malformed if it is no such section; what it says of
// items that are not there is left out.
Result<void> add_docs(Resolve& resolve, PackageId package, Bytes section);

}  // namespace wafer::wit

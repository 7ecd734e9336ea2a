// Resolved packages as WIT text.
#pragma once

#include <string>

#include "wit/wit.h"

namespace wafer::wit {

struct PrintOptions {
  bool docs = true;
  // Also the packages that the main one depends on, as nested packages, so that the text stands
  // by itself.
  bool dependencies = false;
};

// Text that resolves to the same package. Worlds name all that they need, what `include` and
// `use` brought in too; items that feature gates left out are gone.
std::string print(const Resolve& resolve, PackageId package, const PrintOptions& options = {});

// A type as it is written where it is used: its name, or "list<u8>".
std::string type_text(const Resolve& resolve, Type type);

}  // namespace wafer::wit

// WIT parser and resolver: any text gives packages or an error, and what is printed of them
// resolves again.
#include <cstdlib>
#include <string>
#include <vector>

#include "wit/print.h"
#include "wit/resolve.h"

std::vector<std::string> make_seeds() {
  return {
      R"(/// Docs.
package a:b@1.2.0;
use c:d/e@0.1.0 as f;
@since(version = 1.0.0)
interface i {
  use f.{t as u};
  record r { a: u32, %list: list<u8, 4>, }
  variant v { x, y(option<result<_, string>>) }
  flags g { p, q }
  resource s {
    constructor(a: own<s>) -> result<s>;
    m: async func(b: borrow<s>) -> tuple<u, char>;
    n: static get() -> map<string, stream<r>>;
  }
  @unstable(feature = active)
  f: func(x: v, y: future) -> error-context;
}
package c:d@0.1.0 { interface e { type t = f64; } }
)",
      R"(package a:b;
interface i { type t = u8; resource r; }
world w {
  use i.{t, r as z};
  @external-id("k\u{41}")
  import p: i;
  import q: interface { use i.{r}; g: func() -> r; }
  export h: func(a: t) -> list<z>;
  enum e { m, n }
}
world x { include w with { h as k, p as o } export i; }
)"};
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace wit = wafer::wit;
  const std::string text(reinterpret_cast<const char*>(data), size);
  const wit::ResolveOptions options{{}, true};
  auto first = wit::resolve({{{"seed.wit", text}}}, options);
  if (!first.ok()) return 0;
  const wit::PrintOptions print{true, true};
  const std::string once = wit::print(first->resolve, first->main, print);
  auto second = wit::resolve({{{"printed.wit", once}}}, options);
  if (!second.ok() || wit::print(second->resolve, second->main, print) != once) std::abort();
  return 0;
}

// Speed of the baseline compiler: compiles every function of a module on one core and
// gives megabytes of WebAssembly bodies a second, validation (which it is driven by)
// included and, for comparison, alone.
//
//   wafer_baseline_bench [--runs N] module.wasm

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "compiler/baseline/compiler.h"
#include "wasm/decoder.h"
#include "wasm/validator.h"

using namespace wafer;

namespace {

bool read_file(const char* path, Vec<uint8_t>& out) {
  std::FILE* file = std::fopen(path, "rb");
  if (!file) return false;
  uint8_t buffer[1 << 16];
  size_t n;
  while ((n = std::fread(buffer, 1, sizeof buffer, file)) > 0)
    out.insert(out.end(), buffer, buffer + n);
  std::fclose(file);
  return true;
}

template <class F>
double seconds(F run) {
  const auto start = std::chrono::steady_clock::now();
  run();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

int main(int argc, char** argv) {
  int runs = 10;
  const char* path = nullptr;
  for (int i = 1; i < argc; ++i) {
    if (!std::strcmp(argv[i], "--runs") && i + 1 < argc) {
      runs = int(std::strtol(argv[++i], nullptr, 10));
    } else {
      path = argv[i];
    }
  }
  Vec<uint8_t> bytes;
  if (!path || !read_file(path, bytes)) {
    std::fprintf(stderr, "usage: wafer_baseline_bench [--runs N] module.wasm\n");
    return 1;
  }
  if (!compiler::BaselineCompiler::supported()) {
    std::fprintf(stderr, "this processor is too old\n");
    return 1;
  }
  auto module = wasm::decode_module(bytes, {});
  if (!module) {
    std::fprintf(stderr, "%s\n", module.error().message.c_str());
    return 1;
  }
  const wasm::Module& m = **module;
  size_t body_bytes = 0;
  for (const auto& f : m.functions) body_bytes += f.body.size();
  double best = 1e9, best_validation = 1e9;
  size_t code_bytes = 0, unsupported = 0;
  for (int run = 0; run < runs; ++run) {
    code_bytes = unsupported = 0;
    best = std::min(best, seconds([&] {
                      compiler::BaselineCompiler compiler(m, {});
                      for (uint32_t f = m.imported_functions; f < m.functions.size(); ++f) {
                        auto code = compiler.compile(f);
                        if (code) {
                          code_bytes += code->code.size();
                        } else {
                          ++unsupported;
                        }
                      }
                    }));
    best_validation =
        std::min(best_validation, seconds([&] {
                   wasm::FuncValidator validator(m);
                   for (uint32_t f = m.imported_functions; f < m.functions.size(); ++f)
                     if (validator.begin(f)) (void)validator.finish();
                 }));
  }
  std::printf("%zu functions, %.2f MB of bodies, %.2f bytes of code a byte, %zu unsupported\n",
              m.functions.size() - m.imported_functions, double(body_bytes) / 1e6,
              double(code_bytes) / double(body_bytes), unsupported);
  std::printf("baseline:   %7.1f MB/s\n", double(body_bytes) / best / 1e6);
  std::printf("validation: %7.1f MB/s\n", double(body_bytes) / best_validation / 1e6);
  return 0;
}

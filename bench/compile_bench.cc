// Compile time: CPU seconds (user) and memory that each tier takes for a module.
//
//   wafer_compile_bench [OPTIONS] module.wasm   a module as it is
//   wafer_compile_bench [OPTIONS] --shapes      made modules, each with one function or
//                                               construction that grows by powers of ten
//
//   --tier REGEX     of validate, interp, baseline, optimizing, llvm, xip: code that runs in place
//                    on a Cortex-M4 (all)
//   --opt LEVEL      of llvm and xip, 0 to 3 (2)
//   --every N        only every Nth 64 KiB of functions (1): a sample of a large module
//   --shape REGEX    only such shapes
//   --from, --to N   sizes of shapes (1000 to 1000000)
//   --limit SECONDS  ends a run that takes longer, and larger sizes of its shape (60)
//
// Each run is a process of its own with one thread. For shapes the last column is how much
// longer the next size takes: 10 is linear.
#include <malloc.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <regex>
#include <string>
#include <vector>

#include "compile_shapes.h"
#include "compiler/baseline/compiler.h"
#if WAFER_HAS_OPTIMIZING
#include "compiler/optimizing/compiler.h"
#endif
#include "compiler/llvm_loader.h"
#include "interp/interp.h"
#include "runtime/linker.h"
#include "wasm/decoder.h"

using namespace wafer;

namespace {

struct Options {
  std::string tiers = ".", shapes = ".", file;
  unsigned opt_level = 2, every = 1, limit = 60;
  size_t from = 1'000, to = 1'000'000;
  bool made = false;
};

[[noreturn]] void fail(const std::string& message) {
  std::fprintf(stderr, "wafer_compile_bench: %s\n", message.c_str());
  _exit(1);
}

template <class T>
T must(Result<T> result) {
  if (!result) fail(std::string(result.error().message));
  return std::move(*result);
}

std::vector<uint8_t> read_file(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (!file) fail("cannot read " + path);
  std::vector<uint8_t> out;
  uint8_t buffer[1 << 16];
  size_t n;
  while ((n = std::fread(buffer, 1, sizeof buffer, file)) > 0)
    out.insert(out.end(), buffer, buffer + n);
  std::fclose(file);
  return out;
}

// Own functions of `module`, or a sample of them.
std::vector<uint32_t> functions_of(const wasm::Module& module, unsigned every) {
  constexpr size_t kStretch = 64u << 10;
  std::vector<uint32_t> out;
  size_t bytes = 0;
  for (uint32_t f = module.imported_functions; f < module.functions.size(); ++f) {
    if (bytes / kStretch % every == 0) out.push_back(f);
    bytes += module.functions[f].body.size();
  }
  return out;
}

// What a tier does; gives the bytes of code, where there are any.
size_t compile(const std::string& tier, Bytes bytes, const Options& options) {
  const auto engine = runtime::Engine::create({}, interp::tier());
  const std::shared_ptr<wasm::Module> module = must(engine->load_module(bytes, false));
  const std::vector<uint32_t> functions = functions_of(*module, options.every);
  size_t code = 0;
  if (tier == "interp") {
    runtime::Store store(engine);
    runtime::Linker linker(engine);
    linker.trap_on_unknown_imports(true);
    runtime::Instance* instance = must(linker.instantiate(store, module));
    if (auto done = interp::translate_all(*instance); !done)
      fail(std::string(done.error().message));
  } else if (tier == "baseline") {
    compiler::BaselineCompiler compiler(*module, {});
    for (const uint32_t f : functions)
      if (auto made = compiler.compile(f)) code += made->code.size();
  } else if (tier == "optimizing") {
#if WAFER_HAS_OPTIMIZING
    // With what it leaves to the other, as its tier does.
    compiler::OptimizingCompiler compiler(*module, {});
    compiler::BaselineCompiler baseline(*module, {});
    for (const uint32_t f : functions) {
      auto made = compiler.compile(f);
      if (!made) made = baseline.compile(f);
      if (made) code += made->code.size();
    }
#endif
  } else if (tier == "llvm" || tier == "xip") {
    compiler::Backend* backend = must(compiler::load_llvm_backend());
    compiler::CompileOptions compile;
    compile.opt_level = options.opt_level;
    compile.threads = 1;
    if (tier == "xip") {
      compile.target = "thumbv7em";
      return must(backend->compile_in_place(*module, compile)).size();
    }
    // A sample has no code for its calls of other functions.
    compile.through_entries = options.every > 1;
    code = must(backend->compile(*module, compile, functions)).text.size();
  }
  return code;
}

constexpr const char* kTiers[] = {"validate", "interp", "baseline", "optimizing", "llvm", "xip"};

struct Measured {
  double seconds = 0;
  double megabytes = 0;  // at most, of the process
  size_t code = 0;
  const char* failure = "";
};

Measured measure(const std::string& tier, Bytes bytes, const Options& options) {
  int ends[2];
  if (pipe(ends) != 0) fail("no pipe");
  const pid_t child = fork();
  if (child == 0) {
    const rlimit limit{options.limit, options.limit + 1};
    setrlimit(RLIMIT_CPU, &limit);
    const size_t code = compile(tier, bytes, options);
    _exit(write(ends[1], &code, sizeof code) == sizeof code ? 0 : 1);
  }
  close(ends[1]);
  Measured m;
  if (read(ends[0], &m.code, sizeof m.code) != sizeof m.code) m.failure = "  not finished";
  close(ends[0]);
  int status;
  rusage usage;
  wait4(child, &status, 0, &usage);
  if (WIFEXITED(status) && WEXITSTATUS(status)) m.failure = "  refused";
  m.seconds = double(usage.ru_utime.tv_sec) + double(usage.ru_utime.tv_usec) * 1e-6;
  m.megabytes = double(usage.ru_maxrss) / 1024;
  return m;
}

void measure_module(const Options& options) {
  const std::vector<uint8_t> bytes = read_file(options.file);
  for (const char* tier : kTiers) {
    if (!std::regex_search(tier, std::regex(options.tiers))) continue;
    const Measured m = measure(tier, bytes, options);
    std::printf("%-10s %9.3f s %8.0f MB %10zu bytes of code%s\n", tier, m.seconds, m.megabytes,
                m.code, m.failure);
    std::fflush(stdout);
  }
}

void measure_shapes(const Options& options) {
  for (const char* tier : kTiers) {
    if (!std::regex_search(tier, std::regex(options.tiers))) continue;
    for (const bench::Shape& shape : bench::kShapes) {
      if (!std::regex_search(shape.name, std::regex(options.shapes))) continue;
      double before = 0;
      for (size_t n = options.from; n <= options.to; n *= 10) {
        malloc_trim(0);  // what this process has used counts for the next
        const std::vector<uint8_t> bytes = shape.make(n);
        const Measured m = measure(tier, bytes, options);
        std::printf("%-9s %-18s %8zu %9zu bytes %9.3f s %6.0f MB", tier, shape.name, n,
                    bytes.size(), m.seconds, m.megabytes);
        if (before > 0.02) std::printf(" %6.1f", m.seconds / before);
        std::puts(m.failure);
        std::fflush(stdout);
        if (*m.failure) break;
        before = m.seconds;
      }
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const auto value = [&]() -> std::string {
      if (i + 1 == argc) fail(argument + " takes a value");
      return argv[++i];
    };
    if (argument == "--tier") {
      options.tiers = value();
    } else if (argument == "--opt") {
      options.opt_level = unsigned(std::stoul(value()));
    } else if (argument == "--every") {
      options.every = std::max(1u, unsigned(std::stoul(value())));
    } else if (argument == "--shapes") {
      options.made = true;
    } else if (argument == "--shape") {
      options.made = true;
      options.shapes = value();
    } else if (argument == "--from") {
      options.from = std::stoul(value());
    } else if (argument == "--to") {
      options.to = std::stoul(value());
    } else if (argument == "--limit") {
      options.limit = unsigned(std::stoul(value()));
    } else {
      options.file = argument;
    }
  }
  if (options.made == !options.file.empty())
    fail("give a module or --shapes; options are described in bench/compile_bench.cc");
  if (options.made)
    measure_shapes(options);
  else
    measure_module(options);
  return 0;
}

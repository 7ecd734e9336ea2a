// Speed of decoding and validating: of a module given by path, or of one that is
// generated here, always the same, with an instruction mix like compiled C.
//
//   wafer_decode_bench [--size MB] [--runs N] [--emit FILE] [module.wasm]

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "wasm/decoder.h"
#include "wasm/validator.h"

using namespace wafer;
using namespace wafer::wasm;

namespace {

class Generator {
 public:
  Vec<uint8_t> module(size_t size) {
    out_ = {0, 'a', 's', 'm', 1, 0, 0, 0};
    section(1, [&] {  // types
      write_uleb(out_, kTypes);
      for (unsigned t = 0; t < kTypes; ++t) {
        out_.push_back(0x60);
        const unsigned params = t % 5;
        write_uleb(out_, params);
        for (unsigned i = 0; i < params; ++i) out_.push_back(param(t, i));
        const bool result = t >= 5;
        write_uleb(out_, result);
        if (result) out_.push_back(kCodes[t % 4]);
      }
    });
    // Bodies first: their number decides the function section.
    Vec<uint8_t> bodies;
    while (bodies.size() < size) {
      Vec<uint8_t> body = function(unsigned(functions_ % kTypes));
      write_uleb(bodies, body.size());
      bodies.insert(bodies.end(), body.begin(), body.end());
      ++functions_;
    }
    section(3, [&] {
      write_uleb(out_, functions_);
      for (unsigned f = 0; f < functions_; ++f) write_uleb(out_, f % kTypes);
    });
    section(5, [&] { out_.insert(out_.end(), {1, 0, 16}); });
    section(6, [&] {
      write_uleb(out_, 4);
      for (unsigned i = 0; i < 4; ++i) {
        out_.insert(out_.end(), {kCodes[i], 1});
        constant(i);
        out_.push_back(0x0B);
      }
    });
    section(10, [&] {
      write_uleb(out_, functions_);
      out_.insert(out_.end(), bodies.begin(), bodies.end());
    });
    return std::move(out_);
  }

 private:
  static constexpr unsigned kTypes = 40;
  static constexpr uint8_t kCodes[] = {0x7F, 0x7E, 0x7D, 0x7C};  // i32 i64 f32 f64
  static constexpr unsigned kLocals = 24;

  static uint8_t param(unsigned type, unsigned i) { return kCodes[(type * 7 + i * 3) % 4]; }

  uint32_t random(uint32_t below) {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return uint32_t(state_ >> 33) % below;
  }

  template <class F>
  void section(uint8_t id, F fill) {
    Vec<uint8_t> outer = std::move(out_);
    out_ = {};
    fill();
    outer.push_back(id);
    write_uleb(outer, out_.size());
    outer.insert(outer.end(), out_.begin(), out_.end());
    out_ = std::move(outer);
  }

  Vec<uint8_t> function(unsigned type) {
    Vec<uint8_t> saved = std::move(out_);
    out_ = {};
    params_ = type % 5;
    type_ = type;
    // Locals: six of each type, after the parameters.
    write_uleb(out_, 4);
    for (uint8_t code : kCodes) {
      write_uleb(out_, kLocals / 4);
      out_.push_back(code);
    }
    depth_ = 0;
    const size_t target = 80 + random(1600);
    while (out_.size() < target) statement();
    if (type >= 5) expression(type % 4, 3);
    out_.push_back(0x0B);
    std::swap(saved, out_);
    return saved;
  }

  void local(unsigned type) { write_uleb(out_, params_ + type * (kLocals / 4) + random(6)); }

  void constant(unsigned type) {
    switch (type) {
      case 0:
        out_.push_back(0x41);
        write_sleb(out_, int32_t(random(4) ? random(128) : random(1u << 30)));
        break;
      case 1:
        out_.push_back(0x42);
        write_sleb(out_, int64_t(random(2) ? random(64) : uint64_t(random(1u << 30)) << 20));
        break;
      default:
        out_.push_back(type == 2 ? 0x43 : 0x44);
        for (unsigned i = 0; i < (type == 2 ? 4u : 8u); ++i) out_.push_back(uint8_t(random(256)));
    }
  }

  void mem_arg(unsigned align) {
    out_.push_back(uint8_t(align));
    write_uleb(out_, random(3) ? random(100) : random(100000));
  }

  void expression(unsigned type, unsigned depth) {
    const unsigned kind = random(100);
    if (depth == 0 || kind < 42) {
      if (random(4)) {
        out_.push_back(0x20);
        local(type);
      } else {
        constant(type);
      }
    } else if (kind < 60) {  // load
      expression(0, depth - 1);
      static constexpr uint8_t kLoads[] = {0x28, 0x29, 0x2A, 0x2B};
      static constexpr uint8_t kAligns[] = {2, 3, 2, 3};
      if (type == 0 && random(3) == 0) {
        out_.push_back(0x2D);
        mem_arg(0);
      } else {
        out_.push_back(kLoads[type]);
        mem_arg(kAligns[type]);
      }
    } else if (kind < 88) {  // binary
      expression(type, depth - 1);
      expression(type, depth - 1);
      static constexpr uint8_t kFirst[] = {0x6A, 0x7C, 0x92, 0xA0};
      static constexpr uint8_t kCount[] = {13, 13, 4, 4};
      out_.push_back(uint8_t(kFirst[type] + random(kCount[type])));
    } else if (kind < 92) {  // conversion
      static constexpr uint8_t kConvert[] = {0xA7, 0xAC, 0xB6, 0xBB};
      static constexpr uint8_t kFrom[] = {1, 0, 3, 2};
      expression(kFrom[type], depth - 1);
      out_.push_back(kConvert[type]);
    } else if (kind < 94 && type == 0) {  // comparison
      expression(1, depth - 1);
      expression(1, depth - 1);
      out_.push_back(uint8_t(0x51 + random(10)));
    } else if (kind < 96) {
      expression(type, depth - 1);
      expression(type, depth - 1);
      expression(0, depth - 1);
      out_.push_back(0x1B);
    } else if (functions_ > kTypes) {  // call of an earlier function
      const unsigned first = random(functions_ - kTypes);
      for (unsigned f = first; f < first + kTypes; ++f)
        if (f % kTypes >= 5 && (f % kTypes) % 4 == type) return call(f, depth);
      constant(type);
    } else {
      constant(type);
    }
  }

  void call(unsigned f, unsigned depth) {
    const unsigned type = f % kTypes;
    for (unsigned i = 0; i < type % 5; ++i) {
      const uint8_t code = param(type, i);
      expression(0x7Fu - code, depth ? depth - 1 : 0);
    }
    out_.push_back(0x10);
    write_uleb(out_, f);
  }

  void statement() {
    const unsigned kind = random(100), type = random(8) < 5 ? 0 : random(4);
    if (kind < 38) {
      expression(type, 3);
      out_.push_back(random(4) ? 0x21 : 0x22);
      local(type);
      if (out_[out_.size() - 2] == 0x22) out_.push_back(0x1A);
    } else if (kind < 62) {
      expression(0, 2);
      expression(type, 3);
      static constexpr uint8_t kStores[] = {0x36, 0x37, 0x38, 0x39};
      static constexpr uint8_t kAligns[] = {2, 3, 2, 3};
      out_.push_back(kStores[type]);
      mem_arg(kAligns[type]);
    } else if (kind < 70 && depth_ < 6) {
      expression(0, 2);
      out_.insert(out_.end(), {0x04, 0x40});
      body();
      if (random(3) == 0) {
        out_.push_back(0x05);
        body();
      }
      out_.push_back(0x0B);
    } else if (kind < 78 && depth_ < 6) {
      out_.insert(out_.end(), {uint8_t(random(2) ? 0x02 : 0x03), 0x40});
      body();
      expression(0, 2);
      out_.insert(out_.end(), {0x0D, 0x00});
      body();
      out_.push_back(0x0B);
    } else if (kind < 84) {
      out_.push_back(0x23);
      write_uleb(out_, type);
      expression(type, 2);
      static constexpr uint8_t kAdd[] = {0x6A, 0x7C, 0x92, 0xA0};
      out_.push_back(kAdd[type]);
      out_.push_back(0x24);
      write_uleb(out_, type);
    } else if (functions_ > kTypes) {
      const unsigned f = random(functions_);
      call(f, 2);
      if (f % kTypes >= 5) out_.push_back(0x1A);
    }
  }

  void body() {
    ++depth_;
    for (unsigned n = 1 + random(3); n; --n) statement();
    --depth_;
  }

  Vec<uint8_t> out_;
  uint64_t state_ = 42;
  unsigned functions_ = 0, params_ = 0, type_ = 0, depth_ = 0;
};

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

[[noreturn]] void die(const Error& error) {
  std::fprintf(stderr, "error at offset %llu: %s\n", (unsigned long long)error.offset,
               error.message.c_str());
  std::exit(1);
}

template <class F>
void measure(const char* what, size_t bytes, int runs, F run) {
  double best = 1e9;
  for (int i = 0; i < runs; ++i) {
    const auto start = std::chrono::steady_clock::now();
    run();
    best = std::min(best, seconds_since(start));
  }
  std::printf("%-28s %9.2f ms  %8.1f MB/s\n", what, best * 1e3, double(bytes) / best / 1e6);
}

}  // namespace

int main(int argc, char** argv) {
  size_t megabytes = 30;
  int runs = 7;
  const char *emit = nullptr, *path = nullptr;
  for (int i = 1; i < argc; ++i) {
    if (!std::strcmp(argv[i], "--size") && i + 1 < argc)
      megabytes = size_t(std::atol(argv[++i]));
    else if (!std::strcmp(argv[i], "--runs") && i + 1 < argc)
      runs = std::atoi(argv[++i]);
    else if (!std::strcmp(argv[i], "--emit") && i + 1 < argc)
      emit = argv[++i];
    else
      path = argv[i];
  }
  Vec<uint8_t> bytes;
  if (path) {
    std::FILE* f = std::fopen(path, "rb");
    if (!f) {
      std::perror(path);
      return 1;
    }
    uint8_t chunk[1 << 16];
    for (size_t n; (n = std::fread(chunk, 1, sizeof chunk, f)) != 0;)
      bytes.insert(bytes.end(), chunk, chunk + n);
    std::fclose(f);
  } else {
    bytes = Generator().module(megabytes << 20);
  }
  if (emit) {
    std::FILE* f = std::fopen(emit, "wb");
    if (!f || std::fwrite(bytes.data(), 1, bytes.size(), f) != bytes.size()) {
      std::perror(emit);
      return 1;
    }
    std::fclose(f);
  }

  DecodeOptions options;
  options.copy_bytes = false;
  auto decoded = decode_module(bytes, options);
  if (!decoded) die(decoded.error());
  const Module& module = **decoded;
  size_t code = 0, instructions = 0;
  for (const Function& f : module.functions) code += f.body.size();
  {
    FuncValidator v(module);
    Instr in;
    for (uint32_t f = module.imported_functions; f < module.functions.size(); ++f) {
      if (auto r = v.begin(f); !r) die(r.error());
      for (; !v.done(); ++instructions) {
        if (auto r = v.read(in); !r) die(r.error());
        if (auto r = v.apply(in); !r) die(r.error());
      }
    }
  }
  std::printf("%zu bytes, %zu of code, %zu functions, %zu instructions\n", bytes.size(), code,
              module.functions.size(), instructions);

  measure("decode + validate", bytes.size(), runs, [&] {
    if (auto r = decode_module(bytes, options); !r) die(r.error());
  });
  measure("decode + validate, copying", bytes.size(), runs, [&] {
    DecodeOptions copying = options;
    copying.copy_bytes = true;
    if (auto r = decode_module(bytes, copying); !r) die(r.error());
  });
  measure("decode only", bytes.size(), runs, [&] {
    DecodeOptions only = options;
    only.validate = false;
    if (auto r = decode_module(bytes, only); !r) die(r.error());
  });
  measure("streaming, 64 KiB chunks", bytes.size(), runs, [&] {
    StreamingDecoder decoder(options);
    for (size_t at = 0; at < bytes.size(); at += 65536)
      if (auto r =
              decoder.push(Bytes(bytes).subspan(at, std::min<size_t>(65536, bytes.size() - at)));
          !r)
        die(r.error());
    if (auto r = decoder.finish(); !r) die(r.error());
  });
  measure("code: validate", code, runs, [&] {
    FuncValidator v(module);
    for (uint32_t f = module.imported_functions; f < module.functions.size(); ++f) {
      if (auto r = v.begin(f); !r) die(r.error());
      if (auto r = v.finish(); !r) die(r.error());
    }
  });
  measure("code: read + apply", code, runs, [&] {
    FuncValidator v(module);
    Instr in;
    for (uint32_t f = module.imported_functions; f < module.functions.size(); ++f) {
      if (auto r = v.begin(f); !r) die(r.error());
      while (!v.done()) {
        if (auto r = v.read(in); !r) die(r.error());
        if (auto r = v.apply(in); !r) die(r.error());
      }
    }
  });
  return 0;
}

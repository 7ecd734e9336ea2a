#include "wafer/streams.hpp"

#include <cstdio>

struct Api {
  virtual ~Api() = default;
  virtual wafer::Result<wafer::Stream<std::string>> lines() = 0;
  virtual wafer::Result<void> log(wafer::Stream<uint8_t> text) = 0;
};

struct Console final : Api {
#include "streams.inc"
};

Console console;

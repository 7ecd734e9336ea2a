#include <cstdio>

#include "wafer/streams.hpp"

wafer::Result<void> run(wafer::Store& store, const wafer::StreamReader<uint8_t>& reader) {
#include "left.inc"
  return {};
}

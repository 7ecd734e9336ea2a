// Decoder, validator and printer: any bytes give a module or an error, in one piece or
// in several, and what is accepted prints as text that means the same module.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "seeds.h"
#include "wasm/decoder.h"
#include "wat/roundtrip.h"
#include "wat/wat.h"

std::vector<std::string> make_seeds() { return binary_seeds(); }

namespace {

wafer::wasm::DecodeOptions every_feature() {
  wafer::wasm::DecodeOptions options;
  options.features = wafer::wasm::FeatureSet::all();
  return options;
}

void require(bool holds, const char* what, std::string_view detail = {}) {
  if (holds) return;
  std::fprintf(stderr, "%s\n%.*s\n", what, int(detail.size()), detail.data());
  std::abort();
}

wafer::Result<std::shared_ptr<wafer::wasm::Module>> decode_pieces(wafer::Bytes bytes,
                                                                  size_t piece) {
  wafer::wasm::StreamingDecoder decoder(every_feature());
  for (size_t at = 0; at < bytes.size(); at += piece)
    WAFER_TRY(decoder.push(bytes.subspan(at, std::min(piece, bytes.size() - at))));
  return decoder.finish();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto module = wafer::wasm::decode_module({data, size}, every_feature());
  const auto pieces = decode_pieces({data, size}, size / 3 + 1);
  require(module.ok() == pieces.ok(), "whole and in pieces differ");
  if (!module.ok()) return 0;
  const auto text = wafer::wat::print_wat(**module);
  if (!text.ok()) return 0;
  const auto binary = wafer::wat::parse_wat(*text);
  require(binary.ok(), "the printed module does not parse", *text);
  require(wafer::wat::is_shortened({data, size}, *binary), "other bytes than before", *text);
  const auto again = wafer::wasm::decode_module(*binary, every_feature());
  require(again.ok(), "the printed module is not valid", *text);
  // The first translation shortens; from then on nothing changes.
  const auto second = wafer::wat::print_wat(**again);
  require(second.ok(), "what was printed once cannot be printed again", *text);
  const auto fixed = wafer::wat::parse_wat(*second);
  require(fixed.ok() && fixed->size() == binary->size() &&
              std::equal(fixed->begin(), fixed->end(), binary->begin()),
          "the second translation differs from the first", *second);
  return 0;
}

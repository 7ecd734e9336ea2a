#include "app.hpp"

wafer::Result<uint32_t> run(wafer::Store& store, const wafer::Component& component) {
#include "stock.inc"
  return total;
}

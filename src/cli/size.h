// `wafer size`: what a module will need on a small system.
#pragma once

#include "cli/support.h"

namespace wafer::cli {

void add_size(CLI::App& app, Context& context);

}  // namespace wafer::cli

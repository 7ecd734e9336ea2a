// Wafer's C++ embedding API.
//
//   wafer::Engine engine;
//   auto module = wafer::Module::compile(engine, bytes);
//   wafer::Store store(engine);
//   wafer::Linker linker(engine);
//   linker.func_wrap("env", "log", [](int32_t x) { ... });
//   auto instance = linker.instantiate(store, *module);
//   auto add = instance->func<int32_t(int32_t, int32_t)>("add");
//   int32_t three = *(*add)(1, 2);
//
// Nothing throws: what can fail gives a Result<T>, which holds a T or an Error.
// Works with -fno-exceptions and -fno-rtti.
//
// wat.hpp (text format), wasi.hpp (system interface) and async.hpp (calls that can wait) are
// separate components that embedded builds leave out.
#pragma once

#include "wafer/engine.hpp"
#include "wafer/externs.hpp"
#include "wafer/func.hpp"
#include "wafer/linker.hpp"
#include "wafer/store.hpp"
#include "wafer/types.hpp"

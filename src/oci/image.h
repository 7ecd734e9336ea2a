// Images of WebAssembly programs: what is in them, and how they are made.
#pragma once

#include <string>
#include <vector>

#include "oci/store.h"

namespace wafer::oci {

// A program out of an image, ready to be run.
struct Runnable {
  std::string artifact;           // the file
  std::string root;               // what it sees as "/"; empty: nothing
  std::vector<std::string> args;  // args[0] is its name
  std::vector<std::string> env;   // NAME=VALUE
  std::string cwd;
};

// Takes the program out of `image`. Three kinds are known: a file system with the program in it,
// a layer that is the program in an otherwise usual image, and an artifact of type
// application/wasm. It is unpacked below `cache`, once; `args` replace the image's own.
Result<Runnable> unpack(const Store& store, Descriptor image, const std::string& cache,
                        const std::vector<std::string>& args);

struct BuildOptions {
  std::string name = "app.wasm";       // of the file in the image
  bool artifact = false;               // application/wasm instead of a file system
  std::vector<std::string> args, env;  // defaults of the program
  std::map<std::string, std::string> labels;
};
// Makes an image of a program: the same bytes from the same input, always. Gives its manifest.
Result<Descriptor> build(Layout& store, std::string_view program, const BuildOptions& options);

}  // namespace wafer::oci

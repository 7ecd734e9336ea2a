// `wafer bindgen`: bindings of worlds in other languages.
#include <CLI/CLI.hpp>
#include <filesystem>

#include "bindgen/c.h"
#include "bindgen/cpp.h"
#include "cli/support.h"
#include "wit/component_type.h"

namespace wafer::cli {

namespace {

namespace fs = std::filesystem;

struct BindgenOptions {
  std::string wit, world, folder = ".";
  std::vector<std::string> features;
  bool all_features = false;
  bool async_exports = false;
};

int fail(std::string_view where, const Error& error) {
  const std::string message(std::string_view(error.message));
  print_error(where.empty() ? message : fmt::format("{}: {}", where, message));
  return kFailure;
}

// Makes bindings of the world with `generate`, and writes them with `write`, which takes the path
// without ending.
template <class G, class W>
int make(const BindgenOptions& o, G&& generate, W&& write) {
  const fs::path path(o.wit);
  auto resolved = wit::load(std::span(&path, 1), {o.features, o.all_features});
  if (!resolved.ok()) return fail("", resolved.error());
  auto world = wit::select_world(*resolved, o.world);
  if (!world.ok()) return fail(o.wit, world.error());
  auto made = generate(resolved->resolve, *world);
  if (!made.ok()) return fail(o.wit, made.error());
  std::error_code code;
  fs::create_directories(o.folder, code);
  return write((fs::path(o.folder) / made->name).string(), *made) ? kSuccess : kFailure;
}

int c_guest(const BindgenOptions& o) {
  const auto generate = [&](const wit::Resolve& resolve, wit::WorldId world) {
    return bindgen::c_bindings(resolve, world, o.async_exports);
  };
  return make(o, generate, [](const std::string& base, const bindgen::CBindings& made) {
    const std::string_view object(reinterpret_cast<const char*>(made.object.data()),
                                  made.object.size());
    return write_output(base + ".h", made.header) && write_output(base + ".c", made.source) &&
           write_output(base + "_component_type.o", object);
  });
}

int cpp_guest(const BindgenOptions& o) {
  return make(o, bindgen::cpp_guest_bindings,
              [&](const std::string& base, const bindgen::CppGuestBindings& made) {
                const std::string_view object(reinterpret_cast<const char*>(made.object.data()),
                                              made.object.size());
                return write_output(base + ".hpp", made.header) &&
                       write_output(base + ".cpp", made.source) &&
                       write_output((fs::path(o.folder) / "wit.hpp").string(), made.support) &&
                       write_output(base + "_component_type.o", object);
              });
}

int cpp_host(const BindgenOptions& o) {
  return make(o, bindgen::cpp_host_bindings,
              [](const std::string& base, const bindgen::CppBindings& made) {
                return write_output(base + ".hpp", made.header);
              });
}

}  // namespace

void add_bindgen(CLI::App& app, Context& context) {
  CLI::App& group = *app.add_subcommand("bindgen", "Make bindings of a world");
  group.require_subcommand(1);
  const auto add = [&](const char* name, const char* what, int (*run)(const BindgenOptions&)) {
    auto o = std::make_shared<BindgenOptions>();
    CLI::App& c = *group.add_subcommand(name, what);
    c.add_option("WIT", o->wit, "WIT file or folder with the world")->required()->type_name("");
    c.add_option("-w,--world", o->world, "World, if the package has more than one")
        ->type_name("NAME");
    c.add_option("-o,--out-dir", o->folder, "Folder for the files (default: this one)")
        ->type_name("DIR");
    c.add_option("--features", o->features, "Take @unstable items of these features")
        ->delimiter(',')
        ->type_name("NAMES");
    c.add_flag("--all-features", o->all_features, "Take all @unstable items");
    if (run == c_guest)
      c.add_flag("--async-exports", o->async_exports,
                 "Implement async functions in steps, many calls at once");
    c.callback([o, run, &context] { context.action = [o, run] { return run(*o); }; });
  };
  add("c", "C for modules: WORLD.h, WORLD.c and an object file", c_guest);
  add("cpp", "C++ for modules: WORLD.hpp, WORLD.cpp, wit.hpp and an object file", cpp_guest);
  add("host", "C++ for programs that embed Wafer: WORLD.hpp", cpp_host);
}

}  // namespace wafer::cli

// `wafer component`: makes, takes apart and checks components.
#include <CLI/CLI.hpp>
#include <filesystem>

#include "cli/component.h"
#include "compose/embed.h"
#include "compose/graph.h"
#include "compose/link.h"
#include "compose/new.h"
#include "wit/component_type.h"
#include "wit/decode.h"

namespace wafer::cli {

namespace {

namespace fs = std::filesystem;

struct ToolOptions {
  std::string file, output, wit, world, encoding = "utf8", folder;
  std::vector<std::string> adapters, libraries, openable, plugs, wit_features;
  uint64_t threshold = 0;
  uint32_t stack_size = compose::LinkOptions{}.stack_size;
  bool memory_grow = false, no_merge = false, all_features = false, stub_missing = false,
       built_in_dl = false, canonical_names = false;
};

int fail(std::string_view file, const Error& error) {
  const std::string message(std::string_view(error.message));
  print_error(file.empty() ? message : fmt::format("{}: {}", Input::name_of(file), message));
  return kFailure;
}

int write(const std::string& output, const Vec<uint8_t>& bytes) {
  const std::string_view data(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return write_output(output.empty() ? "-" : output, data) ? kSuccess : kFailure;
}

// Whether a file is a component, or else a core module; an error if not.
bool is_wanted(const ModuleInput& input, bool component) {
  const std::string why = other_kind(input.binary(), component);
  if (!why.empty()) print_error(input.input.path() + ": " + why);
  return why.empty();
}

Result<wit::Resolved> load_wit(const ToolOptions& o) {
  const fs::path path(o.wit);
  return wit::load(std::span(&path, 1), {o.wit_features, o.all_features});
}

// "[NAME=]FILE": the name is empty if it is not told.
std::pair<std::string, std::string> named_file(const std::string& word) {
  const size_t equals = word.find('=');
  if (equals == word.npos) return {"", word};
  return {word.substr(0, equals), word.substr(equals + 1)};
}

// The component of a core module; errors are told of `file`.
int make_component(const ToolOptions& o, const std::string& file, Bytes module) {
  compose::NewOptions options;
  options.merge_versions = !o.no_merge;
  options.realloc_via_memory_grow = o.memory_grow;
  options.canonical_names = o.canonical_names;
  std::vector<ModuleInput> adapters;
  adapters.reserve(o.adapters.size());
  for (const std::string& word : o.adapters) {
    auto [name, path] = named_file(word);
    auto adapter = open_module(path, wasm::FeatureSet::all());
    if (!adapter || !is_wanted(*adapter, /*component=*/false)) return kFailure;
    // The name of the file, up to its first dot, unless told.
    if (name.empty()) {
      name = fs::path(path).filename().string();
      name = name.substr(0, name.find('.'));
    }
    adapters.push_back(std::move(*adapter));
    options.adapters.push_back({std::move(name), adapters.back().binary()});
  }
  auto made = compose::new_component(module, options);
  if (!made.ok()) return fail(file, made.error());
  component::DecodeOptions decode;
  decode.features = component_features({{"all"}, {}});
  decode.core_features = wasm::FeatureSet::all();
  if (auto valid = component::decode({made->data(), made->size()}, decode); !valid.ok()) {
    print_error(fmt::format("{}the component would not be valid: {}",
                            file.empty() ? "" : file + ": ",
                            std::string_view(valid.error().message)));
    return kFailure;
  }
  return write(o.output, *made);
}

int new_component(const ToolOptions& o) {
  const auto module = open_module(o.file, wasm::FeatureSet::all());
  if (!module || !is_wanted(*module, /*component=*/false)) return kFailure;
  const int code = make_component(o, o.file, module->binary());
  if (code != kSuccess || !o.adapters.empty()) return code;
  if (const auto told = wit::read_component_types(module->binary()); told.ok() && !told->found)
    print_warning(o.file +
                  ": the module tells no world, so that the component has no exports; `wafer "
                  "component embed` puts a world into a module");
  return code;
}

int link(const ToolOptions& o) {
  std::vector<ModuleInput> inputs;
  std::vector<compose::Library> libraries;
  inputs.reserve(o.libraries.size() + o.openable.size());
  for (size_t i = 0; i < o.libraries.size() + o.openable.size(); ++i) {
    const bool openable = i >= o.libraries.size();
    const std::string& word = openable ? o.openable[i - o.libraries.size()] : o.libraries[i];
    auto [name, path] = named_file(word);
    auto input = open_module(path, wasm::FeatureSet::all());
    if (!input || !is_wanted(*input, /*component=*/false)) return kFailure;
    if (name.empty()) name = fs::path(path).filename().string();
    inputs.push_back(std::move(*input));
    libraries.push_back({std::move(name), inputs.back().binary(), openable});
  }
  auto linked = compose::link(libraries, {o.stack_size, o.stub_missing, o.built_in_dl});
  if (!linked.ok()) return fail("", linked.error());
  return make_component(o, "", {linked->data(), linked->size()});
}

int embed(const ToolOptions& o) {
  auto resolved = load_wit(o);
  if (!resolved.ok()) return fail("", resolved.error());
  auto world = wit::select_world(*resolved, o.world);
  if (!world.ok()) return fail(o.wit, world.error());
  const auto module = open_module(o.file, wasm::FeatureSet::all());
  if (!module || !is_wanted(*module, /*component=*/false)) return kFailure;
  constexpr std::pair<std::string_view, component::StringEncoding> kEncodings[] = {
      {"utf8", component::StringEncoding::Utf8},
      {"utf16", component::StringEncoding::Utf16},
      {"latin1+utf16", component::StringEncoding::Latin1Utf16}};
  auto encoding = component::StringEncoding::Utf8;
  for (const auto& [name, value] : kEncodings)
    if (o.encoding == name) encoding = value;
  auto out = compose::embed(module->binary(), resolved->resolve, *world, encoding);
  if (!out.ok()) return fail(o.file, out.error());
  return write(o.output, *out);
}

int unbundle(const ToolOptions& o) {
  const auto input = open_module(o.file, wasm::FeatureSet::all());
  if (!input || !is_wanted(*input, /*component=*/true)) return kFailure;
  auto out = compose::unbundle(input->binary(), o.threshold);
  if (!out.ok()) return fail(o.file, out.error());
  std::error_code code;
  fs::create_directories(o.folder, code);
  for (const auto& m : out->modules)
    if (const int status = write((fs::path(o.folder) / (m.name + ".wasm")).string(), m.bytes);
        status != kSuccess)
      return status;
  return write(o.output, out->component);
}

int targets(const ToolOptions& o) {
  auto resolved = load_wit(o);
  if (!resolved.ok()) return fail("", resolved.error());
  auto world = wit::select_world(*resolved, o.world);
  if (!world.ok()) return fail(o.wit, world.error());
  const auto input = open_module(o.file, wasm::FeatureSet::all());
  if (!input || !is_wanted(*input, /*component=*/true)) return kFailure;
  auto fits = compose::targets(input->binary(), resolved->resolve, *world);
  return fits.ok() ? kSuccess : fail(o.file, fits.error());
}

// The components of a graph, from files in `folder`.
int compose_files(const ToolOptions& o, const compose::Graph& graph,
                  const std::vector<std::string>& files, bool all_used) {
  std::vector<ModuleInput> inputs;
  std::vector<Bytes> bytes;
  inputs.reserve(files.size());
  for (const std::string& file : files) {
    auto input = open_module(file, wasm::FeatureSet::all());
    if (!input || !is_wanted(*input, /*component=*/true)) return kFailure;
    inputs.push_back(std::move(*input));
    bytes.push_back(inputs.back().binary());
  }
  auto made = compose::compose(graph, bytes, all_used);
  return made.ok() ? write(o.output, *made) : fail("", made.error());
}

int plug(const ToolOptions& o) {
  std::vector<std::string> files{o.file};
  files.insert(files.end(), o.plugs.begin(), o.plugs.end());
  compose::Graph graph = compose::plug_graph(o.plugs.size());
  graph.files = files;
  return compose_files(o, graph, files, /*all_used=*/true);
}

int compose_script(const ToolOptions& o) {
  auto input = Input::open(o.file);
  if (!input.ok()) return fail("", input.error());
  if (component::is_binary(input->bytes())) {
    print_error(fmt::format(
        "{}: is a module or component; a script was expected (`wafer component plug` takes "
        "components)",
        input->path()));
    return kFailure;
  }
  auto graph = compose::parse_graph(input->text());
  if (!graph.ok()) {
    print_error(fmt::format("{}:{}", input->path(), std::string_view(graph.error().message)));
    return kFailure;
  }
  std::vector<std::string> files;
  for (const std::string& file : graph->files)
    files.push_back((fs::path(o.file).parent_path() / file).string());
  return compose_files(o, *graph, files, /*all_used=*/false);
}

}  // namespace

void add_component(CLI::App& app, Context& context) {
  CLI::App& group = *app.add_subcommand("component", "Make, take apart and check components");
  group.require_subcommand(1);
  const auto command = [&](const char* name, const char* about, auto run) {
    auto o = std::make_shared<ToolOptions>();
    CLI::App& c = *group.add_subcommand(name, about);
    c.callback([o, run, &context] { context.action = [o, run] { return run(*o); }; });
    return std::pair<CLI::App&, ToolOptions&>(c, *o);
  };
  const auto output = [](CLI::App& c, ToolOptions& o) {
    c.add_option("-o,--output", o.output, "Output (default -, standard output)")->type_name("FILE");
  };
  const auto wit = [](CLI::App& c, ToolOptions& o) {
    c.add_option("WIT", o.wit, "WIT file or folder with the world")->required()->type_name("");
    c.add_option("-w,--world", o.world, "World, if the package has more than one")
        ->type_name("NAME");
    c.add_option("--features", o.wit_features, "Take @unstable items of these features")
        ->delimiter(',')
        ->type_name("NAMES");
    c.add_flag("--all-features", o.all_features, "Take all @unstable items");
  };
  const auto adapt = [](CLI::App& c, ToolOptions& o) {
    c.add_option("--adapt", o.adapters,
                 "Adapter for imports of the module NAME (default: the file's name up to a dot)")
        ->type_name("[NAME=]FILE")
        ->allow_extra_args(false);
    c.add_flag("--realloc-via-memory-grow", o.memory_grow,
               "Adapters get memory by growing it, not from the module's allocator");
    c.add_flag("--emit-canonical-names", o.canonical_names,
               "Names of interfaces have only the part of the version that compatible ones share "
               "(cm-canonical-names)");
    c.add_flag("--no-merge-imports", o.no_merge, "Keep imports of compatible versions apart");
  };
  {
    auto [c, o] = command("new", "Make a component of a core module", new_component);
    c.add_option("MODULE", o.file, "Core module that tells its world")->required()->type_name("");
    adapt(c, o);
    output(c, o);
  }
  {
    auto [c, o] = command("link", "Make a component of libraries for dynamic linking", link);
    c.add_option("LIBRARY", o.libraries,
                 "Core modules with a section dylink.0; others need them by NAME (default: the "
                 "file's name)")
        ->type_name("[NAME=]FILE");
    c.add_option("--dl-openable", o.openable, "The same, of one that dlopen finds by NAME")
        ->type_name("[NAME=]FILE")
        ->allow_extra_args(false);
    c.add_flag("--use-built-in-libdl", o.built_in_dl,
               "Functions of <dlfcn.h> are there where no library has them");
    c.add_option("--stack-size", o.stack_size, "Bytes of the stack")->capture_default_str();
    c.add_flag("--stub-missing-functions", o.stub_missing,
               "Functions that no library has trap when they are called");
    adapt(c, o);
    output(c, o);
  }
  {
    auto [c, o] = command("embed", "Put a world into a core module", embed);
    wit(c, o);
    c.add_option("MODULE", o.file, "Core module")->required()->type_name("");
    c.add_option("--encoding", o.encoding, "Encoding of strings")
        ->check(CLI::IsMember({"utf8", "utf16", "latin1+utf16"}));
    output(c, o);
  }
  {
    auto [c, o] = command("unbundle", "Take the core modules out of a component", unbundle);
    c.add_option("COMPONENT", o.file, "Component")->required()->type_name("");
    c.add_option("--module-dir", o.folder, "Folder for the modules")->required()->type_name("DIR");
    c.add_option("--threshold", o.threshold, "Leave smaller modules in")->type_name("BYTES");
    output(c, o);
  }
  {
    auto [c, o] = command("plug", "Fill imports of a component with exports of others", plug);
    c.add_option("SOCKET", o.file, "Component that imports")->required()->type_name("");
    c.add_option("--plug", o.plugs, "Component that exports what the socket imports")
        ->required()
        ->type_name("FILE")
        ->allow_extra_args(false);
    output(c, o);
  }
  {
    auto [c, o] = command("compose", "Make a component of others as a script says", compose_script);
    c.add_option("SCRIPT", o.file, "Lines 'let NAME = \"FILE\" with NAME...' and 'export NAME'")
        ->required()
        ->type_name("");
    output(c, o);
  }
  {
    auto [c, o] = command("targets", "Check that a component fits a world", targets);
    wit(c, o);
    c.add_option("COMPONENT", o.file, "Component")->required()->type_name("");
  }
}

}  // namespace wafer::cli

// `wafer pull`, `push`, `images`, `rmi` and `image`, and images for `wafer run`.
#include "cli/image.h"

#include <unistd.h>

#include <CLI/CLI.hpp>

#include "cli/support.h"
#include "compiler/cache.h"
#include "oci/image.h"
#include "oci/registry.h"

namespace wafer::cli {

namespace {

constexpr std::string_view kLayout = "oci:", kArchive = "docker-archive:";
// Of this machine, and not of a registry.
bool is_local(std::string_view name) {
  return name.starts_with(kLayout) || name.starts_with(kArchive);
}

void tell(const std::string& line) { print_note("wafer: " + printable(line)); }

// A bar for each blob, where there is somebody who looks at it.
void show_progress(const oci::Descriptor& part, uint64_t bytes) {
  constexpr size_t kWidth = 30;
  static uint64_t shown = 0;
  const uint64_t permille = part.size ? bytes * 1000 / part.size : 1000;
  if (bytes < part.size && permille == shown) return;
  shown = permille;
  const size_t full = std::min<size_t>(kWidth, size_t(permille * kWidth / 1000));
  std::string line =
      fmt::format("\r{} [{}{}] {:3} %", part.digest.substr(0, 19), std::string(full, '#'),
                  std::string(kWidth - full, ' '), permille / 10);
  if (bytes >= part.size) line += "\n";
  (void)!write(STDERR_FILENO, line.data(), line.size());
}

Result<oci::Layout> own_images() {
  const std::string folder = oci::Layout::default_folder();
  if (folder.empty()) return Error(ErrorKind::Io, "no place for images: HOME is not set");
  return oci::Layout(folder);
}

// A file or folder that is there, and what follows it after a colon.
std::pair<std::string, std::string> split_place(std::string_view text) {
  for (size_t colon = text.size();;) {
    const std::string place(text.substr(0, colon));
    if (access(place.c_str(), F_OK) == 0)
      return {place, std::string(text.substr(std::min(colon + 1, text.size())))};
    colon = colon == 0 ? text.npos : text.rfind(':', colon - 1);
    if (colon == text.npos) return {std::string(text), {}};
  }
}

// A place that is to be made: FOLDER:NAME.
std::pair<std::string, std::string> split_new_place(std::string_view text) {
  auto found = split_place(text);
  if (!found.second.empty() || access(found.first.c_str(), F_OK) == 0) return found;
  const size_t slash = text.rfind('/');
  const size_t colon = text.find(':', slash == text.npos ? 0 : slash);
  if (colon == text.npos) return {std::string(text), {}};
  return {std::string(text.substr(0, colon)), std::string(text.substr(colon + 1))};
}

struct Opened {
  std::unique_ptr<oci::Store> store;
  oci::Descriptor image;
};

// How a registry is to be asked, as options and WAFER_MIRRORS say. Usage, Io, Invalid.
Result<void> prepare(oci::Registry& registry, const oci::Reference& reference,
                     const PullOptions& options) {
  std::vector<std::string> all = options.mirrors, hosts;
  if (const char* const given = std::getenv("WAFER_MIRRORS"); given && all.empty()) {
    std::string_view rest = given;
    while (!rest.empty()) {
      const size_t end = std::min(rest.find(','), rest.size());
      if (end) all.emplace_back(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }
  for (const std::string& mirror : all) {
    const size_t equals = mirror.find('=');
    if (equals == mirror.npos || equals == 0 || equals + 1 == mirror.size() ||
        mirror.find('/') != mirror.npos)
      return Error(ErrorKind::Usage, "a mirror is REGISTRY=HOST[:PORT], not '" + mirror + "'");
    if (mirror.substr(0, equals) == reference.registry) hosts.push_back(mirror.substr(equals + 1));
  }
  registry.set_mirrors(std::move(hosts));
  if (isatty(STDERR_FILENO)) registry.set_progress(show_progress);
  if (options.verify_key.empty()) return {};
  WAFER_LET(file, Input::open(options.verify_key, Input::Content::Any));
  Result<oci::PublicKey> key = oci::PublicKey::parse(file.text());
  if (!key)
    return Error(ErrorKind::Invalid, options.verify_key + ": " + std::string(key.error().message));
  registry.require_signature(*std::move(key));
  return {};
}

// An image by any of its names; `pull` one that is not here, or that has to be signed.
Result<Opened> find_image(const std::string& name, bool pull, const PullOptions& options = {}) {
  Opened out;
  const bool must_verify = !options.verify_key.empty();
  if (name.starts_with(kLayout)) {
    const auto [folder, tag] = split_place(std::string_view(name).substr(kLayout.size()));
    if (access((folder + "/index.json").c_str(), F_OK) != 0)
      return Error(ErrorKind::Io, folder + " holds no image (no index.json)");
    out.store = std::make_unique<oci::Layout>(folder);
    WAFER_LET(image, out.store->find(tag));
    out.image = image;
    return out;
  }
  if (name.starts_with(kArchive)) {
    const auto [file, tag] = split_place(std::string_view(name).substr(kArchive.size()));
    WAFER_LET(store, oci::open_archive(file));
    out.store = std::move(store);
    WAFER_LET(image, out.store->find(tag));
    out.image = image;
    return out;
  }
  WAFER_LET(reference, oci::Reference::parse(name));
  WAFER_LET(own, own_images());
  auto layout = std::make_unique<oci::Layout>(own);
  Result<oci::Descriptor> there = layout->find(reference.text());
  if (!there && !pull) return there.take_error();
  if (there && !must_verify) {
    out.image = *there;
  } else {
    oci::Registry registry(reference.registry, tell);
    WAFER_TRY(prepare(registry, reference, options));
    WAFER_LET(pulled, registry.pull(reference, *layout));
    out.image = pulled;
  }
  out.store = std::move(layout);
  return out;
}

int report(const Result<void>& result) {
  if (result) return kSuccess;
  print_error(result.error().message);
  return result.error().kind == ErrorKind::Usage ? kUsage : kFailure;
}

Result<void> pull(const std::string& name, const PullOptions& options) {
  WAFER_LET(reference, oci::Reference::parse(name));
  WAFER_LET(own, own_images());
  oci::Registry registry(reference.registry, tell);
  WAFER_TRY(prepare(registry, reference, options));
  WAFER_LET(image, registry.pull(reference, own));
  (void)write_stdout(image.digest + "\n");
  return {};
}

Result<void> push(const std::string& from, const std::string& to) {
  WAFER_LET(reference, oci::Reference::parse(to.empty() ? from : to));
  WAFER_LET(found, find_image(from, false));
  oci::Registry registry(reference.registry, tell);
  WAFER_TRY(registry.push(*found.store, found.image, reference));
  (void)write_stdout(found.image.digest + "\n");
  return {};
}

Result<void> list() {
  WAFER_LET(own, own_images());
  WAFER_LET(all, own.names());
  std::string out;
  for (const oci::Descriptor& d : all) {
    WAFER_LET(parts, oci::reachable(own, d));
    uint64_t size = 0;
    for (const oci::Descriptor& part : parts) size += part.size;
    const auto name = d.annotations.find(oci::kRefName);
    out += fmt::format("{}  {}  {} bytes\n",
                       name == d.annotations.end() ? "-" : printable(name->second),
                       d.digest.substr(0, 19), size);
  }
  (void)write_stdout(out);
  return {};
}

Result<void> remove(const std::string& name) {
  WAFER_LET(reference, oci::Reference::parse(name));
  WAFER_LET(own, own_images());
  return own.remove(reference.text());
}

struct BuildCommand {
  std::string file, name, kind = "image";
  std::vector<std::string> args, env, labels;
};

Result<void> build(const BuildCommand& o) {
  oci::BuildOptions options;
  options.artifact = o.kind == "artifact";
  options.args = o.args;
  options.env = o.env;
  for (const std::string& label : o.labels) {
    const size_t equals = label.find('=');
    options.labels[label.substr(0, equals)] =
        equals == std::string::npos ? "" : label.substr(equals + 1);
  }
  WAFER_LET(input, Input::open(o.file, Input::Content::Any));
  std::string program(input.text());
  if (input.is_text()) {
    Result<ModuleInput> module = program::to_module(std::move(input), wasm::FeatureSet::standard());
    if (!module) return module.take_error();
    const Bytes bytes = module->binary();
    program.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  std::string folder, name;
  if (o.name.starts_with(kLayout)) {
    std::tie(folder, name) = split_new_place(std::string_view(o.name).substr(kLayout.size()));
    if (name.empty()) name = "latest";
  } else {
    WAFER_LET(reference, oci::Reference::parse(o.name));
    folder = oci::Layout::default_folder();
    name = reference.text();
  }
  oci::Layout store(folder);
  WAFER_LET(kept, store.keep_blobs());
  (void)kept;
  WAFER_LET(image, oci::build(store, program, options));
  WAFER_TRY(store.set_name(name, image));
  (void)write_stdout(image.digest + "\n");
  return {};
}

}  // namespace

bool names_image(const std::string& name) {
  if (is_local(name)) return true;
  return oci::Reference::looks_like(name) && access(name.c_str(), F_OK) != 0;
}

Result<void> check_pull_options(const std::string& name, const PullOptions& options) {
  if (names_image(name) && !is_local(name)) return {};
  if (!options.verify_key.empty())
    return Error(ErrorKind::Usage, "signatures are verified of images of registries only");
  if (!options.mirrors.empty())
    return Error(ErrorKind::Usage, "mirrors are asked for images of registries only");
  return {};
}

Result<ImageProgram> open_image(const std::string& name, const std::vector<std::string>& args,
                                const PullOptions& options) {
  WAFER_LET(found, find_image(name, true, options));
  const std::string cache = compiler::CodeCache::default_folder();
  if (cache.empty()) return Error(ErrorKind::Io, "no place to unpack images: HOME is not set");
  WAFER_LET(r, oci::unpack(*found.store, found.image, cache + "/images", args));
  return ImageProgram{r.artifact, r.root, r.cwd, r.args, r.env};
}

void add_pull_options(CLI::App& command, PullOptions& options) {
  command
      .add_option("--verify-key", options.verify_key,
                  "Public key (PEM) by which images of registries have to be signed, as by cosign")
      ->type_name("FILE");
  command
      .add_option("--mirror", options.mirrors,
                  "Ask HOST before REGISTRY (repeatable; WAFER_MIRRORS is a list with commas)")
      ->type_name("REGISTRY=HOST[:PORT]")
      ->allow_extra_args(false);
}

void add_images(CLI::App& app, Context& context) {
  const auto command = [&app](const char* name, const char* text) {
    return app.add_subcommand(name, text);
  };
  auto from = std::make_shared<std::string>(), to = std::make_shared<std::string>();
  constexpr const char* kReference = "REGISTRY/NAME[:TAG|@DIGEST]";
  {
    CLI::App& c = *command("pull", "Copy an image from a registry");
    c.add_option("IMAGE", *from, kReference)->required();
    auto options = std::make_shared<PullOptions>();
    add_pull_options(c, *options);
    c.callback([from, options, &context] {
      context.action = [from, options] { return report(pull(*from, *options)); };
    });
  }
  {
    CLI::App& c = *command("push", "Copy an image to a registry");
    c.add_option("IMAGE", *from,
                 "An image of this machine, oci:FOLDER[:NAME] or docker-archive:FILE")
        ->required();
    c.add_option("TO", *to, std::string(kReference) + ", where it is not IMAGE");
    c.callback(
        [from, to, &context] { context.action = [from, to] { return report(push(*from, *to)); }; });
  }
  CLI::App& images = *command("images", "List the images of this machine");
  images.callback([&context] { context.action = [] { return report(list()); }; });
  {
    CLI::App& c = *command("rmi", "Remove an image from this machine");
    c.add_option("IMAGE", *from, kReference)->required();
    c.callback([from, &context] { context.action = [from] { return report(remove(*from)); }; });
  }
  auto o = std::make_shared<BuildCommand>();
  CLI::App& image = *command("image", "Make an image");
  image.require_subcommand(1);
  CLI::App& b = *image.add_subcommand("build", "Make an image of a program");
  b.add_option("--kind", o->kind,
               "image: a file system with the program, as container engines take it; "
               "artifact: the program alone")
      ->check(CLI::IsMember({"image", "artifact"}))
      ->type_name("KIND")
      ->capture_default_str();
  b.add_option("--arg", o->args, "Argument of the program unless others are given (repeatable)")
      ->type_name("ARG")
      ->allow_extra_args(false);
  b.add_option("--env", o->env, "Variable of the program (repeatable)")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
  b.add_option("--label", o->labels, "Label of the image (repeatable)")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
  b.add_option("FILE", o->file, "Module or component, binary or text")->required();
  b.add_option("NAME", o->name, "REGISTRY/NAME[:TAG], or oci:FOLDER[:NAME]")->required();
  b.callback([o, &context] { context.action = [o] { return report(build(*o)); }; });
}

}  // namespace wafer::cli

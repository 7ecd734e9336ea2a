// wafer-diff: makes modules at random and runs each in several tiers, which have to agree
// on everything that a program can see.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>
#include <iostream>

#include "compiler/llvm_loader.h"
#include "differ.h"
#include "generator.h"
#include "image.h"
#include "interp/interp.h"
#include "reducer.h"
#include "wat/wat.h"

namespace wafer::diff {

namespace {

using runtime::TrapCode;
using Clock = std::chrono::steady_clock;

constexpr unsigned kSecondsForModule = 120;  // more is a hang
constexpr unsigned kSecondsForProbe = 20;
constexpr int64_t kProbeLimit = 2'000'000;  // instructions of a module that is being reduced
constexpr uint32_t kTraps = uint32_t(TrapCode::Pending) + 1;

struct Settings {
  uint64_t seed = 1;
  uint64_t count = 100;
  double seconds = 0;  // 0: no bound
  std::vector<std::string> tiers;
  std::string profile;             // empty: the seed chooses
  std::vector<std::string> files;  // in place of generated modules
  std::string dump;
  uint32_t findings = 1;
  uint32_t tries = 3000;
  bool all_traps = false;
  bool verbose = false;
};

// What the process that runs code tells the one that watches it; in shared memory.
struct Progress {
  uint64_t seed = 0;
  uint32_t tier = 0;  // the one that runs
  bool mismatch = false;
  uint64_t modules = 0, functions = 0, instructions = 0, calls = 0, compared = 0;
  uint64_t traps[kTraps] = {};
  bool opcodes[size_t(wasm::Opcode::Count)] = {};
};

const Profile& profile_of(const Settings& settings, uint64_t seed) {
  for (const Profile& p : profiles())
    if (p.name == settings.profile) return p;
  return profiles()[mix(seed) % profiles().size()];
}

using Images = std::vector<ModuleImage>;
using Modules = std::vector<Vec<uint8_t>>;

// One module, or two of which the second imports from the first.
Images images_for(const Settings& settings, uint64_t seed) {
  Chooser chooser(seed);
  GenOptions options;
  options.groups = profile_of(settings, seed).groups;
  // The interpreter in place does not know what takes more than a slot, or the collector.
  if (std::ranges::find(settings.tiers, "in-place") != settings.tiers.end())
    for (const Group group :
         {Group::Simd, Group::RelaxedSimd, Group::Atomics, Group::WideArithmetic, Group::Memory64,
          Group::Gc, Group::Continuations, Group::Descriptors, Group::LegacyExceptions})
      options.groups = options.groups.without(group);
  Images out;
  out.push_back(generate(chooser, options));
  if (!chooser.one_in(3)) return out;
  options.provider = &out[0];
  ModuleImage second = generate(chooser, options);
  out.push_back(std::move(second));
  return out;
}

Modules encode_all(const Images& images) {
  Modules out;
  for (const ModuleImage& image : images) out.push_back(encode(image));
  return out;
}

RunOptions run_options(uint64_t seed) {
  RunOptions out;
  out.seed = seed;
  return out;
}

void print_mismatch(const Mismatch& m, std::string_view reference, std::string_view other) {
  std::cout << "  call: " << m.call << "\n  " << reference << ": " << m.expected << "\n  " << other
            << ": " << m.actual << '\n';
}

Result<std::vector<TierUnderTest>> make_tiers(const Settings& settings) {
  std::vector<TierUnderTest> out;
  for (const std::string& name : settings.tiers) {
    WAFER_LET(tier, make_tier(name));
    tier.precise |= settings.all_traps;
    out.push_back(std::move(tier));
  }
  return out;
}

// --- The process that runs code --------------------------------------------------------

void count(Progress& progress, const Images& images, const Trace& trace) {
  for (const ModuleImage& image : images) {
    ++progress.modules;
    progress.functions += image.functions.size();
    for (const FuncImage& f : image.functions) {
      progress.instructions += f.code.size();
      for (const wasm::Instr& in : f.code) progress.opcodes[size_t(in.op)] = true;
    }
  }
  for (const Event& e : trace.events) {
    ++progress.calls;
    ++progress.traps[uint32_t(e.trap)];
  }
}

// Runs modules everywhere; true if all agree.
bool check(const std::vector<TierUnderTest>& tiers, const Images& images, const Modules& modules,
           const RunOptions& options, Progress& progress) {
  alarm(kSecondsForModule);
  progress.tier = 0;
  const Trace reference = run(tiers[0], modules, options);
  count(progress, images, reference);
  if (reference.refused) {
    std::cout << "  the module is refused: " << reference.refused->message << '\n';
    return false;
  }
  for (uint32_t t = 1; t < tiers.size(); ++t) {
    progress.tier = t;
    const Trace other = run(tiers[t], modules, options);
    if (const auto m = compare(tiers[0], reference, tiers[t], other)) {
      print_mismatch(*m, tiers[0].name, tiers[t].name);
      return false;
    }
    progress.compared += other.events.size();
  }
  return true;
}

// Runs modules from `progress.seed` on; false after a mismatch.
bool run_seeds(const Settings& settings, uint64_t end, Clock::time_point deadline,
               Progress& progress) {
  const auto tiers = make_tiers(settings);
  for (; progress.seed != end; ++progress.seed) {
    if (settings.seconds > 0 && Clock::now() >= deadline) break;
    if (settings.verbose)
      std::cout << "seed " << progress.seed << ' ' << profile_of(settings, progress.seed).name
                << '\n'
                << std::flush;
    const Images images = images_for(settings, progress.seed);
    if (!check(*tiers, images, encode_all(images), run_options(progress.seed), progress)) {
      progress.mismatch = true;
      return false;
    }
  }
  return true;
}

// --- The process that watches ----------------------------------------------------------

// Runs `body` in a process of its own: its exit code, or 128 + the signal that ended it.
template <class F>
int in_child(F body) {
  std::cout.flush();
  const pid_t child = fork();
  if (child == 0) {
    std::exit(body());
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

enum ProbeResult { kSame = 0, kDiffers = 1, kUseless = 2, kDies = 128 };

// Do the modules show the finding in tier `t`?
int probe(const Settings& settings, uint32_t t, const Modules& modules, uint64_t seed) {
  const int code = in_child([&] {
    alarm(kSecondsForProbe);
    const int null = open("/dev/null", O_WRONLY);
    dup2(null, 2);
    auto tiers = make_tiers(settings);
    const Trace limited = run((*tiers)[0], modules, run_options(seed), kProbeLimit);
    if (limited.refused || limited.cut) return int(kUseless);
    const Trace reference = run((*tiers)[0], modules, run_options(seed));
    const Trace other = run((*tiers)[t], modules, run_options(seed));
    return int(compare((*tiers)[0], reference, (*tiers)[t], other) ? kDiffers : kSame);
  });
  return code >= kDies ? int(kDies) : code;
}

void write_modules(const Settings& settings, uint64_t seed, const Modules& modules) {
  const std::string base =
      settings.dump.empty() ? "wafer-diff-" + std::to_string(seed) : settings.dump;
  for (size_t i = 0; i < modules.size(); ++i) {
    const std::string path =
        base + (modules.size() > 1 ? "." + std::to_string(i + 1) : "") + ".wasm";
    std::ofstream out(path, std::ios::binary);
    out.write(reinterpret_cast<const char*>(modules[i].data()), std::streamsize(modules[i].size()));
    std::cout << "  written to " << path << '\n';
  }
}

// Takes all that a generated or written module may use.
std::shared_ptr<runtime::Engine> reader() {
  runtime::Config config;
  config.features = wasm::FeatureSet::all();
  return runtime::Engine::create(config, interp::tier());
}

void print_text(const Modules& modules) {
  const auto engine = reader();
  for (const Vec<uint8_t>& bytes : modules) {
    const auto module = engine->load_module(bytes);
    if (!module) continue;
    if (const auto text = wat::print_wat(**module)) std::cout << *text << '\n';
  }
}

// Makes the modules of a finding small, prints and writes them.
void report(const Settings& settings, Images images, const Progress& progress) {
  const uint64_t seed = progress.seed;
  Modules modules = encode_all(images);
  const int wanted = probe(settings, progress.tier, modules, seed);
  if (settings.tries && (wanted == kDiffers || wanted == kDies)) {
    // From the last one, so that what it imports can go after it.
    for (size_t i = images.size(); i--;)
      images[i] = reduce(
          images[i],
          [&](const ModuleImage& m) {
            Modules candidate = encode_all(images);
            candidate[i] = encode(m);
            return probe(settings, progress.tier, candidate, seed) == wanted;
          },
          settings.tries);
    modules = encode_all(images);
    std::cout << "reduced:\n";
    if (wanted == kDiffers)
      in_child([&] {
        auto tiers = make_tiers(settings);
        const auto& other = (*tiers)[progress.tier];
        const Trace a = run((*tiers)[0], modules, run_options(seed));
        const Trace b = run(other, modules, run_options(seed));
        if (const auto m = compare((*tiers)[0], a, other, b))
          print_mismatch(*m, (*tiers)[0].name, other.name);
        return 0;
      });
    print_text(modules);
  }
  write_modules(settings, seed, modules);
}

void print_totals(const Settings& settings, const Progress& p) {
  size_t opcodes = 0;
  for (const bool used : p.opcodes) opcodes += used;
  std::cout << p.modules << " modules, " << p.functions << " functions, " << p.instructions
            << " instructions of " << opcodes << " kinds\n"
            << p.calls << " calls and instantiations, of which " << p.calls - p.traps[0]
            << " did not return; " << p.compared << " repeated in other tiers\n";
  for (uint32_t i = 1; i < kTraps; ++i)
    if (p.traps[i])
      std::cout << "  " << p.traps[i] << ' ' << runtime::trap_message(TrapCode(i)) << '\n';
  if (!settings.verbose) return;
  std::cout << "never made:";
  for (size_t i = 0; i < size_t(wasm::Opcode::Count); ++i)
    if (!p.opcodes[i]) std::cout << ' ' << wasm::opcode_info(wasm::Opcode(i)).text;
  std::cout << '\n';
}

// Compares with modules of files in place of generated ones.
int run_files(const Settings& settings, Progress& progress) {
  const auto engine = reader();
  Images images;
  Modules modules;
  for (const std::string& path : settings.files) {
    std::ifstream in(path, std::ios::binary);
    modules.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
    const auto module = engine->load_module(modules.back());
    auto image = module ? image_of(**module) : Result<ModuleImage>(module.error());
    if (!image) {
      std::cerr << path << ": " << image.error().message << '\n';
      return 2;
    }
    images.push_back(*std::move(image));
  }
  progress.seed = settings.seed;
  const int code = in_child([&] {
    return int(
        !check(*make_tiers(settings), images, modules, run_options(settings.seed), progress));
  });
  if (code >= kDies)
    std::cout << "ended by signal " << code - kDies << " in " << settings.tiers[progress.tier]
              << '\n';
  if (code == 0) std::cout << "all agree\n";
  if (code != 0 && !settings.dump.empty()) report(settings, std::move(images), progress);
  return code != 0;
}

int run_generated(const Settings& settings, Progress& progress) {
  const auto deadline = Clock::now() + std::chrono::milliseconds(int64_t(settings.seconds * 1000));
  const uint64_t end = settings.seed + settings.count;
  uint32_t findings = 0;
  progress.seed = settings.seed;
  while (findings < settings.findings) {
    const int code = in_child([&] { return int(!run_seeds(settings, end, deadline, progress)); });
    if (code == 0) break;
    ++findings;
    std::cout << "seed " << progress.seed << " (" << profile_of(settings, progress.seed).name
              << "): " << settings.tiers[progress.tier];
    if (progress.mismatch)
      std::cout << " disagrees, see above\n";
    else if (code == 128 + SIGALRM)
      std::cout << " hangs\n";
    else
      std::cout << " dies of signal " << code - kDies << '\n';
    report(settings, images_for(settings, progress.seed), progress);
    progress.mismatch = false;
    ++progress.seed;
  }
  print_totals(settings, progress);
  return findings != 0;
}

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  settings.tiers = {"interp", "reference", "baseline", "llvm", "auto"};
  CLI::App app("Makes WebAssembly modules at random and compares how the tiers run them");
  std::vector<std::string> profile_names;
  for (const Profile& p : profiles()) profile_names.emplace_back(p.name);
  app.add_option("FILE", settings.files, "Modules to run in place of generated ones")
      ->check(CLI::ExistingFile);
  app.add_option("--seed", settings.seed, "Of the first module")->capture_default_str();
  app.add_option("--count", settings.count, "Number of modules")->capture_default_str();
  app.add_option("--time", settings.seconds, "Stop after so many seconds; 0: no bound")
      ->capture_default_str();
  app.add_option(
         "--tier", settings.tiers,
         "Tiers to compare with the first: interp, baseline, optimizing, llvm, auto; reference (an "
         "evaluator that shares nothing with them); auto-parts (what is hot is optimized "
         "one by one); llvm-relaxed (with "
         "relaxed traps); llvm-0, llvm-1 and llvm-3 (other levels of optimization)")
      ->delimiter(',')
      ->check(CLI::IsMember(std::vector<std::string>(tier_names().begin(), tier_names().end())))
      ->capture_default_str();
  app.add_option("--profile", settings.profile, "Features of the modules; default: by seed")
      ->check(CLI::IsMember(profile_names));
  app.add_option("--dump", settings.dump, "Where to write the modules of a finding, without .wasm")
      ->type_name("FILE");
  app.add_option("--findings", settings.findings, "Stop after so many")->capture_default_str();
  app.add_option("--tries", settings.tries, "Runs that making a finding small may take")
      ->capture_default_str();
  app.add_flag("--all-traps", settings.all_traps,
               "Compare what comes after traps in llvm-relaxed too, which finds differences");
  app.add_flag("--verbose", settings.verbose, "Name each seed, and what was never made");
  CLI11_PARSE(app, argc, argv);

  // Once here, so that it is there in every process that is forked.
  for (const std::string& name : settings.tiers) {
    if (name == "interp" || name == "baseline" || name == "optimizing" || name == "reference")
      continue;
    if (const auto backend = compiler::load_llvm_backend(); !backend) {
      std::cerr << backend.error().message << '\n';
      return 2;
    }
  }
  void* shared =
      mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return 2;
  auto& progress = *new (shared) Progress;
  return settings.files.empty() ? run_generated(settings, progress) : run_files(settings, progress);
}

}  // namespace wafer::diff

int main(int argc, char** argv) {
  try {
    return wafer::diff::main(argc, argv);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "wafer-diff: %s\n", e.what());
    return 2;
  }
}

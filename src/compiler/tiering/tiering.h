// Tiering: starts in baseline code and moves what is hot to optimized code, which threads
// of its own make meanwhile. A function's next call takes its optimized code; a loop that
// goes on in the old code after that moves over at its head.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "compiler/baseline/tier.h"

namespace wafer::compiler {

struct TieringOptions {
  // Entries of a function, or rounds of its loops, that make it hot.
  uint32_t heat = 30'000;
  // What a call or a round of a loop takes, in baseline code: what is not worth the time that its
  // code takes is left.
  double seconds_per_round = 8e-9;
  // A module with at most this many bytes of bodies is optimized as a whole as well, once
  // something in it is hot and the process has used as much processor time as that is expected
  // to take: of a program that ends before, it would be for nothing, and a program for which
  // there is no processor left would wait for it. The cache keeps that, and until then what
  // was hot.
  uint64_t whole_bytes = 2u << 20;
  double seconds_per_byte = 15e-6;
  // With at most this many that is all: single functions would not be ready sooner.
  uint64_t small_bytes = 16u << 10;
  // Without it code is made on the spot, while the program waits: for tests that want to
  // know when.
  bool background = true;
};

class TieringTier final : public runtime::Tier {
 public:
  // `options` tell where optimized code comes from.
  explicit TieringTier(TierOptions options, const TieringOptions& tiering = {});
  // Waits for the piece of code that is being made.
  ~TieringTier();

  Result<void> attach(Instance& instance) override;
  void detach_store(Store& store) override;
  void prepare_host_func(FuncInst& func) override { make_host_func_native(func); }

  // Modules that have optimized code of all functions from the start run in it.
  std::shared_ptr<void> find_code(Bytes module, const runtime::Engine& engine) override;
  Result<Vec<uint8_t>> compile(const wasm::Module& module, const runtime::Engine& engine,
                               bool with_module) override {
    return native_.compile(module, engine, with_module);
  }
  bool runs_stored_code() const override { return native_.runs_stored_code(); }
  Result<StoredCode> load_code(Bytes bytes) override { return native_.load_code(bytes); }
  Result<StoredCode> map_code(const char* path) override { return native_.map_code(path); }
  Result<StoredCode> map_code(int fd) override { return native_.map_code(fd); }

  // True while code is being made in the background.
  bool busy() const;
  // Waits until nothing is being made and nothing waits; for tests and benchmarks.
  void wait_until_idle();

 private:
  // What is known of one module that runs, or has run and may again.
  struct Running {
    std::weak_ptr<const wasm::Module> owner;  // expired: it cannot run any more
    const wasm::Module* module = nullptr;
    BaselineCode* code = nullptr;  // the module's
    CompileOptions compile;
    bool whole = false, small = false;  // by TieringOptions
    double whole_after = 0;             // seconds of processor time
    bool whole_asked = false, whole_ready = false;
    std::vector<bool> asked, ready;  // by function index: optimized code
    std::vector<LoopEntry> hot;      // asked for and waiting; loop 0: calls of the function
    std::vector<bool> watched;       // by function index: was hot once, in a loop
    // Code that is entered at a loop, by the loop's offset; null until it is ready.
    std::unordered_map<uint32_t, void*> loops;
    std::vector<bool> entering;            // by function index: one of its loops waits for that
    std::unordered_set<uint32_t> taken;    // of these, what a function went on in
    std::unordered_set<uint32_t> refused;  // loops that cannot be entered
    // By function index: when it was last found hot, how often, and how often of late.
    std::vector<std::chrono::steady_clock::time_point> hot_at;
    std::vector<uint32_t> hits;
    std::vector<float> hotness;
    bool resting = false;  // nothing that waits is worth its code yet
    std::vector<Instance*> instances;
    std::atomic<uint32_t> cancel{0};  // not 0: nobody wants code of it
    // Of single functions and loops, in the cache; only one job at a time adds to them.
    CodeParts parts;
    size_t parts_taken = 0;  // so many of them run
    // What the cache finds the module by; made when first needed.
    const CacheKey& key() {
      std::call_once(key_made, [this] { found_by.emplace(module->bytes); });
      return *found_by;
    }
    std::once_flag key_made;
    std::optional<CacheKey> found_by;
  };
  using Lock = std::unique_lock<std::mutex>;
  // Something to do for a module, which it holds.
  struct Job {
    std::shared_ptr<Running> running;
    std::shared_ptr<const wasm::Module> module;
    std::function<void(Running&)> work;
  };
  // A thread, started when first needed, and what it has to do.
  struct Lane {
    std::deque<Job> jobs;
    std::shared_ptr<Running> working;  // for which one; null if for none
    std::thread thread;
  };

  static void* on_hot(VmContext& context, uint32_t func, uint32_t loop);
  std::shared_ptr<Running> find(const VmContext& context) const;
  void forget_the_dead(Lock& lock);
  void ask_for_whole(const std::shared_ptr<Running>& running, Lock& lock);
  void ask(const std::shared_ptr<Running>& running, uint32_t func, Lock& lock);
  void* ask_for_loop(const std::shared_ptr<Running>& running, const LoopEntry& entry, Lock& lock);
  void look_again(const std::shared_ptr<Running>& running, Lock& lock);
  void ask_for(const std::shared_ptr<Running>& running, const LoopEntry& entry, Lock& lock);
  void queue(Lane& lane, const std::shared_ptr<Running>& running,
             std::function<void(Running&)> todo, Lock& lock);
  void work(Lane& lane, bool background);
  bool wait_until_worthwhile(const Running& running);
  void optimize_whole(Running& running);
  bool is_worthwhile(const Running& running, const LoopEntry& entry) const;
  std::vector<LoopEntry> next_batch(Running& running) const;
  void optimize_hot(Running& running);
  double optimize_functions(Running& running, std::vector<uint32_t> functions);
  bool use_parts(Running& running, ImageParts& parts);
  void take_new_parts(Running& running);
  double optimize_loop(Running& running, const LoopEntry& entry);
  Result<ImageParts> make_code(Running& running, CompileOptions options,
                               std::span<const uint32_t> functions);
  static std::shared_ptr<CodeImage> load(std::shared_ptr<CodeImage> mapped,
                                         const ImageParts& parts);
  void install(Running& running, CodeImage& image, bool whole);

  TierOptions options_;
  const TieringOptions tiering_;
  NativeTier native_;
  BaselineTier baseline_;

  mutable std::mutex mutex_;  // of everything below
  std::condition_variable wake_, idle_;
  std::unordered_map<const BaselineCode*, std::shared_ptr<Running>> running_;
  uint64_t modules_ = 0;   // so many have been known
  size_t forget_at_ = 16;  // how many there are when the dead among them are looked for
  Lane urgent_;            // what is hot
  Lane whole_;             // whole modules, with what processor time is left
  bool stopping_ = false;
  uint32_t awaited_ = 0;  // callers that wait for all that is queued
  bool contended_;        // what compiles waits for processors, and then the program may, too
  std::atomic<bool> warned_{false};
};

}  // namespace wafer::compiler

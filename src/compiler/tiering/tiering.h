// Tiering: starts in baseline code and moves what is hot to optimized code, which a
// thread of its own makes meanwhile.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "compiler/baseline/tier.h"

namespace wafer::compiler {

struct TieringOptions {
  // Entries of a function, or rounds of its loops, that make it hot.
  uint32_t heat = 30'000;
  // A module with at most this many bytes of bodies is optimized as a whole, once
  // anything in it is hot, and kept in the cache; of a larger one only what is hot.
  uint64_t whole_bytes = 2u << 20;
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

  // Runs modules that have optimized code from the start.
  NativeTier& native() { return native_; }
  // True while code is being made in the background.
  bool busy() const;
  // Waits until nothing is being made and nothing waits; for tests and benchmarks.
  void wait_until_idle();

 private:
  // What is known of one module that runs.
  struct Running {
    std::shared_ptr<const wasm::Module> module;
    std::shared_ptr<BaselineCode> code;
    CompileOptions compile;
    bool whole = false;
    bool queued = false;
    std::vector<bool> asked;    // by function index
    std::vector<uint32_t> hot;  // waiting
    std::vector<Instance*> instances;
  };

  static void on_hot(VmContext& context, uint32_t func);
  void ask(Running& running, uint32_t func);
  void work();
  void optimize(const std::shared_ptr<Running>& running, std::vector<uint32_t> functions);
  Result<std::shared_ptr<CodeImage>> make_image(const Running& running,
                                                std::span<const uint32_t> functions);
  void install(Running& running, std::shared_ptr<CodeImage> image);

  TierOptions options_;
  const TieringOptions tiering_;
  NativeTier native_;
  BaselineTier baseline_;

  mutable std::mutex mutex_;  // of everything below
  std::condition_variable wake_, idle_;
  std::unordered_map<const BaselineCode*, std::shared_ptr<Running>> running_;
  std::deque<std::shared_ptr<Running>> queue_;
  bool making_ = false;
  bool stopping_ = false;
  std::atomic<bool> cancel_{false};
  std::thread worker_;  // started when first needed
};

}  // namespace wafer::compiler

#include "compiler/tiering/tiering.h"

#include <algorithm>

namespace wafer::compiler {

namespace {

bool has_optimized_code(const wasm::Module& module) {
  const MutexLock lock(module.tier_mutex);
  return module.precompiled != nullptr;
}

}  // namespace

TieringTier::TieringTier(TierOptions options, const TieringOptions& tiering)
    : options_(options), tiering_(tiering), native_(std::move(options)), baseline_(tiering.heat) {}

TieringTier::~TieringTier() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    cancel_ = true;
  }
  wake_.notify_all();
  if (worker_.joinable()) worker_.join();
}

Result<void> TieringTier::attach(Instance& instance) {
  if (has_optimized_code(*instance.module)) return native_.attach(instance);
  WAFER_TRY(baseline_.attach(instance));
  auto code = std::static_pointer_cast<BaselineCode>(instance.module->baseline_code);
  const std::lock_guard lock(mutex_);
  std::shared_ptr<Running>& running = running_[code.get()];
  if (!running) {
    running = std::make_shared<Running>();
    running->module = instance.module;
    running->code = code;
    running->compile = native_.options_for(instance.store->engine());
    uint64_t bytes = 0;
    for (const wasm::Function& f : instance.module->functions) bytes += f.body.size();
    running->whole = bytes <= tiering_.whole_bytes;
    running->asked.resize(instance.module->functions.size());
  }
  running->instances.push_back(&instance);
  auto& context = *static_cast<VmContext*>(instance.tier_data);
  context.better_code = on_hot;
  context.better_code_from = this;
  return {};
}

void TieringTier::detach_store(Store& store) {
  {
    const std::lock_guard lock(mutex_);
    for (auto it = running_.begin(); it != running_.end();) {
      Running& r = *it->second;
      std::erase_if(r.instances, [&store](Instance* i) { return i->store == &store; });
      // Queued work goes on with its own hold of all this, and then finds nobody.
      it = r.instances.empty() ? running_.erase(it) : std::next(it);
    }
  }
  baseline_.detach_store(store);
}

void TieringTier::on_hot(VmContext& context, uint32_t func) {
  auto& tier = *static_cast<TieringTier*>(context.better_code_from);
  const std::lock_guard lock(tier.mutex_);
  for (const auto& [code, running] : tier.running_)
    if (code->entries.data() == context.entries) tier.ask(*running, func);
}

void TieringTier::ask(Running& running, uint32_t func) {
  if (running.asked[func] || stopping_ || !options_.backend) return;
  running.asked[func] = true;
  if (running.whole) {
    // Once for all of it.
    running.asked.assign(running.asked.size(), true);
    running.hot.clear();
  } else {
    running.hot.push_back(func);
  }
  if (running.queued) return;
  running.queued = true;
  queue_.push_back(running_.at(running.code.get()));
  if (!worker_.joinable()) worker_ = std::thread([this] { work(); });
  wake_.notify_one();
}

void TieringTier::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (queue_.empty()) idle_.notify_all();
    wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (stopping_) return;
    const std::shared_ptr<Running> running = queue_.front();
    queue_.pop_front();
    running->queued = false;
    std::vector<uint32_t> functions = std::move(running->hot);
    running->hot.clear();
    making_ = true;
    lock.unlock();
    optimize(running, std::move(functions));
    lock.lock();
    making_ = false;
  }
}

void TieringTier::optimize(const std::shared_ptr<Running>& running,
                           std::vector<uint32_t> functions) {
  std::sort(functions.begin(), functions.end());
  Result<std::shared_ptr<CodeImage>> image = make_image(*running, functions);
  // Baseline code goes on if there is none; the program loses speed and nothing else.
  if (image) install(*running, *std::move(image));
}

Result<std::shared_ptr<CodeImage>> TieringTier::make_image(const Running& running,
                                                           std::span<const uint32_t> functions) {
  const wasm::Module& module = *running.module;
  WAFER_LET(backend, options_.backend());
  CompileOptions compile = running.compile;
  compile.cancel = &cancel_;
  compile.through_entries = !running.whole;
  // One processor is the program's.
  compile.threads = std::max(1u, std::thread::hardware_concurrency() - 1);
  WAFER_LET(parts, backend->compile(module, compile, functions));
  const bool keep = running.whole && options_.cache;
  if (keep) parts.module.assign(module.bytes.begin(), module.bytes.end());
  const Vec<uint8_t> bytes = write_image(parts);
  if (keep)
    if (auto image = options_.cache->store(module.bytes, running.compile, bytes)) return image;
  return CodeImage::load(bytes);
}

void TieringTier::install(Running& running, std::shared_ptr<CodeImage> image) {
  const wasm::Module& module = *running.module;
  image->describe(module);
  const std::lock_guard lock(mutex_);
  for (const ImageFunction& f : image->functions()) {
    void* code = const_cast<uint8_t*>(image->base()) + f.begin;
    running.code->replace(f.func_index, code);
    for (Instance* instance : running.instances)
      std::atomic_ref<void*>(instance->funcs[f.func_index]->native)
          .store(code, std::memory_order_release);
  }
  running.code->hold(image);
  if (running.whole) {
    const MutexLock module_lock(module.tier_mutex);
    module.precompiled = std::move(image);
  }
}

bool TieringTier::busy() const {
  const std::lock_guard lock(mutex_);
  return making_ || !queue_.empty();
}

void TieringTier::wait_until_idle() {
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [this] { return !making_ && queue_.empty(); });
}

}  // namespace wafer::compiler

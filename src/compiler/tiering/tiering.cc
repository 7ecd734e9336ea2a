#include "compiler/tiering/tiering.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>

#include "compiler/llvm_loader.h"

namespace wafer::compiler {

namespace {

constexpr int kBackgroundNice = 10;
constexpr std::chrono::seconds kRestAfter{1};

// Processor time that the process has used.
double used_seconds() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return double(t.tv_sec) + double(t.tv_nsec) * 1e-9;
}

void set_native(FuncInst& func, void* code) {
  std::atomic_ref<void*>(func.native).store(code, std::memory_order_release);
}

}  // namespace

TieringTier::TieringTier(TierOptions options, const TieringOptions& tiering)
    : options_(options), tiering_(tiering), native_(std::move(options)), baseline_(tiering.heat) {}

TieringTier::~TieringTier() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    for (const auto& [code, running] : running_) running->cancel = 1;
  }
  wake_.notify_all();
  for (Lane* lane : {&urgent_, &whole_})
    if (lane->thread.joinable()) lane->thread.join();
}

Result<void> TieringTier::attach(Instance& instance) {
  const auto kept = kept_code(*instance.module);
  if (kept && kept->whole) return native_.attach(instance);
  WAFER_TRY(baseline_.attach(instance));
  auto code = std::static_pointer_cast<BaselineCode>(instance.module->baseline_code);
  std::unique_lock lock(mutex_);
  forget_the_dead(lock);
  std::shared_ptr<Running>& known = running_[code.get()];
  // (What is left of another module may have been where this one's code is.)
  const bool is_new = !known || known->owner.expired();
  if (is_new) known = std::make_shared<Running>();
  const std::shared_ptr<Running> running = known;
  if (is_new) {
    running->owner = instance.module;
    running->module = instance.module.get();
    running->code = code.get();
    running->compile = native_.options_for(instance.store->engine());
    uint64_t bytes = 0;
    for (const wasm::Function& f : instance.module->functions) bytes += f.body.size();
    running->whole = bytes <= tiering_.whole_bytes;
    running->small = bytes <= tiering_.small_bytes && running->whole;
    if (!running->small)
      running->whole_after = used_seconds() + double(bytes) * tiering_.whole_seconds_per_byte;
    running->hot_at.resize(instance.module->functions.size());
    running->entering.resize(instance.module->functions.size());
    running->watched.resize(instance.module->functions.size());
    running->asked.resize(instance.module->functions.size());
    running->ready.resize(instance.module->functions.size());
  }
  running->instances.push_back(&instance);
  // What was replaced since baseline_ looked.
  for (uint32_t i = instance.module->imported_functions; i < running->ready.size(); ++i)
    if (running->ready[i]) set_native(*instance.funcs[i], code->entries[i]);
  auto& context = *static_cast<VmContext*>(instance.tier_data);
  context.better_code = on_hot;
  context.better_code_from = this;
  if (is_new && kept) {
    running->parts = kept->parts;
    lock.unlock();
    for (const auto& part : kept->parts) {
      install(*running, *part, false);
      code->hold(part);
    }
  }
  return {};
}

std::shared_ptr<void> TieringTier::find_code(Bytes module, const runtime::Engine& engine) {
  if (auto whole = native_.find_code(module, engine)) return whole;
  if (!options_.cache) return nullptr;
  auto parts = options_.cache->find_parts(module, native_.options_for(engine));
  return parts.empty() ? nullptr : make_shared_in<KeptCode>(KeptCode{nullptr, std::move(parts)});
}

void TieringTier::detach_store(Store& store) {
  {
    std::unique_lock lock(mutex_);
    for (auto it = running_.begin(); it != running_.end();) {
      const std::shared_ptr<Running> r = it->second;
      const bool had = std::erase_if(r->instances, [&](Instance* i) { return i->store == &store; });
      // Queued work goes on: the module may be instantiated again. But bytes that someone lent
      // may be gone after this.
      if (!had || !r->instances.empty() || !r->module->lent()) {
        ++it;
        continue;
      }
      r->cancel = 1;
      for (Lane* lane : {&urgent_, &whole_})
        std::erase_if(lane->jobs, [&r](const Job& job) { return job.running == r; });
      it = running_.erase(it);
      wake_.notify_all();
      idle_.wait(lock, [&] { return urgent_.working != r && whole_.working != r; });
      it = running_.begin();  // others may have come and gone in the meantime
    }
  }
  baseline_.detach_store(store);
}

// Of modules that are gone nothing is left to know.
void TieringTier::forget_the_dead(Lock&) {
  if (running_.size() < forget_at_) return;
  std::erase_if(running_, [](const auto& entry) { return entry.second->owner.expired(); });
  forget_at_ = std::max<size_t>(16, 2 * running_.size());
}

void* TieringTier::on_hot(VmContext& context, uint32_t func, uint32_t loop) {
  auto& tier = *static_cast<TieringTier*>(context.better_code_from);
  std::unique_lock lock(tier.mutex_);
  // Look again before long: a loop may have to be taken over.
  context.heat[func] = std::max(tier.tiering_.heat / 8, 1u);
  if (tier.stopping_ || !tier.options_.backend) return nullptr;
  const std::shared_ptr<Running> running = tier.find(context);
  if (!running) return nullptr;
  running->hot_at[func] = std::chrono::steady_clock::now();
  tier.ask_for_whole(running, lock);
  if (running->ready[func]) return loop ? tier.ask_for_loop(running, {func, loop}, lock) : nullptr;
  // What is called once and stays in a loop for long, as `main` of many programs, needs code
  // that is entered there, and none for calls: twice the time to make, for nothing.
  if (loop && !running->small && !running->asked[func] && !running->refused.contains(loop)) {
    if (!running->watched[func]) {
      running->watched[func] = true;
      running->code->watch_calls(func);
      return nullptr;
    }
    if (!running->code->called_again(func)) {
      void* code = tier.ask_for_loop(running, {func, loop}, lock);
      // Where it was taken before, a further call has come to the loop.
      if (code && !running->taken.insert(loop).second) tier.ask(running, func, lock);
      return code;
    }
  }
  tier.ask(running, func, lock);
  return nullptr;
}

// The module that `context` runs.
std::shared_ptr<TieringTier::Running> TieringTier::find(const VmContext& context) const {
  for (const auto& [code, running] : running_)
    if (!running->instances.empty() && code->entries.data() == context.entries) return running;
  return nullptr;
}

void TieringTier::ask_for_whole(const std::shared_ptr<Running>& running, Lock& lock) {
  if (!running->whole || std::exchange(running->whole_asked, true)) return;
  queue(
      whole_, running,
      [this](Running& r) {
        if (!tiering_.background || wait_until_worthwhile(r)) optimize_whole(r);
      },
      lock);
}

void TieringTier::ask(const std::shared_ptr<Running>& running, uint32_t func, Lock& lock) {
  if (running->small || running->asked[func]) return;
  running->asked[func] = true;
  running->hot.push_back(func);
  // A job takes all that wait when its turn comes.
  if (running->hot.size() == 1)
    queue(urgent_, running, [this](Running& r) { optimize_hot(r); }, lock);
}

void* TieringTier::ask_for_loop(const std::shared_ptr<Running>& running, const LoopEntry& entry,
                                Lock& lock) {
  const auto known = running->loops.find(entry.loop);
  if (known != running->loops.end()) return known->second;
  // Not for loops around it or in it at the same time, of which one is enough.
  if (running->entering[entry.func]) return nullptr;
  running->entering[entry.func] = true;
  running->loops[entry.loop] = nullptr;
  queue(
      urgent_, running,
      [this, entry](Running& r) {
        optimize_loop(r, entry);
        const std::lock_guard done(mutex_);
        r.entering[entry.func] = false;
      },
      lock);
  return running->loops[entry.loop];
}

void TieringTier::queue(Lane& lane, const std::shared_ptr<Running>& running,
                        std::function<void(Running&)> todo, Lock& lock) {
  auto module = running->owner.lock();
  if (!module) return;
  if (!tiering_.background) {
    lock.unlock();
    todo(*running);
    lock.lock();
    return;
  }
  lane.jobs.push_back({running, std::move(module), std::move(todo)});
  if (!lane.thread.joinable())
    lane.thread = std::thread([this, &lane] { work(lane, &lane == &whole_); });
  wake_.notify_all();
}

void TieringTier::work(Lane& lane, bool background) {
  if (background) setpriority(PRIO_PROCESS, id_t(gettid()), kBackgroundNice);
  std::unique_lock lock(mutex_);
  bool worked = false;
  const auto called = [this, &lane] { return stopping_ || !lane.jobs.empty(); };
  for (;;) {
    // When there was nothing to do for a while, there may be nothing for long.
    if (worked && !wake_.wait_for(lock, kRestAfter, called)) {
      lock.unlock();
      rest_backends();
      lock.lock();
    }
    wake_.wait(lock, called);
    if (stopping_) return;
    worked = true;
    Job job = std::move(lane.jobs.front());
    lane.jobs.pop_front();
    lane.working = job.running;
    lock.unlock();
    job.work(*job.running);
    job.module.reset();  // without the lock: it may be the last hold of much
    lock.lock();
    lane.working.reset();
    idle_.notify_all();
  }
}

// Waits until the program has run for long enough. False if the tier ends before.
bool TieringTier::wait_until_worthwhile(const Running& running) {
  Lock lock(mutex_);
  while (!stopping_ && !running.cancel) {
    const double left = running.whole_after - used_seconds();
    if (left <= 0) return true;
    // At most as many processors work for the process as there are.
    const double soonest = left / std::max(1u, std::thread::hardware_concurrency());
    wake_.wait_for(lock, std::chrono::duration<double>(std::max(soonest, 0.01)));
  }
  return false;
}

// Where there is no code in the end, baseline code goes on: the program loses speed and
// nothing else.

void TieringTier::optimize_whole(Running& running) {
  CompileOptions compile = running.compile;
  // One processor is the program's.
  compile.threads = std::max(1u, std::thread::hardware_concurrency() - 1);
  const wasm::Module& module = *running.module;
  CodeCache::FoundOrTurn kept;
  if (options_.cache)
    kept = options_.cache->find_or_wait(module.bytes, running.compile, &running.cancel);
  std::shared_ptr<CodeImage> image = std::move(kept.found);
  if (!image) {
    auto parts = make_code(running, compile, {});
    if (!parts) return;
    if (options_.cache) {
      parts->module.assign(module.bytes.begin(), module.bytes.end());
      image = options_.cache->store(module.bytes, running.compile, write_image(*parts));
    }
    image = load(std::move(image), *parts);
    if (!image) return;
  }
  install(running, *image, true);
  running.code->hold(image);
  const MutexLock lock(module.tier_mutex);
  module.precompiled = make_shared_in<KeptCode>(KeptCode{std::move(image), {}});
}

namespace {

// Takes from `hot` what is to be compiled next, the smallest first: they are ready at once,
// and a large one does not keep many waiting.
std::vector<uint32_t> next_batch(const wasm::Module& module, std::vector<uint32_t>& hot) {
  constexpr size_t kBatchBytes = 4u << 10;
  const auto size = [&module](uint32_t f) { return module.functions[f].body.size(); };
  std::sort(hot.begin(), hot.end(), [&size](uint32_t a, uint32_t b) {
    return size(a) != size(b) ? size(a) < size(b) : a < b;
  });
  size_t bytes = size(hot[0]), n = 1;
  while (n < hot.size() && bytes + size(hot[n]) <= kBatchBytes) bytes += size(hot[n++]);
  std::vector<uint32_t> batch(hot.begin(), hot.begin() + ptrdiff_t(n));
  hot.erase(hot.begin(), hot.begin() + ptrdiff_t(n));
  std::sort(batch.begin(), batch.end());
  return batch;
}

}  // namespace

void TieringTier::optimize_hot(Running& running) {
  const wasm::Module& module = *running.module;
  std::vector<uint32_t> functions;
  {
    std::unique_lock lock(mutex_);
    if (running.whole_ready) running.hot.clear();
    if (running.hot.empty()) return;
    functions = next_batch(module, running.hot);
    const auto known = running_.find(running.code);
    if (!running.hot.empty() && known != running_.end())
      queue(urgent_, known->second, [this](Running& r) { optimize_hot(r); }, lock);
  }
  Turn turn;
  if (options_.cache) {
    turn = options_.cache->wait_for_parts(module.bytes, running.compile, &running.cancel);
    take_new_parts(running);
    const std::lock_guard lock(mutex_);
    std::erase_if(functions, [&running](uint32_t f) { return running.ready[f]; });
    if (functions.empty()) return;
  }
  CompileOptions compile = running.compile;
  compile.through_entries = true;
  compile.threads = 1;
  auto parts = make_code(running, compile, functions);
  if (!parts) return;
  std::shared_ptr<CodeImage> image;
  if (options_.cache) {
    image = options_.cache->store_part(module.bytes, running.compile, running.parts, *parts);
    if (image) running.parts.push_back(image);
  }
  image = load(std::move(image), *parts);
  if (!image) return;
  install(running, *image, false);
  running.code->hold(std::move(image));
}

// Code that other processes have added to the cache.
void TieringTier::take_new_parts(Running& running) {
  for (auto& part :
       options_.cache->find_parts(running.module->bytes, running.compile, running.parts)) {
    install(running, *part, false);
    running.code->hold(part);
    running.parts.push_back(std::move(part));
  }
}

void TieringTier::optimize_loop(Running& running, const LoopEntry& entry) {
  constexpr auto kStale = std::chrono::milliseconds(200);
  {
    const std::lock_guard lock(mutex_);
    // The loop may have ended, or gone on in other code, while this waited for its turn.
    if (tiering_.background &&
        std::chrono::steady_clock::now() - running.hot_at[entry.func] > kStale) {
      running.loops.erase(entry.loop);
      return;
    }
  }
  CompileOptions compile = running.compile;
  compile.through_entries = true;
  compile.threads = 1;
  compile.enter_at = entry;
  auto parts = make_code(running, compile, {});
  std::shared_ptr<CodeImage> image = parts ? load(nullptr, *parts) : nullptr;
  if (!image) {
    const std::lock_guard lock(mutex_);
    running.refused.insert(entry.loop);
    return;
  }
  image->describe(*running.module);
  const std::lock_guard lock(mutex_);
  for (const ImageFunction& f : image->functions())
    if (f.loop == entry.loop)
      running.loops[entry.loop] = const_cast<uint8_t*>(image->base()) + f.begin;
  running.code->hold(std::move(image));
}

Result<ImageParts> TieringTier::make_code(Running& running, CompileOptions options,
                                          std::span<const uint32_t> functions) {
  Result<Backend*> found = options_.backend();
  if (!found) {
    if (options_.warn && !warned_.exchange(true)) {
      String message(found.error().message);
      message += "; hot code stays as it is, several times slower than it could be";
      options_.warn(message.c_str());
    }
    return found.take_error();
  }
  Backend* const backend = *found;
  options.cancel = &running.cancel;
  return backend->compile(*running.module, options, functions);
}

// The image that the cache has mapped, or else one in memory; null without room for it.
std::shared_ptr<CodeImage> TieringTier::load(std::shared_ptr<CodeImage> mapped,
                                             const ImageParts& parts) {
  if (mapped) return mapped;
  auto loaded = CodeImage::load(write_image(parts));
  return loaded ? *std::move(loaded) : nullptr;
}

// Makes the functions of `image` what calls reach from now on. A whole module's code,
// which calls directly, is not replaced by that of single functions.
void TieringTier::install(Running& running, CodeImage& image, bool whole) {
  image.describe(*running.module);
  const std::lock_guard lock(mutex_);
  if (running.whole_ready) return;
  running.whole_ready = whole;
  for (const ImageFunction& f : image.functions()) {
    void* code = const_cast<uint8_t*>(image.base()) + f.begin;
    running.code->replace(f.func_index, code);
    running.ready[f.func_index] = true;
    for (Instance* instance : running.instances) set_native(*instance->funcs[f.func_index], code);
  }
}

bool TieringTier::busy() const {
  const std::lock_guard lock(mutex_);
  return urgent_.working || whole_.working || !urgent_.jobs.empty() || !whole_.jobs.empty();
}

void TieringTier::wait_until_idle() {
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [this] {
    return !urgent_.working && !whole_.working && urgent_.jobs.empty() && whole_.jobs.empty();
  });
}

}  // namespace wafer::compiler

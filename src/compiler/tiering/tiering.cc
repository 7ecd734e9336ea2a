#include "compiler/tiering/tiering.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>

namespace wafer::compiler {

namespace {

constexpr int kBackgroundNice = 10;
constexpr uint32_t kRepeat = 8;  // what is hot is found so by this part of the heat again
constexpr std::chrono::seconds kRestAfter{1};

double seconds_of(clockid_t clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return double(t.tv_sec) + double(t.tv_nsec) * 1e-9;
}

// Processor time that the process has used.
double used_seconds() { return seconds_of(CLOCK_PROCESS_CPUTIME_ID); }

// Whether a thread could work for as long as it had something to do.
class Stopwatch {
 public:
  // Another process worked for it.
  void add(double seconds) { worked_ -= seconds; }
  // Of the time since this was made; nothing if that was too short to tell.
  std::optional<bool> waited() const {
    constexpr double kShort = 0.01, kShare = 0.75;
    const double all = seconds_of(CLOCK_MONOTONIC) - all_;
    if (all < kShort) return std::nullopt;
    return seconds_of(CLOCK_THREAD_CPUTIME_ID) - worked_ < all * kShare;
  }

 private:
  double all_ = seconds_of(CLOCK_MONOTONIC), worked_ = seconds_of(CLOCK_THREAD_CPUTIME_ID);
};

bool has_one_processor() {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) == 1;
}

void set_native(FuncInst& func, void* code) {
  std::atomic_ref<void*>(func.native).store(code, std::memory_order_release);
}

}  // namespace

TieringTier::TieringTier(TierOptions options, const TieringOptions& tiering)
    : options_(options),
      tiering_(tiering),
      native_(std::move(options)),
      baseline_(tiering.heat),
      contended_(has_one_processor()) {}

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
    running->compile.module_id = ++modules_;
    uint64_t bytes = 0;
    for (const wasm::Function& f : instance.module->functions) bytes += f.body.size();
    running->whole = bytes <= tiering_.whole_bytes;
    running->small = bytes <= tiering_.small_bytes && running->whole;
    if (!running->small)
      running->whole_after = used_seconds() + double(bytes) * tiering_.seconds_per_byte;
    running->hot_at.resize(instance.module->functions.size());
    running->hits.resize(instance.module->functions.size());
    running->hotness.resize(instance.module->functions.size());
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
    running->parts_taken = kept->parts.images.size();
    lock.unlock();
    // Whoever attaches the same module meanwhile may have more of it made at once.
    for (const auto& part : kept->parts.images) {
      install(*running, *part, false);
      code->hold(part);
    }
  }
  return {};
}

std::shared_ptr<void> TieringTier::find_code(Bytes module, const runtime::Engine& engine) {
  if (!options_.cache) return nullptr;
  const CacheKey key(module);
  const CompileOptions compile = native_.options_for(engine);
  if (auto whole = keep_code(options_.cache->find(key, compile))) return whole;
  KeptCode kept;
  options_.cache->find_parts(key, compile, kept.parts);
  return kept.parts.images.empty() ? nullptr : make_shared_in<KeptCode>(std::move(kept));
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
  // Look again before long: a loop may have to be taken over. (Threads that run the module count
  // the same down.)
  std::atomic_ref(context.heat[func])
      .store(std::max(tier.tiering_.heat / kRepeat, 1u), std::memory_order_relaxed);
  if (tier.stopping_ || !tier.options_.backend) return nullptr;
  const std::shared_ptr<Running> running = tier.find(context);
  if (!running) return nullptr;
  running->hot_at[func] = std::chrono::steady_clock::now();
  ++running->hits[func];
  ++running->hotness[func];
  const bool waits = (running->asked[func] && !running->ready[func]) || running->entering[func];
  if (running->resting && waits && tier.is_worthwhile(*running, {func, 0}))
    tier.look_again(running, lock);
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
  // A small one has nothing else that would make it fast, and does not wait.
  queue(
      running->small ? urgent_ : whole_, running,
      [this](Running& r) {
        if (!tiering_.background || wait_until_worthwhile(r)) optimize_whole(r);
      },
      lock);
}

void TieringTier::ask(const std::shared_ptr<Running>& running, uint32_t func, Lock& lock) {
  if (running->small || running->asked[func]) return;
  running->asked[func] = true;
  ask_for(running, {func, 0}, lock);
}

void TieringTier::ask_for(const std::shared_ptr<Running>& running, const LoopEntry& entry,
                          Lock& lock) {
  running->hot.push_back(entry);
  // A job takes what is worth the most when its turn comes, and asks for the next.
  if (running->hot.size() == 1) running->resting = true;
  if (is_worthwhile(*running, entry)) look_again(running, lock);
}

void* TieringTier::ask_for_loop(const std::shared_ptr<Running>& running, const LoopEntry& entry,
                                Lock& lock) {
  const auto known = running->loops.find(entry.loop);
  if (known != running->loops.end()) return known->second;
  // Not for loops around it or in it at the same time, of which one is enough.
  if (running->entering[entry.func]) return nullptr;
  running->entering[entry.func] = true;
  running->loops[entry.loop] = nullptr;
  ask_for(running, entry, lock);
  return running->loops[entry.loop];
}

// Something may have become worthwhile.
void TieringTier::look_again(const std::shared_ptr<Running>& running, Lock& lock) {
  if (!std::exchange(running->resting, false)) return;
  queue(urgent_, running, [this](Running& r) { optimize_hot(r); }, lock);
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
  if (!lane.thread.joinable()) {
    try {
      lane.thread = std::thread([this, &lane] { work(lane, &lane == &whole_); });
    } catch (const std::system_error&) {
      // No thread to be had: baseline code goes on, and what is hot then asks again.
      lane.jobs.clear();
      running->resting = !running->hot.empty();
      return;
    }
  }
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
      if (options_.rest) options_.rest();
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
  constexpr double kContended = 4;  // then it takes the program's time
  constexpr double kShort = 0.01, kLong = 1;
  Lock lock(mutex_);
  double used = 0, rest = kShort;
  while (!stopping_ && !running.cancel) {
    const double now = used_seconds();
    const double left = running.whole_after * (contended_ ? kContended : 1) - now;
    if (left <= 0 || awaited_) return true;
    // A program that waits itself is looked at ever less often.
    rest = now - used < rest / 10 ? std::min(rest * 2, kLong) : kShort;
    used = now;
    // At most as many processors work for the process as there are.
    const double soonest = left / std::max(1u, std::thread::hardware_concurrency());
    wake_.wait_for(lock, std::chrono::duration<double>(std::max(soonest, rest)));
  }
  return false;
}

// Where there is no code in the end, baseline code goes on: the program loses speed and
// nothing else.

void TieringTier::optimize_whole(Running& running) {
  CompileOptions compile = running.compile;
  // One processor is the program's.
  compile.threads = std::max(1u, std::thread::hardware_concurrency() - 1);
  {
    const std::lock_guard lock(mutex_);
    for (uint32_t f = 0; f < running.asked.size(); ++f)
      if (running.hits[f] || running.ready[f]) compile.hot.push_back(f);
  }
  const wasm::Module& module = *running.module;
  CodeCache::FoundOrTurn kept;
  if (options_.cache)
    kept = options_.cache->find_or_wait(running.key(), running.compile, &running.cancel);
  std::shared_ptr<CodeImage> image = std::move(kept.found);
  if (!image) {
    auto parts = make_code(running, compile, {});
    if (!parts) return;
    if (options_.cache) {
      parts->module.assign(module.bytes.begin(), module.bytes.end());
      image = options_.cache->store(running.key(), running.compile, write_image(*parts));
    }
    image = load(std::move(image), *parts);
    if (!image) return;
  }
  install(running, *image, true);
  running.code->hold(image);
  const MutexLock lock(module.tier_mutex);
  module.precompiled = make_shared_in<KeptCode>(KeptCode{std::move(image), {}});
}

// Whether the program has spent so much time there that it would have been worth to make code for
// it earlier: then it is likely to go on there for as long. While a processor is free for it, code
// is made ahead of that, but for what would keep others waiting for long.
bool TieringTier::is_worthwhile(const Running& running, const LoopEntry& entry) const {
  constexpr double kLong = 0.05, kAhead = 0.25, kOfPart = 2e-3;
  if (!tiering_.background) return true;
  const double size = double(running.module->functions[entry.func].body.size());
  const double cost = size * tiering_.seconds_per_byte + kOfPart;
  const double spent =
      double(running.hits[entry.func]) * tiering_.heat / kRepeat * tiering_.seconds_per_round;
  return contended_ ? spent >= cost : cost <= kLong || spent >= cost * kAhead;
}

// Takes from what is hot what is to be compiled next: what gains the most for the time that it
// takes. That is a small function at first, and a large one once it has been found hot again and
// again while it waited. Where many wait, those that are hot no more are left: they may be so
// again. Gives one loop, or functions.
std::vector<LoopEntry> TieringTier::next_batch(Running& running) const {
  constexpr uint64_t kBatchBytes = 4u << 10, kManyBytes = 16u << 10;
  constexpr float kOverhead = 64;  // of a function, in bytes
  constexpr float kLoopCost = 2;   // copies of what is called come along
  constexpr float kForget = 0.875;
  constexpr auto kStale = std::chrono::seconds(1);
  const auto size = [&running](const LoopEntry& e) -> uint64_t {
    return running.module->functions[e.func].body.size();
  };
  std::vector<LoopEntry>& hot = running.hot;
  uint64_t waiting = 0;
  for (const LoopEntry& e : hot) {
    waiting += size(e);
    running.hotness[e.func] *= kForget;
  }
  if (tiering_.background && waiting > kManyBytes) {
    const auto now = std::chrono::steady_clock::now();
    std::erase_if(hot, [&](const LoopEntry& e) {
      if (e.loop || now - running.hot_at[e.func] <= kStale) return false;
      running.asked[e.func] = false;
      return true;
    });
  }
  std::vector<std::pair<float, LoopEntry>> order;
  order.reserve(hot.size());
  for (const LoopEntry& e : hot)
    order.emplace_back(
        running.hotness[e.func] / (float(size(e)) * (e.loop ? kLoopCost : 1) + kOverhead), e);
  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : a.second.func < b.second.func;
  });
  hot.clear();
  std::vector<LoopEntry> batch;
  uint64_t bytes = 0;
  for (const auto& [score, e] : order) {
    const bool room =
        batch.empty() || (!e.loop && !batch[0].loop && bytes + size(e) <= kBatchBytes);
    const bool fits = room && is_worthwhile(running, e);
    if (fits) bytes += size(e);
    (fits ? batch : hot).push_back(e);
  }
  return batch;
}

void TieringTier::optimize_hot(Running& running) {
  std::vector<LoopEntry> batch;
  {
    std::unique_lock lock(mutex_);
    if (running.whole_ready) std::erase_if(running.hot, [](const LoopEntry& e) { return !e.loop; });
    batch = next_batch(running);
    const auto known = running_.find(running.code);
    running.resting = batch.empty() && !running.hot.empty();
    if (!batch.empty() && !running.hot.empty() && known != running_.end())
      queue(urgent_, known->second, [this](Running& r) { optimize_hot(r); }, lock);
  }
  if (batch.empty()) return;
  Stopwatch watch;
  if (batch[0].loop) {
    watch.add(optimize_loop(running, batch[0]));
  } else {
    std::vector<uint32_t> functions;
    for (const LoopEntry& e : batch) functions.push_back(e.func);
    std::sort(functions.begin(), functions.end());
    watch.add(optimize_functions(running, std::move(functions)));
  }
  const std::lock_guard done(mutex_);
  if (batch[0].loop) running.entering[batch[0].func] = false;
  if (const auto contended = watch.waited()) contended_ = *contended;
}

// Gives the processor time that it took elsewhere.
double TieringTier::optimize_functions(Running& running, std::vector<uint32_t> functions) {
  Turn turn;
  if (options_.cache) {
    turn = options_.cache->wait_for_parts(running.key(), running.compile, &running.cancel);
    options_.cache->find_parts(running.key(), running.compile, running.parts);
    take_new_parts(running);
    const std::lock_guard lock(mutex_);
    std::erase_if(functions, [&running](uint32_t f) { return running.ready[f]; });
    if (functions.empty()) return 0;
  }
  CompileOptions compile = running.compile;
  compile.through_entries = true;
  compile.threads = 1;
  auto parts = make_code(running, compile, functions);
  if (!parts) return 0;
  use_parts(running, *parts);
  return parts->seconds_elsewhere;
}

// Makes what was compiled run: now, and by the cache the next time. False without room for it.
bool TieringTier::use_parts(Running& running, ImageParts& parts) {
  // Where the whole module has code, runs to come start in that.
  const auto whole_ready = [&] {
    const std::lock_guard lock(mutex_);
    return running.whole_ready;
  };
  if (options_.cache && !whole_ready()) {
    const bool kept =
        options_.cache->store_part(running.key(), running.compile, running.parts, parts);
    take_new_parts(running);
    if (kept) return true;
  }
  std::shared_ptr<CodeImage> image = load(nullptr, parts);
  if (!image) return false;
  install(running, *image, false);
  running.code->hold(std::move(image));
  return true;
}

// Code that is in the cache since this was done last, from this process and from others.
void TieringTier::take_new_parts(Running& running) {
  for (const auto& images = running.parts.images; running.parts_taken < images.size();) {
    const std::shared_ptr<CodeImage>& part = images[running.parts_taken++];
    install(running, *part, false);
    running.code->hold(part);
  }
}

// As above.
double TieringTier::optimize_loop(Running& running, const LoopEntry& entry) {
  constexpr auto kStale = std::chrono::milliseconds(200);
  {
    const std::lock_guard lock(mutex_);
    // The loop may have ended, or gone on in other code, while this waited for its turn.
    if (tiering_.background &&
        std::chrono::steady_clock::now() - running.hot_at[entry.func] > kStale) {
      running.loops.erase(entry.loop);
      return 0;
    }
  }
  CompileOptions compile = running.compile;
  compile.through_entries = true;
  compile.threads = 1;
  compile.enter_at = entry;
  auto parts = make_code(running, compile, {});
  const double elsewhere = parts ? parts->seconds_elsewhere : 0;
  if (parts && use_parts(running, *parts)) return elsewhere;
  const std::lock_guard lock(mutex_);
  running.refused.insert(entry.loop);
  return elsewhere;
}

Result<ImageParts> TieringTier::make_code(Running& running, CompileOptions options,
                                          std::span<const uint32_t> functions) {
  const auto warn = [this](std::string_view why) {
    if (!options_.warn || warned_.exchange(true)) return;
    std::string message(why);
    message += "; hot code stays as it is, several times slower than it could be";
    options_.warn(message.c_str());
  };
  Result<Backend*> backend = options_.backend();
  if (!backend) {
    warn(backend.error().message);
    return backend.take_failure();
  }
  options.cancel = &running.cancel;
  Result<ImageParts> parts = (*backend)->compile(*running.module, options, functions);
  if (!parts && parts.error().kind == ErrorKind::Io) warn(parts.error().message);
  return parts;
}

// The image that the cache has mapped, or else one in memory; null without room for it.
std::shared_ptr<CodeImage> TieringTier::load(std::shared_ptr<CodeImage> mapped,
                                             const ImageParts& parts) {
  if (mapped) return mapped;
  auto loaded = CodeImage::load(write_image(parts));
  return loaded ? *std::move(loaded) : nullptr;
}

// Makes the functions of `image` what calls reach from now on, and what is entered at a loop what
// loops go on in. A whole module's code, which calls directly, is not replaced by that of single
// functions.
void TieringTier::install(Running& running, CodeImage& image, bool whole) {
  image.describe(*running.module);
  const std::lock_guard lock(mutex_);
  const bool replaces = !running.whole_ready;
  running.whole_ready |= whole;
  for (const ImageFunction& f : image.functions()) {
    void* code = const_cast<uint8_t*>(image.base()) + f.begin;
    if (f.loop) running.loops[f.loop] = code;
    if (f.loop || !replaces) continue;
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
  ++awaited_;
  wake_.notify_all();
  idle_.wait(lock, [this] {
    return !urgent_.working && !whole_.working && urgent_.jobs.empty() && whole_.jobs.empty();
  });
  --awaited_;
}

}  // namespace wafer::compiler

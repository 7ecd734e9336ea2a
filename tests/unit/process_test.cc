// Code generators in processes of their own.
#if defined(WAFER_TOOL) && defined(WAFER_LLVM_MODULE)
#include "compiler/process.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "compiler/llvm_loader.h"
#include "wasm/decoder.h"
#include "wat/wat.h"

namespace wafer::compiler {
namespace {

using std::chrono::steady_clock;

std::shared_ptr<const wasm::Module> module_of(std::string_view text) {
  auto binary = wat::parse_wat(text);
  EXPECT_TRUE(binary) << binary.error().message;
  auto module = wasm::decode_module({binary->data(), binary->size()});
  EXPECT_TRUE(module) << module.error().message;
  return *module;
}

std::shared_ptr<const wasm::Module> two_functions() {
  return module_of(R"((module
    (memory 1)
    (func (export "sum") (param $n i32) (result i32) (local $s i32)
      (loop $l
        (local.set $s (i32.add (local.get $s) (i32.load (local.get $n))))
        (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 4)))))
      (call 1 (local.get $s)))
    (func (param i32) (result i32) (i32.mul (local.get 0) (i32.const 3)))))");
}

// All of it, in order.
std::string bytes_of(const ImageParts& parts) {
  const Vec<uint8_t> image = write_image(parts);
  return {reinterpret_cast<const char*>(image.data()), image.size()};
}

// Processes that this one has started and that are there.
std::vector<pid_t> children() {
  std::vector<pid_t> out;
  for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task"))
    for (std::ifstream in(thread.path() / "children"); in;)
      if (pid_t pid = 0; in >> pid) out.push_back(pid);
  return out;
}

GeneratorCommand tool() { return {WAFER_TOOL, {"--generate-code"}}; }

TEST(Process, MakesTheSameCode) {
  const auto module = two_functions();
  BackendProcess process(tool());
  ASSERT_TRUE(process.start());
  Backend& here = **load_llvm_backend();
  CompileOptions options;
  const uint32_t second[] = {1};
  for (const bool through_entries : {false, true}) {
    options.through_entries = through_entries;
    for (const std::span<const uint32_t> functions : {std::span<const uint32_t>(), {second}}) {
      if (!through_entries && !functions.empty()) continue;
      const auto a = here.compile(*module, options, functions);
      const auto b = process.compile(*module, options, functions);
      ASSERT_TRUE(a && b);
      EXPECT_EQ(bytes_of(*a), bytes_of(*b));
      EXPECT_EQ(a->functions.size(), b->functions.size());
      EXPECT_EQ(a->seconds_elsewhere, 0);
      EXPECT_GT(b->seconds_elsewhere, 0);
    }
  }
  const auto a = here.traits(options), b = process.traits(options);
  ASSERT_TRUE(a && b);
  EXPECT_EQ(a->features, b->features);
  EXPECT_EQ(a->fingerprint, b->fingerprint);
  options = {};
  options.target = "thumbv7em";
  const auto c = here.compile_in_place(*module, options);
  const auto d = process.compile_in_place(*module, options);
  ASSERT_TRUE(c && d);
  EXPECT_EQ(*c, *d);
}

TEST(Process, KnowsModulesByTheirNumbers) {
  BackendProcess process(tool());
  Backend& here = **load_llvm_backend();
  CompileOptions options;
  options.through_entries = true;
  const auto one = module_of("(module (func (result i32) (i32.const 1)))");
  const auto two = module_of("(module (func (result i32) (i32.const 2)))");
  for (const auto& [module, id] :
       {std::pair{one, 1}, {one, 1}, {two, 2}, {one, 0}, {two, 0}, {one, 1}}) {
    options.module_id = uint64_t(id);
    const auto a = here.compile(*module, options, {});
    const auto b = process.compile(*module, options, {});
    ASSERT_TRUE(a && b);
    EXPECT_EQ(bytes_of(*a), bytes_of(*b));
  }
  EXPECT_EQ(children().size(), 1u);
}

TEST(Process, TellsErrors) {
  const auto module = two_functions();
  BackendProcess process(tool());
  CompileOptions options;
  options.cpu = "no-such-cpu";
  const auto there = process.compile(*module, options, {});
  const auto here = (*load_llvm_backend())->compile(*module, options, {});
  ASSERT_FALSE(there || here);
  EXPECT_EQ(there.error().kind, here.error().kind);
  EXPECT_EQ(there.error().message, here.error().message);
  const auto in_place = process.compile_in_place(*module, {});
  ASSERT_FALSE(in_place);
  EXPECT_EQ(in_place.error().message,
            (*load_llvm_backend())->compile_in_place(*module, {}).error().message);
}

TEST(Process, EndsWhenItRests) {
  const auto module = two_functions();
  BackendProcess process(tool());
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(process.compile(*module, {}, {}));
    EXPECT_EQ(children().size(), 1u);
    process.rest();
    EXPECT_TRUE(children().empty());
  }
}

TEST(Process, OneThatDiedIsFollowedByAnother) {
  const auto module = two_functions();
  BackendProcess process(tool());
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(process.compile(*module, {}, {}));
    for (const pid_t pid : children()) kill(pid, SIGKILL);
    // Until its last thread has ended: then its socket is closed. It is still to be waited for.
    for (const pid_t pid : children()) {
      siginfo_t info;
      EXPECT_EQ(waitid(P_PID, id_t(pid), &info, WEXITED | WNOWAIT), 0);
    }
  }
}

TEST(Process, OneThatDiesAtWorkIsAnError) {
  const auto module = two_functions();
  for (const auto& [command, message] :
       {std::pair{GeneratorCommand{"/bin/false", {}}, "the code generator ended"},
        {GeneratorCommand{"/bin/sh", {"-c", "kill -SEGV $$"}},
         "the code generator was ended by signal 11"},
        {GeneratorCommand{"/no/such/program", {}},
         "no process for the code generator: No such file or directory"}}) {
    BackendProcess process(command);
    const auto parts = process.compile(*module, {}, {});
    ASSERT_FALSE(parts);
    EXPECT_EQ(parts.error().kind, ErrorKind::Io);
    EXPECT_EQ(parts.error().message, message);
    EXPECT_TRUE(children().empty());
  }
}

// With one that never answers.
TEST(Process, CanBeCancelled) {
  const auto module = two_functions();
  BackendProcess process({"/bin/sleep", {"1000"}});
  std::atomic<uint32_t> cancel{0};
  std::thread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    cancel = 1;
  });
  CompileOptions options;
  options.cancel = &cancel;
  const auto begin = steady_clock::now();
  const auto parts = process.compile(*module, options, {});
  later.join();
  ASSERT_FALSE(parts);
  EXPECT_EQ(parts.error().message, "cancelled");
  EXPECT_LT(steady_clock::now() - begin, std::chrono::seconds(20));
  EXPECT_TRUE(children().empty());
}

TEST(Process, ServesManyThreads) {
  const auto module = two_functions();
  BackendProcess process(tool());
  const std::string expected = bytes_of(*(*load_llvm_backend())->compile(*module, {}, {}));
  std::vector<std::thread> threads;
  std::atomic<int> right{0};
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 5; ++i) {
        const auto parts = process.compile(*module, {}, {});
        right += parts && bytes_of(*parts) == expected;
      }
    });
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(right, 20);
  EXPECT_LE(children().size(), 4u);
}

}  // namespace
}  // namespace wafer::compiler
#endif

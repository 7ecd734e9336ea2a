// The cache of code: turns at what many processes make at the same time, and parts of modules.
#if WAFER_HAS_BASELINE
#include "compiler/cache.h"

#include <elf.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <thread>

#include "compiler/abi.h"
#include "compiler/cache_turn.h"

namespace wafer::compiler {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

class TurnTest : public testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/wafer-turn-XXXXXX";
    ASSERT_NE(mkdtemp(pattern), nullptr);
    folder = pattern;
    path = folder + "/x.turn";
  }
  void TearDown() override { std::filesystem::remove_all(folder); }
  Turn take(std::chrono::milliseconds limit = 60s) {
    return Turn::take(path, [] { return false; }, limit, nullptr);
  }
  // Somebody else who holds the turn and does not renew it.
  int hold() const {
    const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    EXPECT_EQ(flock(fd, LOCK_EX), 0);
    return fd;
  }
  std::string folder, path;
};

TEST_F(TurnTest, OneAfterTheOther) {
  Turn first = take();
  ASSERT_TRUE(first);
  EXPECT_FALSE(take(20ms));
  std::atomic<bool> second_has_it{false};
  std::thread second([&] {
    const Turn turn = take();
    EXPECT_TRUE(turn);
    second_has_it = true;
  });
  std::this_thread::sleep_for(50ms);
  EXPECT_FALSE(second_has_it);
  first = {};
  second.join();
  EXPECT_TRUE(second_has_it);
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(TurnTest, WaitsNoLongerThanNeeded) {
  const Turn first = take();
  bool made = false;
  const Turn second = Turn::take(path, [&made] { return made = true; }, 60s, nullptr);
  EXPECT_FALSE(second);
  EXPECT_TRUE(made);
  const std::atomic<uint32_t> cancel{1};
  EXPECT_FALSE(Turn::take(path, [] { return false; }, 60s, &cancel));
}

// A holder that renews is waited for past the time after which others are passed over.
TEST_F(TurnTest, ABusyHolderKeepsIt) {
  const Turn first = take();
  EXPECT_FALSE(take(Turn::kPassOver + 1s));
  EXPECT_TRUE(std::filesystem::exists(path));
}

TEST_F(TurnTest, AStoppedHolderIsPassedOver) {
  const int holder = hold();
  const auto start = Clock::now();
  {
    const Turn turn = take();
    EXPECT_TRUE(turn);
    EXPECT_GE(Clock::now() - start, Turn::kPassOver);
    // What the first one does when it goes on does not take the second one's away.
    close(holder);
    EXPECT_FALSE(take(20ms));
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(TurnTest, ADeadHolderHoldsNothing) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    (void)flock(open(path.c_str(), O_RDWR | O_CREAT, 0600), LOCK_EX);
    _exit(0);
  }
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  EXPECT_TRUE(std::filesystem::exists(path));
  const auto start = Clock::now();
  EXPECT_TRUE(take());
  EXPECT_LT(Clock::now() - start, Turn::kPassOver);
}

TEST_F(TurnTest, WhereNoneCanBeThereIsNothingToWaitFor) {
  const auto start = Clock::now();
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  EXPECT_FALSE(take());
  unlink(path.c_str());
  ASSERT_EQ(mkdir(path.c_str(), 0700), 0);
  EXPECT_FALSE(take());
  rmdir(path.c_str());
  ASSERT_EQ(symlink("/dev/zero", path.c_str()), 0);
  EXPECT_FALSE(take());
  path = folder + "/missing/x.turn";
  EXPECT_FALSE(take());
  EXPECT_LT(Clock::now() - start, Turn::kPassOver);
}

// What a process knows of a file it does not map once more when it looks for what is new, wherever
// the file ends.
using PartsTest = TurnTest;

TEST_F(PartsTest, AreMappedOnce) {
  const CodeCache cache(folder);
  const uint8_t module[] = {0, 'a', 's', 'm', 1, 0, 0, 0};
  const CacheKey key(module);
  const CompileOptions options;
  ImageParts part;
#if defined(__x86_64__)
  part.traits.machine = EM_X86_64;
#else
  part.traits.machine = EM_AARCH64;
#endif
  part.traits.fingerprint = abi_fingerprint();
  CodeParts writer, reader;
  for (size_t n = 1; n <= 3; ++n) {
    part.rodata.resize(n * 100);
    ASSERT_TRUE(cache.store_part(key, options, writer, part));
    EXPECT_EQ(writer.images.size(), n);
    for (int again = 0; again < 2; ++again) {
      cache.find_parts(key, options, reader);
      EXPECT_EQ(reader.images.size(), n);
    }
  }
}

}  // namespace
}  // namespace wafer::compiler
#endif

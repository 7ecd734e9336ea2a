// The form of files of code that runs in place, on any machine; that it runs is for
// tests/embedded/xip.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "interp/xip_format.h"

namespace wafer::interp {
namespace {

constexpr uint8_t kModule[] = {0, 'a', 's', 'm', 1, 0, 0, 0};

// A file for kModule with two functions of its own, whose code is 16 bytes.
std::vector<uint8_t> make_file(uint16_t machine = kXipArm) {
  std::vector<uint8_t> file(sizeof(XipHeader) + 2 * sizeof(XipFunction) + 16);
  XipHeader h{};
  std::memcpy(h.magic, kXipMagic, sizeof h.magic);
  h.version = kXipVersion;
  h.size = uint32_t(file.size());
  h.module_hash = xip_hash(kModule);
  h.module_size = sizeof kModule;
  h.functions = 2;
  h.code = uint32_t(file.size() - 16);
  h.target.machine = machine;
  const uint32_t odd = machine == kXipArm;
  const XipFunction functions[2] = {{h.code + odd, h.code + 8 + odd}, {0, 0}};
  std::memcpy(file.data() + sizeof h, functions, sizeof functions);
  std::memcpy(file.data(), &h, sizeof h);
  h.checksum = xip_hash(Bytes(file).subspan(kXipChecked));
  std::memcpy(file.data(), &h, sizeof h);
  return file;
}

// `change` does something to the header, or what follows; the checksum is right again then.
template <class F>
Result<XipFile> read_changed(F change, uint16_t machine = kXipArm) {
  static std::vector<uint8_t> file;
  file = make_file(machine);
  XipHeader h;
  std::memcpy(&h, file.data(), sizeof h);
  change(h, reinterpret_cast<XipFunction*>(file.data() + sizeof h));
  std::memcpy(file.data(), &h, sizeof h);
  h.checksum = xip_hash(Bytes(file).subspan(kXipChecked));
  std::memcpy(file.data(), &h, sizeof h);
  return read_xip(file, kModule, 2);
}

TEST(Xip, FileIsReadInPlace) {
  const auto file = make_file();
  std::vector<uint8_t> room(file.size() + 4);
  for (const size_t at : {0, 4}) {
    const Bytes placed(std::copy(file.begin(), file.end(), room.begin() + at) - file.size(),
                       file.size());
    const auto read = read_xip(placed, kModule, 2);
    ASSERT_TRUE(read);
    EXPECT_EQ(reinterpret_cast<const uint8_t*>(read->header), placed.data());
    EXPECT_TRUE(read->header->module_hash == xip_hash(kModule));
    EXPECT_EQ(read->functions[0].entry, read->header->code + 9);
  }
}

TEST(Xip, AnyDamageIsFound) {
  for (const uint16_t machine : {kXipArm, kXipRiscv}) {
    const auto good = make_file(machine);
    EXPECT_TRUE(read_xip(good, kModule, 2));
    for (size_t i = 0; i < good.size(); ++i) {
      auto file = good;
      file[i] ^= 0x10;
      EXPECT_FALSE(read_xip(file, kModule, 2)) << i;
    }
    for (size_t size = 0; size < good.size(); ++size)
      EXPECT_FALSE(read_xip(Bytes(good).first(size), kModule, 2)) << size;
  }
}

// As branches take them: odd for Thumb, and for others not.
TEST(Xip, AddressesFitTheMachine) {
  for (const uint16_t machine : {kXipArm, kXipRiscv}) {
    const auto kind_of = [&](auto change) { return read_changed(change, machine).error().kind; };
    EXPECT_EQ(kind_of([](XipHeader&, XipFunction* f) { ++f[0].code; }), ErrorKind::Malformed);
    EXPECT_EQ(kind_of([](XipHeader&, XipFunction* f) { --f[0].entry; }), ErrorKind::Malformed);
    EXPECT_TRUE(read_changed([](XipHeader&, XipFunction* f) { f[0].code += 2; }, machine));
  }
  EXPECT_EQ(
      read_changed([](XipHeader& h, XipFunction*) { h.target.machine = kXipRiscv; }).error().kind,
      ErrorKind::Malformed);
}

TEST(Xip, KindsOfErrors) {
  const auto file = make_file();
  EXPECT_EQ(read_xip(file, Bytes(kModule).first(7), 2).error().kind, ErrorKind::Usage);
  EXPECT_EQ(read_xip(file, kModule, 1).error().kind, ErrorKind::Usage);
  std::vector<uint8_t> moved(file.size() + 1);
  std::copy(file.begin(), file.end(), moved.begin() + 1);
  EXPECT_EQ(read_xip(Bytes(moved).subspan(1), kModule, 2).error().kind, ErrorKind::Usage);
  const auto kind_of = [](auto change) { return read_changed(change).error().kind; };
  using H = XipHeader;
  using F = XipFunction;
  EXPECT_TRUE(read_changed([](H&, F*) {}));
  EXPECT_EQ(kind_of([](H& h, F*) { ++h.version; }), ErrorKind::Unsupported);
  EXPECT_EQ(kind_of([](H& h, F*) { h.functions = ~0u; }), ErrorKind::Malformed);
  EXPECT_EQ(kind_of([](H& h, F*) { h.code = 8; }), ErrorKind::Malformed);
  EXPECT_EQ(kind_of([](H& h, F*) { h.code = h.size + 4; }), ErrorKind::Malformed);
  EXPECT_EQ(kind_of([](H& h, F*) { h.code += 2; }), ErrorKind::Malformed);
  EXPECT_EQ(kind_of([](H&, F* f) { f[0].code = 5; }), ErrorKind::Malformed);
  EXPECT_EQ(kind_of([](H&, F* f) { f[0].entry = 1001; }), ErrorKind::Malformed);
  EXPECT_EQ(kind_of([](H&, F* f) { f[1].code = f[0].code; }), ErrorKind::Malformed);
}

}  // namespace
}  // namespace wafer::interp

// The world "echo" in C++: everything gives back what it gets.
#include "echo.hpp"

namespace types = echo::exports::t::all::types;
namespace ops = echo::exports::t::all::ops;

namespace {

uint32_t count = 0;

class CounterImpl final : public types::Counter {
 public:
  explicit CounterImpl(uint32_t start) : value(start) { ++count; }
  ~CounterImpl() override { --count; }
  uint32_t add(uint32_t n) override { return value += n; }
  uint32_t value;
};

uint32_t value(types::Counter* c) { return static_cast<CounterImpl*>(c)->value; }

}  // namespace

wit::Own<types::Counter> types::make_counter(uint32_t start) {
  return std::make_unique<CounterImpl>(start);
}
wit::Own<types::Counter> types::counter_merge(wit::Own<types::Counter> a,
                                              wit::Borrow<types::Counter> b) {
  const wit::Borrow<types::Counter> mine = a;
  return std::make_unique<CounterImpl>(value(mine.operator->()) + value(b.operator->()));
}
uint32_t types::alive() { return count; }
uint32_t types::lend(Lent l) { return value(l.who.operator->()) + l.more; }

double ops::scalars(bool a, int8_t b, uint16_t c, int64_t d, float e, double f, char32_t g) {
  return (a ? 1 : 0) + b + c + double(d) + e + f + g;
}
std::string ops::text(std::string s) { return s; }
ops::Point ops::pt(Point p) { return p; }
ops::Points ops::pts(Points p) { return p; }
ops::Perm ops::fl(Perm p) { return p ^ Perm::Exec; }
ops::Color ops::en(Color c) { return c; }
ops::Shape ops::sh(Shape s) { return s; }
std::optional<std::string> ops::opt(std::optional<std::string> o) { return o; }
wit::Expected<uint32_t, std::string> ops::res(wit::Expected<uint32_t, std::string> r) { return r; }
wit::Expected<wit::Unit, wit::Unit> ops::res2(bool fail) {
  if (fail) return wit::Err{wit::Unit{}};
  return {};
}
std::tuple<uint8_t, std::vector<uint16_t>, std::optional<std::tuple<float, uint64_t>>> ops::tup(
    std::tuple<uint8_t, std::vector<uint16_t>, std::optional<std::tuple<float, uint64_t>>> t) {
  return t;
}
std::string ops::many(uint64_t a, std::string b, std::string c, std::string d, Point e, Point f,
                      std::optional<uint8_t> g, std::vector<std::string> h, uint32_t i) {
  uint64_t sum = a + b.size() + c.size() + d.size() + e.x + e.name.size() + f.x + g.value_or(0) + i;
  for (const std::string& s : h) sum += s.size();
  std::string out;
  do out.insert(out.begin(), static_cast<char>('0' + sum % 10));
  while (sum /= 10);
  return out;
}
std::vector<std::vector<std::optional<std::string>>> ops::nested(
    std::vector<std::vector<std::optional<std::string>>> l) {
  return l;
}
std::vector<std::pair<std::string, uint32_t>> ops::dict(
    std::vector<std::pair<std::string, uint32_t>> m) {
  return m;
}

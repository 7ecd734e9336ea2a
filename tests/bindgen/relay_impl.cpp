// The world "relay" in C++: calls all that it imports and compares.
#include "relay.hpp"

namespace types = relay::t::all::types;
namespace ops = relay::t::all::ops;

#define CHECK(condition)                           \
  if (!(condition)) return wit::Err<std::string> { \
      #condition                                   \
    }

wit::Expected<uint32_t, std::string> relay::exports::run(std::string name) {
  CHECK(ops::scalars(true, -3, 60000, -5'000'000'000, 0.5f, 0.25, U'\u00e9') ==
        1 - 3 + 60000 - 5e9 + 0.5 + 0.25 + 0xe9);
  CHECK(ops::text(name) == name && ops::text("").empty());
  const ops::Point point{1u << 31, INT64_MIN, "there"};
  CHECK(ops::pt(point) == point);
  CHECK((ops::pts({point, {}, point}) == ops::Points{point, {}, point}));
  CHECK(ops::fl(types::Perm::Read | types::Perm::Exec) == types::Perm::Read);
  CHECK(ops::en(types::Color::DarkBlue) == types::Color::DarkBlue);
  using Shape = types::Shape;
  for (const Shape& s :
       {Shape{Shape::None{}}, Shape{Shape::Circle{1.5f}}, Shape{Shape::Label{"l"}},
        Shape{Shape::At{point}}, Shape{Shape::Wide{-0.125}}, Shape{Shape::Count{255}}})
    CHECK(ops::sh(s) == s);
  CHECK(!ops::opt(std::nullopt) && ops::opt(name) == name);
  using Result = wit::Expected<uint32_t, std::string>;
  for (const Result& r : {Result(4u), Result(wit::Err<std::string>{"bad"})})
    CHECK(ops::res(r) == r);
  CHECK(ops::res2(false).ok() && !ops::res2(true).ok());
  const std::tuple<uint8_t, std::vector<uint16_t>, std::optional<std::tuple<float, uint64_t>>>
      tuple{9, {1, 65535}, std::tuple{0.5f, ~uint64_t{0}}};
  CHECK(ops::tup(tuple) == tuple);
  CHECK(ops::many(1000, "1", "22", "333", {4, 0, "55555"}, {6, 0, ""}, uint8_t{7}, {"8", "99"},
                  9) == "1040");
  const std::vector<std::vector<std::optional<std::string>>> nested{{"a", std::nullopt}, {}, {"b"}};
  CHECK(ops::nested(nested) == nested);
  const std::vector<std::pair<std::string, uint32_t>> dict{{"z", 1}, {"a", 2}};
  CHECK(ops::dict(dict) == dict);
  {
    auto a = types::Counter::make(10), b = types::Counter::make(5);
    CHECK(a->add(3) == 13);
    const auto c = types::Counter::merge(std::move(a), b);
    CHECK(c->add(0) == 18);
    CHECK(types::lend({c, 4}) == 22);
    CHECK(types::alive() == 2);
  }
  CHECK(types::alive() == 0);
  return static_cast<uint32_t>(name.size());
}

relay::exports::both::Point relay::exports::both::pt(Point p) { return ops::pt(p); }
relay::exports::both::Shape relay::exports::both::sh(Shape s) { return ops::sh(s); }

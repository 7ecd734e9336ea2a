// Host bindings that `wafer bindgen host` made of echo.wit: of world "relay", whose guest calls
// functions of every type that are implemented here, of world "echo", whose exports are called from
// here, and of world "waits", which is answered later.
//
// usage: host_test RELAY.wasm ECHO.wasm WAITS.wasm TIER
#include <cstdio>
#include <fstream>
#include <iterator>
#include <thread>

#include "echo.hpp"
#include "relay.hpp"
#include "wafer/wafer.hpp"
#include "wafer/wat.hpp"
#include "waits.hpp"

namespace {

int failures = 0;

void check(bool good, const char* what, const std::string& more = {}) {
  if (good) return;
  std::printf("FAIL %s: %s\n", what, more.c_str());
  ++failures;
}
#define CHECK(condition) check(condition, #condition)

template <class T>
std::string message(const wafer::Result<T>& r) {
  return r.ok() ? "" : std::string(r.error().message);
}

// ---- relay: the host implements

namespace types = relay::t::all::types;
namespace ops = relay::t::all::ops;

uint32_t alive = 0;

class Counter final : public types::Counter {
 public:
  explicit Counter(uint32_t start) : value(start) { ++alive; }
  ~Counter() override { --alive; }
  wafer::Result<uint32_t> add(uint32_t n) override { return value += n; }
  uint32_t value;
};

class Types final : public relay::t::all::Types {
 public:
  wafer::Result<std::unique_ptr<types::Counter>> make_counter(uint32_t start) override {
    return std::make_unique<Counter>(start);
  }
  wafer::Result<std::unique_ptr<types::Counter>> counter_merge(std::unique_ptr<types::Counter> a,
                                                               types::Counter& b) override {
    return std::make_unique<Counter>(static_cast<Counter&>(*a).value +
                                     static_cast<Counter&>(b).value);
  }
  wafer::Result<uint32_t> alive() override { return ::alive; }
  wafer::Result<uint32_t> lend(types::Lent l) override {
    return static_cast<Counter&>(*l.who).value + l.more;
  }
};

class Ops final : public relay::t::all::Ops {
 public:
  bool fails = false;
  template <class T>
  using R = wafer::Result<T>;

  R<double> scalars(bool a, int8_t b, uint16_t c, int64_t d, float e, double f,
                    char32_t g) override {
    return (a ? 1 : 0) + b + c + double(d) + e + f + g;
  }
  R<std::string> text(std::string s) override {
    if (fails) return wafer::Error(wafer::ErrorKind::Usage, "no more text");
    return s;
  }
  R<ops::Point> pt(ops::Point p) override { return p; }
  R<ops::Points> pts(ops::Points p) override { return p; }
  R<ops::Perm> fl(ops::Perm p) override { return p ^ ops::Perm::Exec; }
  R<ops::Color> en(ops::Color c) override { return c; }
  R<ops::Shape> sh(ops::Shape s) override { return s; }
  R<std::optional<std::string>> opt(std::optional<std::string> o) override { return o; }
  R<wafer::Expected<uint32_t, std::string>> res(wafer::Expected<uint32_t, std::string> r) override {
    return r;
  }
  R<wafer::Expected<wafer::Unit, wafer::Unit>> res2(bool fail) override {
    if (fail) return wafer::Expected<wafer::Unit, wafer::Unit>(wafer::Err{wafer::Unit{}});
    return wafer::Expected<wafer::Unit, wafer::Unit>();
  }
  using Tuple =
      std::tuple<uint8_t, std::vector<uint16_t>, std::optional<std::tuple<float, uint64_t>>>;
  R<Tuple> tup(Tuple t) override { return t; }
  R<std::string> many(uint64_t a, std::string b, std::string c, std::string d, ops::Point e,
                      ops::Point f, std::optional<uint8_t> g, std::vector<std::string> h,
                      uint32_t i) override {
    uint64_t sum =
        a + b.size() + c.size() + d.size() + e.x + e.name.size() + f.x + (g ? *g : 0) + i;
    for (const std::string& s : h) sum += s.size();
    return std::to_string(sum);
  }
  R<std::vector<std::vector<std::optional<std::string>>>> nested(
      std::vector<std::vector<std::optional<std::string>>> l) override {
    return l;
  }
  R<std::vector<std::pair<std::string, uint32_t>>> dict(
      std::vector<std::pair<std::string, uint32_t>> m) override {
    return m;
  }
};

void relayed(const wafer::Engine& engine, const wafer::Component& component) {
  Types types_host;
  Ops ops_host;
  wafer::ComponentLinker linker;
  relay::add_imports(linker, types_host, ops_host);
  wafer::Store store(engine);
  auto guest = relay::Relay::instantiate(store, linker, component);
  if (!guest.ok()) return check(false, "relay", message(guest));
  const auto five = guest->run("hello");
  check(five.ok() && five->ok() && **five == 5, "run",
        five.ok() ? (five->ok() ? "" : five->error()) : message(five));
  const ops::Point point{7, -8, "here"};
  const auto same = guest->both().pt(point);
  check(same.ok() && *same == point, "both.pt", message(same));
  const ops::Shape shape{ops::Shape::Label{"label"}};
  const auto shown = guest->both().sh(shape);
  check(shown.ok() && *shown == shape, "both.sh", message(shown));
  CHECK(alive == 0);
  // A failure of the host is a trap of the guest.
  ops_host.fails = true;
  const auto trap = guest->run("hello");
  CHECK(!trap.ok() && message(trap).find("no more text") != std::string::npos);
}

// ---- echo: the host calls

template <class T>
void echoes(const char* what, const wafer::Result<T>& result, const T& wanted) {
  check(result.ok() && *result == wanted, what, message(result));
}

void echoed(const wafer::Engine& engine, const wafer::Component& component) {
  namespace t = echo::exports::t::all::types;
  wafer::ComponentLinker linker;
  wafer::Store store(engine);
  auto guest = echo::Echo::instantiate(store, linker, component);
  if (!guest.ok()) return check(false, "echo", message(guest));
  const auto& ops = guest->ops();
  echoes("scalars", ops.scalars(true, -3, 60000, -5'000'000'000, 0.5f, 0.25, U'é'),
         1 - 3 + 60000 - 5e9 + 0.5 + 0.25 + 0xe9);
  for (const char* s : {"", "plain", "ümläut \xf0\x9f\x8e\xa8"})
    echoes("text", ops.text(s), std::string(s));
  const t::Point point{1u << 31, INT64_MIN, "name"};
  echoes("pt", ops.pt(point), point);
  echoes("pts", ops.pts({point, {}, point}), t::Points{point, {}, point});
  echoes("fl", ops.fl(t::Perm::Read | t::Perm::Exec), t::Perm::Read);
  CHECK(~t::Perm::Read == (t::Perm::Write | t::Perm::Exec) && has(t::Perm::Read, t::Perm::Read));
  echoes("en", ops.en(t::Color::DarkBlue), t::Color::DarkBlue);
  using Shape = t::Shape;
  for (const Shape& s :
       {Shape{Shape::None{}}, Shape{Shape::Circle{1.5f}}, Shape{Shape::Label{"l"}},
        Shape{Shape::At{point}}, Shape{Shape::Wide{-0.125}}, Shape{Shape::Count{255}}})
    echoes("sh", ops.sh(s), s);
  using Text = std::optional<std::string>;
  for (const Text& o : {Text("x"), Text()}) echoes("opt", ops.opt(o), o);
  using Res = wafer::Expected<uint32_t, std::string>;
  for (const Res& r : {Res(4u), Res(wafer::Err<std::string>{"bad"})}) echoes("res", ops.res(r), r);
  CHECK(ops.res2(false).value().ok() && !ops.res2(true).value().ok());
  const std::tuple<uint8_t, std::vector<uint16_t>, std::optional<std::tuple<float, uint64_t>>>
      tuple{9, {1, 65535}, std::tuple{0.5f, ~uint64_t{0}}};
  echoes("tup", ops.tup(tuple), tuple);
  echoes(
      "many",
      ops.many(1000, "1", "22", "333", {4, 0, "55555"}, {6, 0, ""}, std::nullopt, {"7", "88"}, 9),
      std::to_string(1000 + 1 + 2 + 3 + 4 + 5 + 6 + 3 + 9));
  const std::vector<std::vector<Text>> nested{{"a", std::nullopt}, {}, {"b"}};
  echoes("nested", ops.nested(nested), nested);
  const std::vector<std::pair<std::string, uint32_t>> dict{{"z", 1}, {"a", 2}};
  echoes("dict", ops.dict(dict), dict);

  const auto& of = guest->types();
  {
    auto a = of.make_counter(10), b = of.make_counter(5);
    if (!a.ok() || !b.ok()) return check(false, "counter", message(a) + message(b));
    echoes("add", of.counter_add(*a, 3), 13u);
    auto c = of.counter_merge(*std::move(a), *b);
    if (!c.ok()) return check(false, "merge", message(c));
    echoes("merged", of.counter_add(*c, 0), 18u);
    echoes("lend", of.lend({&*c, 4}), 22u);
    echoes("alive", of.alive(), 2u);
    t::Counter moved = *std::move(c);
    moved = *std::move(b);
    echoes("one alive", of.alive(), 1u);
  }
  echoes("none alive", of.alive(), 0u);
}

// ---- waits: the host answers later, from another thread

class Slow final : public waits::t::all::Slow {
 public:
  using Text = wafer::Expected<std::string, uint32_t>;
  ~Slow() override {
    for (std::thread& t : threads_) t.join();
  }
  void repeated(std::string text, uint32_t times, wafer::ComponentReply<Text> reply) override {
    replies.push_back(reply);
    threads_.emplace_back([text = std::move(text), times, reply = std::move(reply)] {
      if (times > 100) return reply.fail("the host has had enough");
      if (times > 10) return reply(wafer::Err<uint32_t>{times});
      std::string out;
      for (uint32_t i = 0; i < times; ++i) out += text;
      reply(out);
    });
  }
  void tick(wafer::ComponentReply<void> reply) override { reply(); }

  std::vector<wafer::ComponentReply<Text>> replies;

 private:
  std::vector<std::thread> threads_;
};

void waited(const wafer::Engine& engine, const wafer::Component& component) {
  Slow slow;
  wafer::ComponentLinker linker;
  waits::add_imports(linker, slow);
  std::optional<wafer::Store> store(std::in_place, engine);
  auto guest = waits::Waits::instantiate(*store, linker, component);
  if (!guest.ok()) return check(false, "waits", message(guest));
  echoes("answered", guest->run(3), std::string("ababab"));
  echoes("answered with an error", guest->run(11), std::string("too often"));
  const auto failed = guest->run(101);
  check(!failed.ok() && message(failed).find("had enough") != std::string::npos, "failed",
        message(failed));
  // Answers that come when there is nobody any more.
  store.reset();
  CHECK(slow.replies.size() >= 3);
  for (const auto& reply : slow.replies) {
    reply("late");
    reply.fail("late");
  }
}

// ---- What does not fit

void refused(const wafer::Engine& engine, const wafer::Component& echo_component) {
  const auto load = [&](const char* text) {
    const auto binary = wafer::wat2wasm(text);
    return wafer::Component::load(engine, {binary->data(), binary->size()});
  };
  Types types_host;
  Ops ops_host;
  wafer::ComponentLinker linker;
  relay::add_imports(linker, types_host, ops_host);
  wafer::Store store(engine);
  const auto other = load(R"((component (import "t:all/ops@1.0.0" (instance
      (export "text" (func (param "s" (list u8)) (result string)))))))");
  const auto made = linker.instantiate(store, *other);
  check(!made.ok() && message(made).find("the component's type is func(list<u8>) -> string, the "
                                         "host's func(string) -> string") != std::string::npos,
        "other type of an import", message(made));
  const auto none = relay::Relay::instantiate(store, linker, *load("(component)"));
  check(!none.ok() && message(none).find("exports no") != std::string::npos, "missing export",
        message(none));
  wafer::ComponentLinker empty;
  const auto wrong = relay::Relay::instantiate(store, empty, echo_component);
  check(!wrong.ok(), "another world's component");
}

// A store that goes while a component has objects of the host.
void dropped(const wafer::Engine& engine) {
  const auto binary = wafer::wat2wasm(R"((component
    (import "t:all/types@1.0.0" (instance $t
      (export "counter" (type $counter (sub resource)))
      (export "[constructor]counter" (func (param "start" u32) (result (own $counter))))))
    (core func $make (canon lower (func $t "[constructor]counter")))
    (core module $M
      (import "" "make" (func $make (param i32) (result i32)))
      (func (export "run") (drop (call $make (i32.const 1))) (drop (call $make (i32.const 2)))))
    (core instance $m (instantiate $M (with "" (instance (export "make" (func $make))))))
    (func (export "run") (canon lift (core func $m "run")))))");
  const auto component = wafer::Component::load(engine, {binary->data(), binary->size()});
  if (!component.ok()) return check(false, "keeps", message(component));
  Types types_host;
  Ops ops_host;
  wafer::ComponentLinker linker;
  relay::add_imports(linker, types_host, ops_host);
  {
    wafer::Store store(engine);
    auto instance = linker.instantiate(store, *component);
    if (!instance.ok()) return check(false, "keeps", message(instance));
    check(instance->func("run").call().ok(), "keeps");
    CHECK(alive == 2);
  }
  CHECK(alive == 0);
}

std::vector<char> read(const char* path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) return 2;
  wafer::Config config;
  config.tier = argv[4] == std::string("interp") ? wafer::Tier::Interpreter
                : argv[4] == std::string("llvm") ? wafer::Tier::Optimized
                                                 : wafer::Tier::Baseline;
  wafer::Engine engine(config);
  const auto load = [&](const char* path) {
    const std::vector<char> bytes = read(path);
    return wafer::Component::load(engine,
                                  {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
  };
  const auto relay_component = load(argv[1]), echo_component = load(argv[2]),
             waits_component = load(argv[3]);
  for (const auto* c : {&relay_component, &echo_component, &waits_component}) {
    if (c->ok()) continue;
    std::printf("%s\n", message(*c).c_str());
    return 1;
  }
  relayed(engine, *relay_component);
  echoed(engine, *echo_component);
  waited(engine, *waits_component);
  refused(engine, *echo_component);
  dropped(engine);
  std::printf("%s: %d failures\n", argv[4], failures);
  return failures ? 1 : 0;
}

// Where requests of guests may go.
#include "host/http_rules.h"

#include <gtest/gtest.h>

namespace wafer::host {
namespace {

HttpOrigin origin(const char* authority, bool tls = false) {
  const std::optional<HttpOrigin> o = HttpOrigin::parse(tls, authority);
  EXPECT_TRUE(o) << authority;
  return o.value_or(HttpOrigin());
}

HttpRules rules(std::initializer_list<const char*> texts) {
  HttpRules r;
  for (const char* text : texts) EXPECT_TRUE(r.allow(text).ok()) << text;
  return r;
}

Address address(const char* text) { return *Address::parse(text); }

TEST(HttpOrigin, IsHostAndPort) {
  EXPECT_EQ(origin("Example.ORG.", true), (HttpOrigin{true, "example.org", 443}));
  EXPECT_EQ(origin("example.org:8080"), (HttpOrigin{false, "example.org", 8080}));
  EXPECT_EQ(origin("[0:0::1]:1"), (HttpOrigin{false, "::1", 1}));
  for (const char* bad : {"", ":80", "a:", "a:0", "a:65536", "a:1-2", "a:*", "user@a", "a/b", "a b",
                          "::1", "[::1", "[a]", "a..b", ".a", "a\nb", "[127.0.0.1]", "a:80:80"})
    EXPECT_FALSE(HttpOrigin::parse(false, bad)) << bad;
}

TEST(HttpRules, AllowNothingElse) {
  const HttpRules none;
  EXPECT_FALSE(none.allows(origin("example.org")));
  const HttpRules r = rules({"example.org", "*.example.net:8000-8080", "https://only.example:*",
                             "10.0.0.0/8:80", "[fd00::]/8:*"});
  for (const char* yes : {"example.org", "EXAMPLE.org.:80", "a.example.net:8000",
                          "a.b.example.net:8080", "10.1.2.3", "[fd12::1]:99"})
    EXPECT_TRUE(r.allows(origin(yes))) << yes;
  for (const char* no : {"a.example.org", "example.org:8080", "badexample.org", "example.net:8000",
                         "xexample.net:8000", "a.example.net:7999", "only.example", "11.0.0.1",
                         "10.1.2.3:81", "[fe00::1]:99", "example.org.evil.example", "127.0.0.1"})
    EXPECT_FALSE(r.allows(origin(no))) << no;
  EXPECT_TRUE(r.allows(origin("example.org", true)));
  EXPECT_TRUE(r.allows(origin("only.example:1", true)));
}

// Whoever answers for a name must not lead to this machine or its network.
TEST(HttpRules, NamesEndAtTheInternet) {
  const HttpRules r = rules({"*.example.org"});
  const HttpOrigin o = origin("a.example.org");
  for (const char* yes : {"8.8.8.8", "172.32.0.1", "2606:4700::1111", "64:ff9b::808:808"})
    EXPECT_TRUE(r.allows(o, address(yes))) << yes;
  for (const char* no :
       {"127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "0.0.0.0", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fd00::1", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "2001::1"})
    EXPECT_FALSE(r.allows(o, address(no))) << no;
  EXPECT_FALSE(r.allows(origin("b.example.com"), address("8.8.8.8")));
  // Unless a rule says so of the address, for the same scheme and port.
  const HttpRules local = rules({"*.example.org:*", "10.0.0.0/8:8080"});
  EXPECT_TRUE(local.allows(origin("a.example.org:8080"), address("10.0.0.1")));
  EXPECT_FALSE(local.allows(origin("a.example.org:8081"), address("10.0.0.1")));
  EXPECT_FALSE(local.allows(origin("a.example.org:8080"), address("127.0.0.1")));
  EXPECT_TRUE(rules({"*:*"}).allows(origin("a.example.org:8080"), address("10.0.0.1")));
  const HttpRules self = rules({"localhost:*"});
  EXPECT_TRUE(self.allows(origin("localhost:1"), address("::1")));
  EXPECT_TRUE(self.allows(origin("localhost:1"), address("127.0.0.1")));
  EXPECT_FALSE(self.allows(origin("localhost:1"), address("10.0.0.1")));
}

TEST(HttpRules, AskWhoeverEmbeds) {
  HttpRules r;
  r.ask = [](const HttpOrigin& o) { return o.host == "example.org" || o.host == "10.0.0.1"; };
  EXPECT_TRUE(r.allows(origin("example.org")));
  EXPECT_TRUE(r.allows(origin("example.org"), address("10.0.0.1")));
  EXPECT_FALSE(r.allows(origin("example.org"), address("10.0.0.2")));
  EXPECT_FALSE(r.allows(origin("example.com")));
}

}  // namespace
}  // namespace wafer::host

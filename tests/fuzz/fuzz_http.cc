// The HTTP front end of `wafer serve`, with a real guest behind it: whatever a client sends, in
// whatever pieces, the connection ends in bounded time, what comes back is HTTP, each request has
// one answer, and no request gets to the guest that a strict reader does not see there too.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "component/component.h"
#include "host/http/http2.h"
#include "interp/interp.h"
#include "serve/connection2.h"
#include "serve/worker.h"
#include "wat/wat.h"

namespace {

using namespace wafer;

const std::string* g_input = nullptr;
const std::string* g_output = nullptr;

std::string visible(std::string_view text) {
  std::string out;
  for (const unsigned char c : text) {
    char buffer[8];
    std::snprintf(buffer, sizeof(buffer), c >= 32 && c < 127 ? "%c" : "\\x%02x", c);
    out += buffer;
    if (c == '\n') out += '\n';
  }
  return out;
}

[[noreturn]] void fault(const std::string& what) {
  std::fprintf(stderr, "%s\n---- sent\n%s\n---- came back\n%s\n", what.c_str(),
               visible(*g_input).c_str(), g_output ? visible(*g_output).c_str() : "");
  std::abort();
}

// ---- HTTP/1.1, read strictly (RFC 9110, RFC 9112); of one direction.

bool is_tchar(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         (c != 0 && std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos);
}
bool is_name(std::string_view s) {
  for (const char c : s)
    if (!is_tchar(c)) return false;
  return !s.empty();
}
bool is_text(std::string_view s) {
  for (const char c : s)
    if ((static_cast<unsigned char>(c) < 32 && c != '\t') || c == 127) return false;
  return true;
}
std::string lower(std::string_view s) {
  std::string out(s);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = char(c - 'A' + 'a');
  return out;
}
std::string_view trim(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t')) s.remove_suffix(1);
  return s;
}

struct Message {
  std::string start;
  std::vector<std::pair<std::string, std::string>> fields;
  std::string body;
  bool whole = false;  // it ends where it should
  bool plain = true;   // without extensions of chunks or trailers, which the server may refuse
  std::vector<std::string> all(std::string_view name) const {
    std::vector<std::string> out;
    for (const auto& [n, v] : fields)
      if (n == name) out.push_back(v);
    return out;
  }
};

class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}
  bool at_end() const { return rest_.empty(); }
  void skip_empty_lines() {
    while (rest_.starts_with("\r\n")) rest_.remove_prefix(2);
  }
  std::optional<std::string_view> line() {
    const size_t end = rest_.find("\r\n");
    if (end == rest_.npos) return std::nullopt;
    const std::string_view out = rest_.substr(0, end);
    rest_.remove_prefix(end + 2);
    return out;
  }
  bool fields(std::vector<std::pair<std::string, std::string>>& out) {
    for (;;) {
      const auto l = line();
      if (!l) return false;
      if (l->empty()) return true;
      const size_t colon = l->find(':');
      if (colon == l->npos || !is_name(l->substr(0, colon)) || !is_text(l->substr(colon + 1)))
        return false;
      out.emplace_back(lower(l->substr(0, colon)), trim(l->substr(colon + 1)));
    }
  }
  bool head(Message& m) {
    const auto l = line();
    if (!l) return false;
    m.start = *l;
    return fields(m.fields);
  }
  bool bytes(size_t size, std::string& out) {
    out += rest_.substr(0, size);
    const bool whole = rest_.size() >= size;
    rest_.remove_prefix(std::min(size, rest_.size()));
    return whole;
  }
  bool chunks(std::string& out, bool& plain) {
    for (;;) {
      const auto l = line();
      if (!l || !is_text(*l)) return false;
      size_t digits = 0;
      uint64_t size = 0;
      for (; digits < l->size() && std::isxdigit(static_cast<unsigned char>((*l)[digits]));
           ++digits)
        size = size * 16 + uint64_t(std::stoi(std::string(1, (*l)[digits]), nullptr, 16));
      if (digits == 0 || digits > 15) return false;
      const std::string_view rest = trim(l->substr(digits));
      plain &= rest.empty() && digits == l->size() && digits <= 8;
      if (!rest.empty() && rest.front() != ';') return false;
      if (size == 0) break;
      if (!bytes(size, out) || !rest_.starts_with("\r\n")) return false;
      rest_.remove_prefix(2);
    }
    std::vector<std::pair<std::string, std::string>> trailers;
    const bool ok = fields(trailers);
    plain &= trailers.empty();
    return ok;
  }
  std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
};

std::optional<uint64_t> number(std::string_view s) {
  if (s.empty() || s.size() > 18) return std::nullopt;
  uint64_t n = 0;
  for (const char c : s) {
    if (c < '0' || c > '9') return std::nullopt;
    n = n * 10 + uint64_t(c - '0');
  }
  return n;
}

struct Request : Message {
  std::string method, target;
  bool last = false;  // the connection ends with its answer
};

// The requests that are there, up to the first that is none. One whose head is good is told even
// if its body is not.
std::vector<Request> requests_of(std::string_view text) {
  std::vector<Request> out;
  Reader reader(text);
  for (;;) {
    reader.skip_empty_lines();
    Request r;
    if (!reader.head(r)) return out;
    const size_t a = r.start.find(' '), b = r.start.rfind(' ');
    if (a == r.start.npos || a == b) return out;
    r.method = r.start.substr(0, a);
    r.target = r.start.substr(a + 1, b - a - 1);
    const std::string version = r.start.substr(b + 1);
    if (!is_name(r.method) || r.target.empty() || r.target.find(' ') != r.target.npos ||
        !is_text(r.target) || (version != "HTTP/1.1" && version != "HTTP/1.0"))
      return out;
    const auto hosts = r.all("host"), lengths = r.all("content-length"),
               codings = r.all("transfer-encoding");
    if (hosts.size() > 1 || (hosts.empty() && version == "HTTP/1.1")) return out;
    if (lengths.size() + codings.size() > 1) return out;
    if (!codings.empty() && (version == "HTTP/1.0" || lower(codings[0]) != "chunked")) return out;
    if (!lengths.empty() && !number(lengths[0])) return out;
    r.last = version == "HTTP/1.0";
    for (const std::string& c : r.all("connection")) r.last |= lower(c).find("close") != c.npos;
    if (!codings.empty())
      r.whole = reader.chunks(r.body, r.plain);
    else
      r.whole = lengths.empty() || reader.bytes(*number(lengths[0]), r.body);
    out.push_back(std::move(r));
    if (!out.back().whole) return out;
  }
}

// ---- The server

struct Served {
  std::string method, target;
  int status = 0;
};

class Front {
 public:
  Front() {
    options_.limits.header_bytes = 2048;
    options_.limits.body_bytes = 4096;
    options_.limits.idle_time = options_.limits.header_time = options_.limits.body_time =
        std::chrono::milliseconds(500);
    options_.access_log = [this](const std::string& line) { note(line); };
    host::Config config;
    config.stdin_source = host::Input::null();
    auto process = host::Process::open(std::move(config));
    if (!process.ok()) std::abort();
    process_ = *std::move(process);
    std::ifstream file(WAFER_SERVICE);
    std::stringstream text;
    text << file.rdbuf();
    auto binary = wat::parse_wat(text.str(), {});
    if (!binary.ok()) std::abort();
    binary_ = *std::move(binary);
    runtime::Config engine;
    engine.interruptible = true;
    serve::Application application;
    application.engine = runtime::Engine::create(engine, interp::tier());
    component::DecodeOptions decode;
    decode.registry = application.engine->registry();
    for (unsigned f = 0; f < unsigned(component::Feature::None); ++f)
      decode.features.set(component::Feature(f), true);
    auto component = component::decode({binary_.data(), binary_.size()}, decode);
    if (!component.ok()) std::abort();
    application.component = *std::move(component);
    const auto generation = serve::check(*application.component);
    if (!generation.ok()) std::abort();
    application.generation = *generation;
    worker_.emplace(options_, process_, metrics_);
    worker_->set(std::move(application));
  }

  // What comes back for `sent`, of which `piece` bytes go out at once. `end`: that the client
  // sends no more is told only when the server has nothing more to do.
  std::string answer(std::string_view sent, size_t piece, bool wait) {
    served.clear();
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0) std::abort();
    client_ = fds[0];
    open_ = true;
    out_.clear();
    boost::asio::ip::tcp::socket socket(worker_->context());
    socket.assign(boost::asio::ip::tcp::v4(), fds[1]);
    worker_->take(std::move(socket));
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!sent.empty()) {
      const ssize_t n = send(client_, sent.data(),
                             std::min(std::max<size_t>(piece, 1), sent.size()), MSG_NOSIGNAL);
      if (n > 0) sent.remove_prefix(size_t(n));
      if (n < 0 && errno != EAGAIN) break;
      turn();
    }
    for (int quiet = 0; wait && open_ && quiet < 3;) {
      const size_t before = out_.size();
      turn();
      quiet = out_.size() == before ? quiet + 1 : 0;
    }
    shutdown(client_, SHUT_WR);
    while (metrics_.open != 0) {
      worker_->loop().run_one_for(20'000'000);
      turn();
      g_output = &out_;
      if (std::chrono::steady_clock::now() > limit) fault("the connection does not end");
    }
    turn();
    close(client_);
    if (metrics_.active != 0) fault("a request is left");
    return std::move(out_);
  }

  std::vector<Served> served;

 private:
  void turn() {
    worker_->loop().restart();
    worker_->loop().run_ready();
    char buffer[4096];
    for (ssize_t n; (n = recv(client_, buffer, sizeof(buffer), 0)) >= 0;) {
      if (n == 0) {
        open_ = false;
        break;
      }
      out_.append(buffer, size_t(n));
    }
  }
  // TIME REMOTE PROTOCOL METHOD TARGET STATUS BYTES MICROSECONDS
  void note(const std::string& line) {
    std::vector<std::string> words;
    std::stringstream in(line);
    for (std::string word; std::getline(in, word, ' ');) words.push_back(word);
    if (words.size() < 8) fault("a line of the log is short: " + line);
    const int status = std::atoi(words[words.size() - 3].c_str());
    // (What was refused may have a target with anything in it.)
    served.push_back({words[3], words[4], status});
  }

  serve::Options options_;
  host::Process process_;
  serve::Metrics metrics_;
  Vec<uint8_t> binary_;
  std::optional<serve::Worker> worker_;
  int client_ = -1;
  bool open_ = false;
  std::string out_;
};

// Of the guest, and not of the server itself, which refuses.
bool by_guest(int status) { return status == 200 || status == 500 || status == 504; }

void check_http1(std::string_view sent, const std::vector<Served>& served,
                 const std::string& output) {
  const std::vector<Request> expected = requests_of(sent);
  size_t n = 0;
  for (const Served& s : served) {
    if (!by_guest(s.status)) break;
    if (n == expected.size()) fault("a request that is not there: " + s.method + " " + s.target);
    if (s.method != expected[n].method || s.target != expected[n].target)
      fault("another request: " + s.method + " " + s.target);
    ++n;
  }
  if (served.size() > n + 1) fault("more after a refusal");

  Reader reader(output);
  size_t answers = 0;
  bool over = false;
  while (!reader.at_end()) {
    if (over) fault("more after the last answer");
    Message m;
    if (!reader.head(m)) {
      if (m.start.starts_with("HTTP/1.1 ") || answers < expected.size()) fault("half a header");
      fault("what came back is not HTTP");
    }
    if (!m.start.starts_with("HTTP/1.1 ") || m.start.size() < 13 || m.start[12] != ' ')
      fault("status line: " + m.start);
    const auto status = number(std::string_view(m.start).substr(9, 3));
    if (!status || *status < 100) fault("status: " + m.start);
    if (*status < 200) continue;
    const Request* const request = answers < expected.size() ? &expected[answers] : nullptr;
    ++answers;
    if (answers > expected.size() + 1) fault("more answers than requests");
    for (const std::string& c : m.all("connection")) over |= lower(c) == "close";
    const bool refused = !by_guest(int(*status));
    if (refused && !over) fault("refused, but the connection goes on");
    const bool head = request ? request->method == "HEAD" : sent.find("HEAD") != sent.npos;
    const auto lengths = m.all("content-length");
    if (lengths.size() > 1 || (!lengths.empty() && !m.all("transfer-encoding").empty()))
      fault("two lengths");
    bool whole = true;
    if (head && (refused || request)) {
      if (refused) reader.bytes(reader.rest().size(), m.body);
    } else if (!m.all("transfer-encoding").empty()) {
      whole = reader.chunks(m.body, m.plain);
    } else if (!lengths.empty()) {
      whole = reader.bytes(*number(lengths[0]), m.body);
    } else {
      if (!over) fault("no length");
      reader.bytes(reader.rest().size(), m.body);
    }
    if (!whole) {
      if (!request || (request->whole && request->plain) || !reader.at_end())
        fault("the answer is not whole");
      return;
    }
    if (refused || !request) continue;
    if (request->method == "POST" && *status == 200 && !over && m.body != request->body)
      fault("another body");
    if (request->method == "POST" && *status == 200 && request->whole && m.body != request->body)
      fault("another body");
  }
  // What was good was answered, up to what ends the connection.
  size_t good = 0;
  for (const Request& r : expected) {
    if (!r.whole || !r.plain) break;
    ++good;
    if (r.last) break;
  }
  if (answers < good && !over) fault("a request without an answer");
}

#if WAFER_WITH_HTTP2

struct Frame {
  uint8_t type, flags;
  int32_t stream;
  std::string_view payload;
};

// Whole frames; false if there is half a one at the end.
bool frames_of(std::string_view text, std::vector<Frame>& out) {
  while (!text.empty()) {
    if (text.size() < 9) return false;
    const auto byte = [&text](size_t i) { return uint32_t(static_cast<uint8_t>(text[i])); };
    const size_t size = byte(0) << 16 | byte(1) << 8 | byte(2);
    if (text.size() < 9 + size) return false;
    out.push_back({uint8_t(text[3]), uint8_t(text[4]),
                   int32_t((byte(5) << 24 | byte(6) << 16 | byte(7) << 8 | byte(8)) & 0x7fffffff),
                   text.substr(9, size)});
    text.remove_prefix(9 + size);
  }
  return true;
}

struct Inflater {
  Inflater() { nghttp2_hd_inflate_new(&it); }
  ~Inflater() { nghttp2_hd_inflate_del(it); }
  bool read(std::string_view block, std::vector<std::pair<std::string, std::string>>& out) {
    for (;;) {
      nghttp2_nv field;
      int flags = 0;
      const ssize_t n = nghttp2_hd_inflate_hd2(
          it, &field, &flags, reinterpret_cast<const uint8_t*>(block.data()), block.size(), 1);
      if (n < 0) return false;
      block.remove_prefix(size_t(n));
      if (flags & NGHTTP2_HD_INFLATE_EMIT)
        out.emplace_back(std::string(reinterpret_cast<char*>(field.name), field.namelen),
                         std::string(reinterpret_cast<char*>(field.value), field.valuelen));
      if (flags & NGHTTP2_HD_INFLATE_FINAL) return nghttp2_hd_inflate_end_headers(it) == 0;
      if (block.empty() && !(flags & NGHTTP2_HD_INFLATE_EMIT)) return false;
    }
  }
  nghttp2_hd_inflater* it = nullptr;
};

void check_http2(std::string_view sent, const std::vector<Served>& served,
                 const std::string& output) {
  struct Sent {
    std::string body;
    bool ended = false, reset = false;
  };
  std::map<int32_t, Sent> requests;
  std::vector<Frame> in, out;
  frames_of(sent.substr(serve::kHttp2Preface.size()), in);
  for (const Frame& f : in) {
    if (f.type == NGHTTP2_HEADERS) requests[f.stream];
    const auto at = requests.find(f.stream);
    if (at == requests.end()) continue;
    if (f.type == NGHTTP2_RST_STREAM) at->second.reset = true;
    if (f.type == NGHTTP2_DATA && !at->second.ended) {
      std::string_view data = f.payload;
      if ((f.flags & NGHTTP2_FLAG_PADDED) && !data.empty()) {
        const size_t padding = uint8_t(data[0]);
        data.remove_prefix(1);
        data.remove_suffix(std::min(padding, data.size()));
      }
      at->second.body += data;
    }
    if (f.type == NGHTTP2_DATA || f.type == NGHTTP2_HEADERS)
      at->second.ended |= (f.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  }
  if (served.size() > requests.size()) fault("more served than streams");

  if (!frames_of(output, out)) fault("half a frame");
  struct Got {
    int status = 0;
    std::string body, method;
    bool ended = false, reset = false;
  };
  std::map<int32_t, Got> answers;
  Inflater inflater;
  bool goaway = false;
  std::string block;
  int32_t within = 0;
  bool ends = false;
  for (const Frame& f : out) {
    if (f.payload.size() > 16384) fault("a frame is too large");
    if (within && (f.type != NGHTTP2_CONTINUATION || f.stream != within))
      fault("between the frames of a header");
    if (f.type == NGHTTP2_GOAWAY) goaway = true;
    if (f.type == NGHTTP2_PUSH_PROMISE || f.type > NGHTTP2_CONTINUATION) fault("an unknown frame");
    if (f.stream != 0 && f.type != NGHTTP2_WINDOW_UPDATE && f.type != NGHTTP2_RST_STREAM &&
        !requests.count(f.stream))
      fault("a stream that was not begun");
    if (f.type != NGHTTP2_HEADERS && f.type != NGHTTP2_CONTINUATION && f.type != NGHTTP2_DATA &&
        f.type != NGHTTP2_RST_STREAM)
      continue;
    Got& got = answers[f.stream];
    if (f.type == NGHTTP2_RST_STREAM) {
      got.reset = true;
      continue;
    }
    if (got.ended || got.reset) fault("more after the end of a stream");
    if (f.type == NGHTTP2_DATA) {
      if (got.status < 200) fault("data without a header");
      got.body += f.payload;
      got.ended = f.flags & NGHTTP2_FLAG_END_STREAM;
      continue;
    }
    if (f.type == NGHTTP2_HEADERS) {
      block.clear();
      ends = f.flags & NGHTTP2_FLAG_END_STREAM;
      if (f.flags & (NGHTTP2_FLAG_PADDED | NGHTTP2_FLAG_PRIORITY)) fault("padding");
    }
    block += f.payload;
    within = f.flags & NGHTTP2_FLAG_END_HEADERS ? 0 : f.stream;
    if (within) continue;
    std::vector<std::pair<std::string, std::string>> fields;
    if (!inflater.read(block, fields)) fault("a header is damaged");
    if (got.status >= 200) {  // trailers
      if (!ends) fault("trailers that are not the end");
    } else {
      if (fields.empty() || fields[0].first != ":status") fault("no status");
      got.status = std::atoi(fields[0].second.c_str());
      if (got.status < 100) fault("status " + fields[0].second);
    }
    for (const auto& [name, value] : fields)
      if (lower(name) != name || !is_text(value)) fault("field " + name);
    got.ended = ends;
  }
  for (const auto& [id, got] : answers) {
    if (!got.ended || got.status != 200) continue;
    const Sent& request = requests[id];
    // Either it is the echo, or the number of a request that has no interest in its body.
    if (got.body != request.body && !got.body.starts_with("number ") && !got.body.empty())
      fault("another body");
  }
  if (goaway) return;
  for (const auto& [id, request] : requests)
    if (request.ended && !request.reset && (!answers.count(id) || answers[id].status == 0) &&
        !(answers.count(id) && answers[id].reset) && in.size() && frames_of(sent, in))
      fault("a stream without an answer");
}

std::string frame(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload) {
  const auto b = [](size_t n, int shift) { return char(n >> shift & 0xff); };
  std::string out = {
      b(payload.size(), 16), b(payload.size(), 8), b(payload.size(), 0), char(type),  char(flags),
      b(stream, 24),         b(stream, 16),        b(stream, 8),         b(stream, 0)};
  return out.append(payload);
}

// Literals that are not indexed, and indexed ones for the method and the scheme.
std::string header(bool post, std::string_view path,
                   std::vector<std::pair<std::string, std::string>> more = {}) {
  std::string out = post ? "\x83\x86" : "\x82\x86";
  out += std::string("\x04") + char(path.size()) + std::string(path);  // :path
  out += std::string("\x01\x01") + "a";                                // :authority
  for (const auto& [name, value] : more)
    out += std::string("\0", 1) + char(name.size()) + name + char(value.size()) + value;
  return out;
}

#endif

}  // namespace

std::vector<std::string> make_seeds() {
  std::vector<std::string> texts = {
      "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
      "HEAD /x?y=z HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
      "POST /p HTTP/1.1\r\nHost: a:80\r\nContent-Length: 5\r\n\r\nhello"
      "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
      "POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
      "5\r\nhello\r\nA;e=f\r\n0123456789\r\n0\r\nX-T: v\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 38\r\n\r\n"
      "GET /smuggled HTTP/1.1\r\nHost: abcde\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
      "POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n"
      "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
      "DELETE /trap HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
      "POST /c HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
      "GET / HTTP/1.0\r\n\r\n",
      "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /2 HTTP/1.0\r\n\r\n",
      "GET http://b:8/abs HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
      "OPTIONS * HTTP/1.1\r\nhost:a\r\nX-Long: 1\t2 3\r\n\r\n",
      "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
      "POST /one HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n1"
      "POST /two HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n22"
      "POST /ten HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
  };
#if WAFER_WITH_HTTP2
  const std::string begin = std::string(serve::kHttp2Preface) + frame(4, 0, 0, "");
  texts.push_back(begin + frame(1, 5, 1, header(false, "/")) + frame(4, 1, 0, ""));
  texts.push_back(begin + frame(1, 4, 1, header(true, "/p")) + frame(0, 0, 1, "hel") +
                  frame(0, 1, 1, "lo") + frame(1, 5, 3, header(false, "/x", {{"k", "v"}})));
  texts.push_back(begin + frame(1, 4, 1, header(true, "/p", {{"content-length", "3"}})) +
                  frame(0, 9, 1, std::string("\x02") + "abc" + std::string(2, '\0')));
  texts.push_back(begin + frame(1, 0, 1, header(false, "/a").substr(0, 4)) +
                  frame(9, 4, 1, header(false, "/a").substr(4)) + frame(3, 0, 1, "\0\0\0\x08") +
                  frame(6, 0, 0, "12345678") + frame(8, 0, 0, std::string("\0\0\1\0", 4)));
  texts.push_back(begin + frame(1, 4, 1, header(true, "/t")) + frame(0, 0, 1, "x") +
                  frame(1, 5, 1, std::string("\0\1t\1v", 5)) +
                  frame(4, 0, 0, std::string("\0\4\0\0\0\1", 6)) +
                  frame(7, 0, 0, std::string(8, '\0')));
  texts.push_back(begin + frame(1, 5, 1, header(false, "/")) + frame(1, 5, 3, header(false, "/")) +
                  frame(1, 4, 5, header(true, "/")) + frame(1, 5, 7, header(false, "/")) +
                  frame(0, 1, 5, "body"));
#endif
  std::vector<std::string> out;
  size_t i = 0;
  for (const size_t piece : {1, 7, 255})
    for (const std::string& t : texts)
      if (piece == 255 || ++i % 3 == 0) out.push_back(char(piece) + t);
  return out;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string sent(reinterpret_cast<const char*>(data) + 1, size - 1);
  // The guest takes its time for them.
  if (sent.find("PUT") != sent.npos || sent.find("PATCH") != sent.npos) return 0;
  static Front front;
  g_input = &sent;
  g_output = nullptr;
  const bool http2 = host::kHasHttp2 && sent.starts_with(serve::kHttp2Preface);
  const std::string output = front.answer(sent, data[0] == 255 ? SIZE_MAX : data[0], http2);
  g_output = &output;
#if WAFER_WITH_HTTP2
  if (http2) {
    check_http2(sent, front.served, output);
    return 0;
  }
#endif
  check_http1(sent, front.served, output);
  return 0;
}

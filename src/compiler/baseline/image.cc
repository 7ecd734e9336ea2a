#include "compiler/baseline/image.h"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "compiler/builtins.h"

namespace wafer::compiler {

namespace {

// Bodies of one piece of work.
constexpr uint32_t kPieceBytes = 32u << 10;
constexpr size_t kAlign = 16;
// Distances in code have 32 bits.
constexpr uint64_t kMostBytes = 1u << 30;
constexpr size_t kMostStub = 32;
constexpr uint32_t kAbsent = ~0u;

void align(Vec<uint8_t>& text) { text.resize((text.size() + kAlign - 1) & ~(kAlign - 1), 0xCC); }

}  // namespace

void FunctionLinker::Piece::add(uint32_t func, const CompiledFunction& code) {
  align(text);
  const auto begin = uint32_t(text.size());
  text.insert(text.end(), code.code.begin(), code.code.end());
  functions.push_back({func, begin, uint32_t(text.size()), 0});
  read_locations(code.locations, [&](uint32_t at, uint32_t offset) {
    locations.push_back({begin + at, offset});
    return true;
  });
  for (const CallHandler& h : code.handlers) handlers.push_back({begin + h.after, begin + h.pad});
  for (const CodeReference& r : code.references)
    references.push_back({r.to, r.index, begin + r.at});
}

// What the threads of one compile() share.
struct FunctionLinker::Work {
  const wasm::Module& module;
  const BaselineOptions& options;
  MakeFunctionCompiler make;
  const std::atomic<uint32_t>* cancel;
  Vec<std::span<const uint32_t>> functions;  // by piece
  Piece* pieces;
  std::atomic<size_t> next{0};
  bool cancelled() const { return cancel && cancel->load(std::memory_order_relaxed); }
};

void* FunctionLinker::run(void* argument) {
  Work& work = *static_cast<Work*>(argument);
  const std::shared_ptr<FunctionCompiler> compiler = work.make(work.module, work.options);
  for (size_t i; (i = work.next.fetch_add(1)) < work.functions.size();) {
    for (const uint32_t func : work.functions[i]) {
      if (work.cancelled()) return nullptr;
      const Result<CompiledFunction> code = compiler->compile(func);
      if (code)
        work.pieces[i].add(func, *code);
      else
        work.pieces[i].left.push_back(func);
    }
  }
  return nullptr;
}

Result<Vec<uint32_t>> FunctionLinker::compile(std::span<const uint32_t> functions,
                                              MakeFunctionCompiler make,
                                              const BaselineOptions& options, unsigned threads,
                                              const std::atomic<uint32_t>* cancel) {
  Work work{module_, options, make, cancel, {}, nullptr};
  size_t begin = 0;
  uint32_t bytes = 0;
  for (size_t i = 0; i < functions.size(); ++i) {
    bytes += module_.functions[functions[i]].body.size();
    if (bytes < kPieceBytes && i + 1 < functions.size()) continue;
    work.functions.push_back(functions.subspan(begin, i + 1 - begin));
    begin = i + 1;
    bytes = 0;
  }
  const size_t first = pieces_.size();
  pieces_.resize(first + work.functions.size());
  work.pieces = pieces_.data() + first;

  const auto processors = size_t(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)));
  const size_t most = std::min(threads ? threads : processors, work.functions.size());
  Vec<pthread_t> others;
  // With those that can be had.
  for (pthread_t t; others.size() + 1 < most && pthread_create(&t, nullptr, run, &work) == 0;)
    others.push_back(t);
  run(&work);
  for (const pthread_t t : others) pthread_join(t, nullptr);
  if (work.cancelled()) return Error(ErrorKind::Unsupported, "cancelled");
  Vec<uint32_t> left;
  for (size_t i = first; i < pieces_.size(); ++i)
    left.insert(left.end(), pieces_[i].left.begin(), pieces_[i].left.end());
  return left;
}

size_t FunctionLinker::size() const {
  size_t bytes = 0;
  for (const Piece& piece : pieces_) bytes += piece.text.size();
  return bytes;
}

Result<ImageParts> FunctionLinker::link(ImageParts others) const {
  if (size() + others.text.size() + others.rodata.size() + module_.functions.size() * kMostStub >
      kMostBytes)
    return Error(ErrorKind::Unsupported, "too much code for one image");
  ImageParts out;
  Vec<uint32_t> starts;  // by piece
  for (const Piece& piece : pieces_) {
    align(out.text);
    const auto start = uint32_t(out.text.size());
    starts.push_back(start);
    out.text.insert(out.text.end(), piece.text.begin(), piece.text.end());
    for (const ImageFunction& f : piece.functions)
      out.functions.push_back({f.func_index, f.begin + start, f.end + start, 0});
    for (const ImageLocation& l : piece.locations)
      out.locations.push_back({l.code + start, l.module_offset});
    for (const ImageHandler& h : piece.handlers)
      out.handlers.push_back({h.after + start, h.pad + start});
  }
  align(out.text);

  // Other code follows from a page on, so that all that it refers to keeps its distance.
  Vec<uint32_t> at(module_.functions.size(), kAbsent);  // by function index: in the text
  for (const ImageFunction& f : out.functions) at[f.func_index] = f.begin;
  Vec<bool> theirs(module_.functions.size());
  for (const ImageFunction& f : others.functions)
    if (f.loop == 0) theirs[f.func_index] = true;
  BaselineCompiler stubs(module_, {});
  Vec<uint32_t> slots(size_t(Builtin::Count), kAbsent);  // by built-in function: in the table
  out.symbols = std::move(others.symbols);
  for (const Piece& piece : pieces_) {
    for (const CodeReference& r : piece.references) {
      if (r.to == CodeReference::To::Builtin) {
        if (slots[r.index] != kAbsent) continue;
        slots[r.index] = uint32_t(out.symbols.size());
        String name("wafer_");
        name += builtin_info(Builtin(r.index)).name;
        out.symbols.push_back(std::move(name));
      } else if (at[r.index] == kAbsent && !theirs[r.index]) {
        WAFER_LET(stub, stubs.entry_stub(r.index));
        align(out.text);
        at[r.index] = uint32_t(out.text.size());
        out.text.insert(out.text.end(), stub.code.begin(), stub.code.end());
      }
    }
  }
  out.framed = uint32_t(out.text.size());
  const auto shift = others.text.empty() ? out.framed : uint32_t(page_up(out.framed));
  out.text.resize(shift, 0xCC);
  out.text.insert(out.text.end(), others.text.begin(), others.text.end());
  for (ImageFunction f : others.functions) {
    f.begin += shift;
    f.end += shift;
    out.functions.push_back(f);
    if (f.loop == 0) at[f.func_index] = f.begin;
  }
  for (const ImageLocation& l : others.locations)
    out.locations.push_back({l.code + shift, l.module_offset});
  for (const ImageInline& i : others.inlines)
    out.inlines.push_back({i.begin + shift, i.end + shift, i.call});
  out.traits = others.traits;
  out.rodata = std::move(others.rodata);
  out.eh_frame = others.eh_frame;
  out.has_eh_frame = others.has_eh_frame;
  out.module = std::move(others.module);
  out.seconds_elsewhere = others.seconds_elsewhere;

  const ImagePlan plan = plan_image(out.text.size(), out.rodata.size());
  for (size_t i = 0; i < pieces_.size(); ++i) {
    for (const CodeReference& r : pieces_[i].references) {
      const uint32_t place = starts[i] + r.at;
      const int64_t to = r.to == CodeReference::To::Function
                             ? int64_t(at[r.index])
                             : int64_t(plan.table) - plan.text + int64_t(slots[r.index]) * 8;
      const auto distance = int32_t(to - int64_t(place) - 4);
      std::memcpy(out.text.data() + place, &distance, 4);
    }
  }
  return out;
}

}  // namespace wafer::compiler

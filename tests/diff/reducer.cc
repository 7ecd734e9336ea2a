#include "reducer.h"

#include <algorithm>

#include "wasm/op_tables.h"

namespace wafer::diff {

namespace {

using namespace wasm;

class Reducer {
 public:
  Reducer(ModuleImage image, const Property& property, uint32_t max_tries)
      : best_(std::move(image)), property_(property), left_(max_tries) {}

  ModuleImage run() {
    for (bool smaller = true; smaller && left_;) {
      smaller = false;
      smaller |= drop_items(&ModuleImage::exports);
      smaller |= empty_bodies();
      for (uint32_t f = 0; f < best_.functions.size(); ++f) {
        smaller |= cut_blocks(f);
        smaller |= cut_ranges(f);
        smaller |= simplify(f);
      }
      smaller |= drop_items(&ModuleImage::datas);
      smaller |= drop_items(&ModuleImage::elems);
    }
    return std::move(best_);
  }

 private:
  // Keeps what `change` makes of the best image if that has the property.
  template <class F>
  bool attempt(F change) {
    if (!left_) return false;
    ModuleImage candidate = best_;
    if (!change(candidate)) return false;
    --left_;
    if (!property_(candidate)) return false;
    best_ = std::move(candidate);
    return true;
  }

  template <class T>
  bool drop_items(Vec<T> ModuleImage::* list) {
    bool any = false;
    for (size_t i = (best_.*list).size(); i--;)
      any |= attempt([&](ModuleImage& m) {
        (m.*list).erase((m.*list).begin() + ptrdiff_t(i));
        return true;
      });
    return any;
  }

  // Bodies that are not needed trap, or give the simplest values.
  bool empty_bodies() {
    bool any = false;
    for (size_t i = 0; i < best_.functions.size(); ++i) {
      if (best_.functions[i].code.size() <= 1) continue;
      any |= attempt([&](ModuleImage& m) {
               Code code;
               for (const ValType t : m.types[m.functions[i].type].func.results)
                 if (!zero(code, t)) return false;
               if (code.size() >= m.functions[i].code.size()) return false;
               m.functions[i].code = std::move(code);
               return true;
             }) ||
             attempt([&](ModuleImage& m) {
               m.functions[i].code.assign(1, Instr{});
               m.functions[i].code[0].op = Opcode::Unreachable;
               return true;
             });
    }
    return any;
  }

  static bool zero(Code& out, ValType t) {
    Instr in;
    switch (t.kind()) {
      case TypeKind::I32:
        in.op = Opcode::I32Const;
        break;
      case TypeKind::I64:
        in.op = Opcode::I64Const;
        break;
      case TypeKind::F32:
        in.op = Opcode::F32Const;
        break;
      case TypeKind::F64:
        in.op = Opcode::F64Const;
        break;
      case TypeKind::V128:
        in.op = Opcode::V128Const;
        break;
      default:
        if (!t.is_ref() || !t.nullable()) return false;
        in.op = Opcode::RefNull;
        in.heap = t.heap();
    }
    out.push_back(std::move(in));
    return true;
  }

  // Takes the two ends of a block away, or it with all that is in it.
  bool cut_blocks(uint32_t f) {
    bool any = false;
    for (size_t at = 0; at < best_.functions[f].code.size(); ++at) {
      const size_t end = end_of(best_.functions[f].code, at);
      if (!end) continue;
      any |= attempt([&](ModuleImage& m) {
               Code& code = m.functions[f].code;
               code.erase(code.begin() + ptrdiff_t(at), code.begin() + ptrdiff_t(end) + 1);
               return true;
             }) ||
             attempt([&](ModuleImage& m) {
               Code& code = m.functions[f].code;
               code.erase(code.begin() + ptrdiff_t(end));
               code.erase(code.begin() + ptrdiff_t(at));
               return true;
             });
    }
    return any;
  }

  // Index of the `end` of the block that begins at `at`; 0 if none begins there.
  static size_t end_of(const Code& code, size_t at) {
    const auto opens = [](Opcode op) {
      return op == Opcode::Block || op == Opcode::Loop || op == Opcode::If ||
             op == Opcode::TryTable || op == Opcode::Try;
    };
    if (!opens(code[at].op)) return 0;
    size_t depth = 0;
    for (size_t i = at; i < code.size(); ++i) {
      if (opens(code[i].op)) ++depth;
      if ((code[i].op == Opcode::End || code[i].op == Opcode::Delegate) && --depth == 0) return i;
    }
    return 0;
  }

  bool cut_ranges(uint32_t f) {
    bool any = false;
    size_t length = best_.functions[f].code.size() / 2;
    // Short cuts of every length: operands go with what takes them.
    for (; length; length = length > 16 ? length / 2 : length - 1)
      for (size_t at = best_.functions[f].code.size(); at-- > 0;) {
        if (at + length > best_.functions[f].code.size()) continue;
        any |= attempt([&](ModuleImage& m) {
          Code& code = m.functions[f].code;
          if (!is_balanced(code, at, length)) return false;
          code.erase(code.begin() + ptrdiff_t(at), code.begin() + ptrdiff_t(at + length));
          return true;
        });
      }
    return any;
  }

  // Blocks begin and end within the range.
  static bool is_balanced(const Code& code, size_t at, size_t length) {
    int depth = 0;
    for (size_t i = at; i < at + length; ++i) {
      if (end_of(code, i)) ++depth;
      if ((code[i].op == Opcode::End || code[i].op == Opcode::Delegate) && --depth < 0)
        return false;
      if (code[i].op == Opcode::Else && depth == 0) return false;
    }
    return depth == 0;
  }

  // Drops operands and puts a constant for the result.
  bool simplify(uint32_t f) {
    bool any = false;
    for (size_t at = 0; at < best_.functions[f].code.size(); ++at)
      any |= attempt([&](ModuleImage& m) {
        Code& code = m.functions[f].code;
        const OpSig& sig = kOpFacts[size_t(code[at].op)].sig();
        if (sig.custom || sig.param_count == 0) return false;
        Code instead;
        for (unsigned i = 0; i < sig.param_count; ++i) {
          instead.emplace_back();
          instead.back().op = Opcode::Drop;
        }
        for (unsigned i = 0; i < sig.result_count; ++i)
          if (!zero(instead, sig.results[i])) return false;
        code.erase(code.begin() + ptrdiff_t(at));
        code.insert(code.begin() + ptrdiff_t(at), instead.begin(), instead.end());
        return true;
      });
    return any;
  }

  ModuleImage best_;
  const Property& property_;
  uint32_t left_;
};

}  // namespace

ModuleImage reduce(ModuleImage image, const Property& property, uint32_t max_tries) {
  return Reducer(std::move(image), property, max_tries).run();
}

}  // namespace wafer::diff

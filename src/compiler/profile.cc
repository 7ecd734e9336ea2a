#include "compiler/profile.h"

#include <elf.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <memory>
#include <mutex>
#include <vector>

#include "base/descriptor.h"

// The interface that debuggers look for, by these names (GDB manual, "JIT Compilation
// Interface").
// NOLINTBEGIN(bugprone-reserved-identifier)
extern "C" {
enum { JIT_NOACTION = 0, JIT_REGISTER_FN, JIT_UNREGISTER_FN };
struct jit_code_entry {
  jit_code_entry* next_entry;
  jit_code_entry* prev_entry;
  const char* symfile_addr;
  uint64_t symfile_size;
};
struct jit_descriptor {
  uint32_t version;
  uint32_t action_flag;
  jit_code_entry* relevant_entry;
  jit_code_entry* first_entry;
};
__attribute__((noinline, used)) void __jit_debug_register_code() { asm volatile("" ::: "memory"); }
__attribute__((used)) jit_descriptor __jit_debug_descriptor = {1, JIT_NOACTION, nullptr, nullptr};
}
// NOLINTEND(bugprone-reserved-identifier)

namespace wafer::compiler {

namespace {

std::atomic<bool> debugger{false};
std::mutex mutex;
std::atomic<std::FILE*> perf_map{nullptr};  // set once

struct Registered {
  const void* begin;
  std::vector<char> file;
  jit_code_entry entry;
};
std::vector<std::unique_ptr<Registered>> registered;

String name_of(const wasm::Module& module, uint32_t func) {
  String name(module.function_name(func));
  if (name.empty()) {
    name = "func";
    name += std::to_string(func);
  }
  return name;
}

// An object file with nothing but symbols and the unwind table at their addresses.
std::vector<char> symbol_file(const wasm::Module& module, std::span<const CodeName> code,
                              Bytes unwind) {
  std::vector<char> strings{'\0'};
  std::vector<Elf64_Sym> symbols(1);
  auto low = reinterpret_cast<uintptr_t>(code[0].begin), high = low;
  for (const CodeName& c : code) {
    const auto begin = reinterpret_cast<uintptr_t>(c.begin);
    low = std::min(low, begin);
    high = std::max(high, begin + c.size);
  }
  for (const CodeName& c : code) {
    Elf64_Sym s{};
    s.st_name = Elf64_Word(strings.size());
    s.st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC);
    s.st_shndx = 1;
    s.st_value = reinterpret_cast<uintptr_t>(c.begin) - low;
    s.st_size = c.size;
    symbols.push_back(s);
    const String name = name_of(module, c.func_index);
    strings.insert(strings.end(), name.c_str(), name.c_str() + name.size() + 1);
  }
  static constexpr char kSectionNames[] = "\0.text\0.symtab\0.strtab\0.shstrtab\0.eh_frame";
  enum { kNull, kText, kSymbols, kStrings, kNames, kUnwind, kSections };
  const size_t symbol_bytes = symbols.size() * sizeof(Elf64_Sym);
  Elf64_Shdr s[kSections] = {};
  size_t at = sizeof(Elf64_Ehdr);
  const auto place = [&](unsigned section, Elf64_Word name, Elf64_Word type, size_t size) {
    s[section].sh_name = name;
    s[section].sh_type = type;
    s[section].sh_offset = at;
    s[section].sh_size = size;
    at = (at + size + 7) & ~size_t{7};
  };
  place(kSymbols, 7, SHT_SYMTAB, symbol_bytes);
  s[kSymbols].sh_link = kStrings;
  s[kSymbols].sh_info = 1;
  s[kSymbols].sh_entsize = sizeof(Elf64_Sym);
  place(kStrings, 15, SHT_STRTAB, strings.size());
  place(kNames, 23, SHT_STRTAB, sizeof kSectionNames);
  place(kUnwind, 33, SHT_PROGBITS, unwind.size());
  s[kUnwind].sh_flags = SHF_ALLOC;
  s[kUnwind].sh_addr = reinterpret_cast<uintptr_t>(unwind.data());
  s[kUnwind].sh_addralign = 8;
  s[kText].sh_name = 1;
  s[kText].sh_type = SHT_NOBITS;
  s[kText].sh_flags = SHF_ALLOC | SHF_EXECINSTR;
  s[kText].sh_addr = low;
  s[kText].sh_size = high - low;
  const size_t sections_at = at;
  std::vector<char> file(sections_at + sizeof s);
  Elf64_Ehdr h{};
  std::memcpy(h.e_ident, ELFMAG, SELFMAG);
  h.e_ident[EI_CLASS] = ELFCLASS64;
  h.e_ident[EI_DATA] = ELFDATA2LSB;
  h.e_ident[EI_VERSION] = EV_CURRENT;
  h.e_type = ET_REL;
#if defined(__aarch64__)
  h.e_machine = EM_AARCH64;
#else
  h.e_machine = EM_X86_64;
#endif
  h.e_version = EV_CURRENT;
  h.e_shoff = sections_at;
  h.e_ehsize = sizeof h;
  h.e_shentsize = sizeof(Elf64_Shdr);
  h.e_shnum = kSections;
  h.e_shstrndx = kNames;
  std::memcpy(file.data(), &h, sizeof h);
  std::memcpy(file.data() + s[kSymbols].sh_offset, symbols.data(), symbol_bytes);
  std::memcpy(file.data() + s[kStrings].sh_offset, strings.data(), strings.size());
  std::memcpy(file.data() + s[kNames].sh_offset, kSectionNames, sizeof kSectionNames);
  if (!unwind.empty())
    std::memcpy(file.data() + s[kUnwind].sh_offset, unwind.data(), unwind.size());
  std::memcpy(file.data() + sections_at, s, sizeof s);
  return file;
}

void notify(uint32_t action, jit_code_entry* entry) {
  __jit_debug_descriptor.action_flag = action;
  __jit_debug_descriptor.relevant_entry = entry;
  __jit_debug_register_code();
}

}  // namespace

void enable_perf_map() {
  const std::lock_guard lock(mutex);
  if (perf_map) return;
  char path[64];
  std::snprintf(path, sizeof path, "/tmp/perf-%d.map", int(getpid()));
  // Anybody may have put a file or link of that name there.
  unlink(path);
  UniqueFd file =
      take_opened(open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
  if (!file) return;
  std::FILE* const map = fdopen(file.get(), "w");
  if (map) (void)file.release();
  perf_map = map;
}

void enable_debugger() { debugger = true; }

void announce_code(const wasm::Module& module, std::span<const CodeName> code, const char* tier,
                   Bytes unwind) {
  if (code.empty() || (!perf_map && !debugger)) return;
  const std::lock_guard lock(mutex);
  if (std::FILE* const map = perf_map) {
    for (const CodeName& c : code)
      std::fprintf(map, "%lx %zx wasm[%s]::%s\n",
                   static_cast<unsigned long>(reinterpret_cast<uintptr_t>(c.begin)), c.size, tier,
                   name_of(module, c.func_index).c_str());
    std::fflush(map);
  }
  if (debugger) {
    auto& r = registered.emplace_back(std::make_unique<Registered>());
    r->begin = code[0].begin;
    r->file = symbol_file(module, code, unwind);
    jit_code_entry*& first = __jit_debug_descriptor.first_entry;
    r->entry = {first, nullptr, r->file.data(), r->file.size()};
    if (first) first->prev_entry = &r->entry;
    first = &r->entry;
    notify(JIT_REGISTER_FN, &r->entry);
  }
}

void forget_code(const void* begin) {
  if (!debugger) return;
  const std::lock_guard lock(mutex);
  for (size_t i = 0; i < registered.size(); ++i) {
    if (registered[i]->begin != begin) continue;
    jit_code_entry& e = registered[i]->entry;
    (e.prev_entry ? e.prev_entry->next_entry : __jit_debug_descriptor.first_entry) = e.next_entry;
    if (e.next_entry) e.next_entry->prev_entry = e.prev_entry;
    notify(JIT_UNREGISTER_FN, &e);
    registered.erase(registered.begin() + ptrdiff_t(i));
    return;
  }
}

}  // namespace wafer::compiler

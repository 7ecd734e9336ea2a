#include "compiler/llvm/translate.h"
namespace wafer::compiler {
bool FunctionTranslator::simd(const wasm::Instr&) { return false; }
}

#include "compiler/llvm/translate.h"
namespace wafer::compiler {
bool FunctionTranslator::atomic(const wasm::Instr&) { return false; }
}

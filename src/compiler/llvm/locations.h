// Which place in the module an address of code comes from. LLVM carries this as debug
// information, but DWARF is slow to write and to read, and following variables, of which
// there are none, is slow too: a section of our own holds no more than is asked for.
#pragma once

#include <llvm/ADT/StringRef.h>
#include <llvm/CodeGen/AsmPrinter.h>
#include <llvm/IR/Module.h>

#include "compiler/code_image.h"

namespace wafer::compiler {

// Name of the section that record_locations() makes.
inline constexpr llvm::StringLiteral kLocationSection = ".wafer_locations";

// Makes LLVM forget about debug information, except for what instructions know.
void drop_debug_info(llvm::Module& ir);
// Lets `printer` write the section.
void record_locations(llvm::AsmPrinter& printer);
// Appends what the section `contents` holds; its addresses are offsets in an object's text,
// which begins at `text`.
bool read_locations(llvm::StringRef contents, uint32_t text, Vec<ImageLocation>& locations,
                    Vec<ImageInline>& inlines);

}  // namespace wafer::compiler

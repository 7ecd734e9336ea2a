// What a store holds at a moment, to make it so again: cheaper than making all instances anew.
#pragma once

#include "runtime/store.h"

namespace wafer::runtime {

#if WAFER_HAS_OS

class StoreSnapshot {
 public:
  // Takes it. False if the store holds what cannot be put back: objects of the collected heap,
  // memories without guard pages or shared ones, memories larger than `most_bytes`. The contents
  // of memories stay.
  bool take(Store& store, uint64_t most_bytes);
  // Makes globals, tables, segments and memories, in size and contents, what they were, and
  // forgets the last trap. False if more is different than that (whatever was made since, tables
  // that grew, element segments that were dropped, objects of the collected heap, suspended
  // stacks) or the system refuses: then the store must not be used again.
  bool restore(Store& store) const;

 private:
  struct Counts {
    size_t host_funcs = 0, tables = 0, memories = 0, globals = 0, tags = 0, instances = 0, kept = 0,
           handles = 0;
    bool operator==(const Counts&) const = default;
  };
  // A piece of a memory that is not what the module's image says.
  struct Piece {
    uint64_t offset;
    Vec<uint8_t> bytes;
  };
  struct Contents {
    Memory* memory;
    uint64_t size;
    Vec<Piece> pieces;
  };
  struct Elements {
    Table* table;
    Vec<Ref> refs;
  };
  struct Value {
    GlobalInst* global;
    Slot slots[2];
  };
  struct Segments {
    Instance* instance;
    Vec<bool> data_dropped;
    Vec<size_t> elems;
  };

  static Counts count(const Store& store);
  static bool quiet(Store& store);

  Counts counts_;
  Vec<Contents> memories_;
  Vec<Elements> tables_;
  Vec<Value> globals_;
  Vec<Segments> segments_;
};

#endif

}  // namespace wafer::runtime

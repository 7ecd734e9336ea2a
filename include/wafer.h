/* Wafer's C API beyond the standard <wasm.h>: errors with details, the text format,
 * WASI, limits, fuel, interruption, a linker, tags.
 *
 * Ownership is as in <wasm.h>. Functions that give a `wafer_error_t*` give NULL on
 * success, else an error that the caller owns.
 */
#ifndef WAFER_H
#define WAFER_H

#include "wasm.h"

#ifdef __cplusplus
extern "C" {
#endif

#define own

#define WAFER_VERSION "0.1.0"
/* The version of the library that is linked. */
WASM_API_EXTERN const char* wafer_version(void);

/* ---- Memory of the library itself */

/* Replaces malloc and free. `allocate` gives `size` bytes aligned to `align`, a power
 * of two, or NULL; `release` gets back just what was given. Call before anything else. */
WASM_API_EXTERN void wafer_set_allocator(
    void* (*allocate)(void* context, size_t size, size_t align),
    void (*release)(void* context, void* pointer, size_t size, size_t align), void* context);

/* Embedded builds only. The library calls this when it cannot go on: a small allocation
 * failed, or an invariant is broken. Its own, weak definition stops the processor; define
 * this function to report and reset instead. It must not return. */
void wafer_panic(const char* message);

/* Embedded builds only. Functions are made ready on their first call, and where the memory for that
 * lacks, the call traps if this function can undo what was begun: it calls `body(argument)` and
 * returns true, or, if the allocator fails in it, gives back all that the allocator gave in it and
 * returns false. The library's own, weak definition only calls: a lack is a panic. That of
 * ports/common/wafer_guard.c does it, in calls that are guarded. */
bool wafer_guard(void (*body)(void*), void* argument);

/* ---- Errors */

typedef struct wafer_error_t wafer_error_t;

typedef uint8_t wafer_error_kind_t;
enum wafer_error_kind_enum {
  WAFER_ERROR_MALFORMED,   /* not a well-formed binary or text */
  WAFER_ERROR_INVALID,     /* well-formed, but does not validate */
  WAFER_ERROR_UNLINKABLE,  /* an import is missing or does not match */
  WAFER_ERROR_TRAP,        /* execution trapped */
  WAFER_ERROR_EXHAUSTION,  /* a resource limit */
  WAFER_ERROR_UNSUPPORTED, /* a feature that is off, or not in this build */
  WAFER_ERROR_USAGE,       /* a wrong argument */
  WAFER_ERROR_IO           /* a file or the system failed */
};

WASM_API_EXTERN void wafer_error_delete(own wafer_error_t*);
WASM_API_EXTERN wafer_error_kind_t wafer_error_kind(const wafer_error_t*);
/* The message, terminated; valid as long as the error. */
WASM_API_EXTERN const char* wafer_error_message(const wafer_error_t*);
/* Byte offset into the module or the text; UINT64_MAX if it has none. */
WASM_API_EXTERN uint64_t wafer_error_offset(const wafer_error_t*);

/* ---- Configuration */

typedef uint8_t wafer_feature_t;
enum wafer_feature_enum {
  WAFER_FEATURE_FUNCTION_REFERENCES = 1,
  WAFER_FEATURE_GC,
  WAFER_FEATURE_EXCEPTIONS,
  WAFER_FEATURE_LEGACY_EXCEPTIONS, /* off unless set */
  WAFER_FEATURE_TAIL_CALL,
  WAFER_FEATURE_MEMORY64,
  WAFER_FEATURE_MULTI_MEMORY,
  WAFER_FEATURE_EXTENDED_CONST,
  WAFER_FEATURE_SIMD,
  WAFER_FEATURE_RELAXED_SIMD,
  WAFER_FEATURE_THREADS,
  WAFER_FEATURE_CUSTOM_PAGE_SIZES,
  WAFER_FEATURE_WIDE_ARITHMETIC,
  WAFER_FEATURE_CUSTOM_DESCRIPTORS, /* off unless set, as are the next */
  WAFER_FEATURE_COMPACT_IMPORTS,
  WAFER_FEATURE_STACK_SWITCHING,
  WAFER_FEATURE_REFERENCE_TYPES
};

WASM_API_EXTERN void wafer_config_feature_set(wasm_config_t*, wafer_feature_t, bool enable);
/* Count fuel; see wafer_store_set_fuel. Off unless set. */
WASM_API_EXTERN void wafer_config_consume_fuel_set(wasm_config_t*, bool enable);
/* Let wafer_store_interrupt stop code. Off unless set. */
WASM_API_EXTERN void wafer_config_interruptible_set(wasm_config_t*, bool enable);
/* Catch out-of-bounds accesses with guard pages where the platform can. On unless set. */
WASM_API_EXTERN void wafer_config_guard_pages_set(wasm_config_t*, bool enable);
/* Let traps arrive as signals of the processor, for which handlers are installed. Off: code
 * compares and calls, at some cost, and no handler is touched. On unless set. */
WASM_API_EXTERN void wafer_config_signals_set(wasm_config_t*, bool enable);
/* Bytes of WebAssembly call stack for each store. */
WASM_API_EXTERN void wafer_config_stack_size_set(wasm_config_t*, size_t bytes);
/* Calls into the interpreter that may be going on at a time: from the host, from a host function
 * that one of these calls, and so on. Each takes native stack; one more traps with "call stack
 * exhausted". 300 unless set. */
WASM_API_EXTERN void wafer_config_nested_calls_set(wasm_config_t*, uint32_t calls);

/* How functions are run. Where a build or processor lacks the tier, instantiation fails. */
/* In the interpreter without guard pages: gives a memory that its module cannot grow only the
 * bytes below the address that the module exports as __heap_base. Its size in pages stays, but
 * accesses above trap, as the specification does not have it. Off unless set. */
WASM_API_EXTERN void wafer_config_trim_memories_set(wasm_config_t*, bool enable);
/* Where linear memories lie, for programs with several kinds of memory: fast SRAM and large PSRAM
 * for example. The functions are called in the task that makes, grows or deletes a memory. */
typedef struct wafer_memory_storage_t {
  /* A block of at least `*bytes` bytes (never 0), aligned to 16, for a memory that is made, or that
   * grows beyond the block it has, which is still in use then. `index` is the memory's in its
   * module, imports counted, or UINT32_MAX if the host makes it; `most` are the bytes that it can
   * ever have. `*bytes` may be raised to what the block has: within that the memory grows without
   * asking. If NULL is returned the memory is one of the library's allocator, or of the system; if
   * `*bytes` is set to 0 as well it is refused: out of memory, or memory.grow gives -1. What the
   * block holds does not matter. */
  void* (*take)(void* env, uint32_t index, uint64_t most, size_t* bytes);
  /* A block that `take` gave, and its size as `take` left it, is no longer used. */
  void (*give_back)(void* env, uint32_t index, void* block, size_t bytes);
  void* env;
} wafer_memory_storage_t;
/* `storage` outlives all memories that are made with it. An engine with it has no guard pages.
 * Shared memories (of threads) are asked for in embedded builds only. NULL, the default: none. */
WASM_API_EXTERN void wafer_config_memory_storage_set(wasm_config_t*,
                                                     const wafer_memory_storage_t* storage);
/* In embedded builds: bytes of translated code that a module may have at once; the code of
 * functions that are not running is dropped for others. 0, the default: no limit. */
WASM_API_EXTERN void wafer_config_code_budget_set(wasm_config_t*, size_t bytes);

typedef uint8_t wafer_tier_t;
enum wafer_tier_enum {
  WAFER_TIER_AUTO,        /* starts at once in quickly made code, and moves what is hot to
                           * optimized code, made in the background; the interpreter where
                           * there is no compiler */
  WAFER_TIER_INTERPRETER, /* makes no machine code */
  WAFER_TIER_BASELINE,    /* quickly made code only */
  WAFER_TIER_OPTIMIZED,   /* all of a module is optimized when it is first instantiated */
  WAFER_TIER_IN_PLACE,    /* interprets functions' bytes where they lie: slower, and with few
                           * features, but next to no memory for code */
  WAFER_TIER_OPTIMIZING   /* functions are optimized when they are first called, by a compiler
                           * that takes a sixtieth of the time of WAFER_TIER_OPTIMIZED's for code
                           * that is a tenth slower */
};

/* WAFER_TIER_AUTO unless set. */
WASM_API_EXTERN void wafer_config_tier_set(wasm_config_t*, wafer_tier_t);
/* Path of the optimizing compiler, libwafer-llvm.so. NULL, as unless set: it is linked in, or
 * is where the environment variable WAFER_LLVM says, or in one of the usual places. */
WASM_API_EXTERN void wafer_config_optimizer_library_set(wasm_config_t*, const char* path);
/* Told what is worth knowing though nothing fails, such as that WAFER_TIER_AUTO found no
 * optimizing compiler. From any thread. NULL, as unless set: standard error. */
typedef void (*wafer_warning_callback_t)(void* env, const char* message);
WASM_API_EXTERN void wafer_config_warning_set(wasm_config_t*, wafer_warning_callback_t, void* env);
/* How hard optimized code is worked on, 0 to 3. 2 unless set. */
WASM_API_EXTERN void wafer_config_opt_level_set(wasm_config_t*, unsigned level);
/* In optimized code, an access to memory may be left out or moved although it would trap, and
 * what precedes a trap may not have happened. Faster, and not what the specification says.
 * Off unless set. */
WASM_API_EXTERN void wafer_config_relaxed_traps_set(wasm_config_t*, bool enable);
/* Keeps optimized code between runs in `folder`, made when needed, of at most `max_bytes`
 * (0: 1 GiB). Whoever can write to the folder can have code run. NULL, as unless set: none. */
WASM_API_EXTERN void wafer_config_cache_set(wasm_config_t*, const char* folder, uint64_t max_bytes);
/* Memories to hold ready, so that instances start in microseconds: as many may be alive at
 * once, and each takes 8 GiB of address space. 0, as unless set: no pool. */
WASM_API_EXTERN void wafer_config_pooled_memories_set(wasm_config_t*, uint32_t count);

/* ---- Signals (not in embedded builds)
 *
 * For programs with their own handlers of SIGSEGV, SIGBUS and SIGILL. */

/* To be asked first by a handler that was installed after Wafer's: is this a fault of
 * WebAssembly code? `info` and `context` are the handler's siginfo_t* and ucontext_t* (it
 * needs SA_SIGINFO). If true, the handler has to return at once; it may also not return. */
WASM_API_EXTERN bool wafer_handle_signal(int signal, void* info, void* context);
/* Puts Wafer's handlers before those that were installed since; faults that are not
 * WebAssembly's go on to them. Every instantiation does this too. */
WASM_API_EXTERN void wafer_install_signal_handlers(void);

/* ---- Store */

/* Ceilings; start from wafer_limits_default(). */
typedef struct wafer_limits_t {
  uint64_t memory_bytes;   /* of each memory */
  uint64_t table_elements; /* of each table */
  uint32_t instances;
  size_t gc_heap_bytes;
} wafer_limits_t;

WASM_API_EXTERN wafer_limits_t wafer_limits_default(void);
WASM_API_EXTERN own wasm_store_t* wafer_store_new_with_limits(wasm_engine_t*,
                                                              const wafer_limits_t*);
/* Instructions left to run, where the engine counts fuel; at zero code traps. */
WASM_API_EXTERN void wafer_store_set_fuel(wasm_store_t*, uint64_t fuel);
WASM_API_EXTERN uint64_t wafer_store_fuel(const wasm_store_t*);
/* Stops running code with a trap, and compilation at the end of a step, from any thread
 * or signal handler, and keeps stopping until cleared. Needs wafer_config_interruptible_set. */
WASM_API_EXTERN void wafer_store_interrupt(wasm_store_t*);
WASM_API_EXTERN void wafer_store_clear_interrupt(wasm_store_t*);
/* Collects garbage now. */
WASM_API_EXTERN void wafer_store_gc(wasm_store_t*);

/* ---- Modules */

/* As wasm_module_new, but says what is wrong. */
WASM_API_EXTERN own wafer_error_t* wafer_module_new(wasm_store_t*, const wasm_byte_vec_t* binary,
                                                    own wasm_module_t** out);
/* The same without a copy: the `size` bytes at `binary` must outlive the module and
 * its instances. */
WASM_API_EXTERN own wafer_error_t* wafer_module_new_in_place(wasm_store_t*, const void* binary,
                                                             size_t size, own wasm_module_t** out);

/* Has calls of the module's functions go to machine code that runs where it is, for example in
 * flash: what `wafer compile --format xip` made of the same module. For small systems, where the
 * library is built with -DWAFER_FEATURE_XIP=ON; Unsupported in others, and where the code is for
 * another processor. `code` lies at a multiple of 4 and must live as long as the module. It is
 * trusted: it is checked for damage and for belonging to this module, but not for malice. Call
 * before the module is instantiated. The code's frames are on the native stack: it takes as much of
 * that as wafer_config_stack_size_set says, and what host functions need. */
WASM_API_EXTERN own wafer_error_t* wafer_module_attach_code(wasm_module_t*, const void* code,
                                                            size_t size);

/* Machine code of the module in `binary`, for wafer_module_load_compiled in engines with
 * the same settings; what `wafer compile` writes. */
WASM_API_EXTERN own wafer_error_t* wafer_module_precompile(wasm_engine_t*,
                                                           const wasm_byte_vec_t* binary,
                                                           own wasm_byte_vec_t* out);
/* A module from what wafer_module_precompile gave, copied, or mapped from a file with it.
 * The bytes are trusted: they are machine code, which is checked for damage and for fitting
 * this library, this processor and the engine's settings, but not for malice. */
WASM_API_EXTERN own wafer_error_t* wafer_module_load_compiled(wasm_store_t*,
                                                              const wasm_byte_vec_t* code,
                                                              own wasm_module_t** out);
WASM_API_EXTERN own wafer_error_t* wafer_module_load_compiled_file(wasm_store_t*, const char* path,
                                                                   own wasm_module_t** out);

/* ---- Traps */

typedef uint32_t wafer_trap_code_t;
enum wafer_trap_code_enum {
  WAFER_TRAP_NONE = 0,
  WAFER_TRAP_UNREACHABLE,
  WAFER_TRAP_MEMORY_OUT_OF_BOUNDS,
  WAFER_TRAP_TABLE_OUT_OF_BOUNDS,
  WAFER_TRAP_ARRAY_OUT_OF_BOUNDS,
  WAFER_TRAP_UNDEFINED_ELEMENT,
  WAFER_TRAP_UNINITIALIZED_ELEMENT,
  WAFER_TRAP_INDIRECT_TYPE_MISMATCH,
  WAFER_TRAP_INTEGER_OVERFLOW,
  WAFER_TRAP_INTEGER_DIVIDE_BY_ZERO,
  WAFER_TRAP_INVALID_CONVERSION,
  WAFER_TRAP_NULL_FUNCTION_REFERENCE,
  WAFER_TRAP_NULL_STRUCT_REFERENCE,
  WAFER_TRAP_NULL_ARRAY_REFERENCE,
  WAFER_TRAP_NULL_I31_REFERENCE,
  WAFER_TRAP_NULL_EXCEPTION_REFERENCE,
  WAFER_TRAP_NULL_REFERENCE,
  WAFER_TRAP_CAST_FAILURE,
  WAFER_TRAP_NULL_DESCRIPTOR,
  WAFER_TRAP_DESCRIPTOR_CAST_FAILURE,
  WAFER_TRAP_UNALIGNED_ATOMIC,
  WAFER_TRAP_EXPECTED_SHARED_MEMORY,
  WAFER_TRAP_CALL_STACK_EXHAUSTED,
  WAFER_TRAP_ALLOCATION_TOO_LARGE,
  WAFER_TRAP_OUT_OF_MEMORY,
  WAFER_TRAP_OUT_OF_FUEL,
  WAFER_TRAP_INTERRUPTED,
  WAFER_TRAP_UNCAUGHT_EXCEPTION,
  WAFER_TRAP_HOST_ERROR, /* a host function's own trap, or a wrong argument */
  WAFER_TRAP_EXIT,       /* WASI proc_exit: see wafer_trap_exit_status */
  WAFER_TRAP_NULL_CONTINUATION_REFERENCE,
  WAFER_TRAP_CONTINUATION_CONSUMED,
  WAFER_TRAP_UNHANDLED_TAG
};

WASM_API_EXTERN wafer_trap_code_t wafer_trap_code(const wasm_trap_t*);
/* True, with the code in `*status`, if the guest called proc_exit. */
WASM_API_EXTERN bool wafer_trap_exit_status(const wasm_trap_t*, int32_t* status);
/* Names for people: empty where unknown. Valid as long as the frame. */
WASM_API_EXTERN const char* wafer_frame_func_name(const wasm_frame_t*);
WASM_API_EXTERN const char* wafer_frame_module_name(const wasm_frame_t*);
/* "file.c:12:3" from debug information, or empty. */
WASM_API_EXTERN const char* wafer_frame_source(const wasm_frame_t*);
/* Is it a function of the source, by debug information, that the module's compiler inlined
 * into the next frame's? All but its names is as there. */
WASM_API_EXTERN bool wafer_frame_is_inlined(const wasm_frame_t*);

/* ---- Functions */

/* Further kinds of values. A reference of any other type shows as the kind of its
 * hierarchy; v128 values go only through wafer_func_call_raw. */
enum wafer_valkind_enum { WAFER_V128 = 4, WAFER_ANYREF = 130, WAFER_EXNREF = 131 };

/* Calls without checks: arguments in slots[0..], one 64-bit slot each (i32 and f32 in
 * the low half; v128 two slots, low first; references not allowed), results there
 * after. There must be room for the larger of both. */
WASM_API_EXTERN own wasm_trap_t* wafer_func_call_raw(const wasm_func_t*, uint64_t* slots);

/* Who called a host function; valid during that call. */
typedef struct wafer_caller_t wafer_caller_t;
typedef own wasm_trap_t* (*wafer_func_callback_t)(void* env, wafer_caller_t* caller,
                                                  const wasm_val_vec_t* args,
                                                  wasm_val_vec_t* results);
/* Export `name` of the calling instance, or NULL. */
WASM_API_EXTERN own wasm_extern_t* wafer_caller_export(wafer_caller_t*, const char* name);
/* The calling instance's memory ("memory", else memory 0): its bytes, and how many. */
WASM_API_EXTERN uint8_t* wafer_caller_memory(wafer_caller_t*, size_t* size);
/* The store; not owned. */
WASM_API_EXTERN wasm_store_t* wafer_caller_store(wafer_caller_t*);
WASM_API_EXTERN own wasm_func_t* wafer_func_new(wasm_store_t*, const wasm_functype_t*,
                                                wafer_func_callback_t, void* env,
                                                void (*finalizer)(void*));

/* ---- Instances */

/* Export `name`, or NULL. */
WASM_API_EXTERN own wasm_extern_t* wafer_instance_export(const wasm_instance_t*, const char* name);
/* The exported function `name`, or NULL. */
WASM_API_EXTERN own wasm_func_t* wafer_instance_func(const wasm_instance_t*, const char* name);

/* ---- Tags */

enum wafer_externkind_enum { WAFER_EXTERN_TAG = 4 };
/* The tag's type (parameters only) of a WAFER_EXTERN_TAG external type, or NULL. */
WASM_API_EXTERN const wasm_functype_t* wafer_externtype_as_tagtype_const(const wasm_externtype_t*);

/* ---- Linker */

typedef struct wafer_linker_t wafer_linker_t;
WASM_API_EXTERN own wafer_linker_t* wafer_linker_new(wasm_engine_t*);
WASM_API_EXTERN void wafer_linker_delete(own wafer_linker_t*);
/* Lets later definitions replace earlier ones. */
WASM_API_EXTERN void wafer_linker_allow_shadowing(wafer_linker_t*, bool allow);
/* Imports that nothing defines become functions that trap when called. */
WASM_API_EXTERN void wafer_linker_trap_on_unknown_imports(wafer_linker_t*, bool enable);
WASM_API_EXTERN own wafer_error_t* wafer_linker_define(wafer_linker_t*, const char* module,
                                                       const char* name, const wasm_extern_t*);
/* A host function, made anew in each store that instantiates with the linker. */
WASM_API_EXTERN own wafer_error_t* wafer_linker_define_func(wafer_linker_t*, const char* module,
                                                            const char* name,
                                                            const wasm_functype_t*,
                                                            wafer_func_callback_t, void* env,
                                                            void (*finalizer)(void*));
/* Every export of the instance, under `module`. */
WASM_API_EXTERN own wafer_error_t* wafer_linker_define_instance(wafer_linker_t*, const char* module,
                                                                const wasm_instance_t*);
/* Instantiates with what the linker knows. If that traps, the error is of kind
 * WAFER_ERROR_TRAP and the trap, unless `trap` is NULL, goes there. */
WASM_API_EXTERN own wafer_error_t* wafer_linker_instantiate(wafer_linker_t*, wasm_store_t*,
                                                            const wasm_module_t*,
                                                            own wasm_instance_t** out,
                                                            own wasm_trap_t** trap);

/* ---- Not in embedded builds */

/* Text format to binary. */
WASM_API_EXTERN own wafer_error_t* wafer_wat2wasm(const char* text, size_t size,
                                                  own wasm_byte_vec_t* out);
/* Binary to text (not terminated). */
WASM_API_EXTERN own wafer_error_t* wafer_wasm2wat(const wasm_byte_vec_t* binary,
                                                  own wasm_byte_vec_t* out);

/* Calls that can wait. A host function that finishes later gets a completion, which it owes an
 * answer: once, from any thread (references: from the thread that uses the store). A guest
 * that calls it waits, and so must have been called with wafer_func_call_async. */
typedef struct wafer_completion_t wafer_completion_t;
typedef void (*wafer_async_callback_t)(void* env, wafer_caller_t* caller,
                                       const wasm_val_vec_t* args, own wafer_completion_t*);
WASM_API_EXTERN own wasm_func_t* wafer_func_new_async(wasm_store_t*, const wasm_functype_t*,
                                                      wafer_async_callback_t, void* env,
                                                      void (*finalizer)(void*));
WASM_API_EXTERN own wafer_error_t* wafer_linker_define_async_func(
    wafer_linker_t*, const char* module, const char* name, const wasm_functype_t*,
    wafer_async_callback_t, void* env, void (*finalizer)(void*));
/* The answer: results, or a message with which the guest traps. */
WASM_API_EXTERN void wafer_completion_finish(own wafer_completion_t*,
                                             const wasm_val_vec_t* results);
WASM_API_EXTERN void wafer_completion_fail(own wafer_completion_t*, const char* message);
/* True once nobody waits for the answer any more. */
WASM_API_EXTERN bool wafer_completion_cancelled(const wafer_completion_t*);

/* A call under way, on a stack of its own. It keeps its store alive; deleting it drops
 * whatever it waits for. */
typedef struct wafer_future_t wafer_future_t;
typedef uint8_t wafer_future_status_t;
enum wafer_future_status_enum {
  WAFER_FUTURE_READY,       /* resume goes on: it has not begun, or what it waited for has come */
  WAFER_FUTURE_WAITING,     /* for a host function */
  WAFER_FUTURE_OUT_OF_FUEL, /* resume goes on once there is fuel */
  WAFER_FUTURE_INTERRUPTED, /* resume goes on after wafer_store_clear_interrupt */
  WAFER_FUTURE_RUNNING,     /* it has called the host function that asks */
  WAFER_FUTURE_FINISHED
};
/* Begins with the first resume. */
WASM_API_EXTERN own wafer_error_t* wafer_func_call_async(const wasm_func_t*,
                                                         const wasm_val_vec_t* args,
                                                         own wafer_future_t** out);
WASM_API_EXTERN void wafer_future_delete(own wafer_future_t*);
WASM_API_EXTERN wafer_future_status_t wafer_future_status(const wafer_future_t*);
/* Goes on, if it can, until it has to wait or finishes. */
WASM_API_EXTERN wafer_future_status_t wafer_future_resume(wafer_future_t*);
/* Without fuel, or interrupted: lets it trap instead of going on. */
WASM_API_EXTERN wafer_future_status_t wafer_future_end(wafer_future_t*);
/* Blocks while it waits for a host function. */
WASM_API_EXTERN void wafer_future_wait(const wafer_future_t*);
/* Has `wake` called, from any thread, whenever what it waits for has come. */
WASM_API_EXTERN void wafer_future_on_wake(wafer_future_t*, void (*wake)(void* env), void* env);
/* How it finished: results, or a trap. */
WASM_API_EXTERN own wasm_trap_t* wafer_future_result(const wafer_future_t*,
                                                     wasm_val_vec_t* results);

/* What a WASI program sees of its host: nothing but what is listed here. */
typedef struct wafer_wasi_config_t wafer_wasi_config_t;
WASM_API_EXTERN own wafer_wasi_config_t* wafer_wasi_config_new(void);
WASM_API_EXTERN void wafer_wasi_config_delete(own wafer_wasi_config_t*);
/* Appends an argument; the first is the program's name. */
WASM_API_EXTERN void wafer_wasi_config_arg(wafer_wasi_config_t*, const char* arg);
WASM_API_EXTERN void wafer_wasi_config_env(wafer_wasi_config_t*, const char* name,
                                           const char* value);
WASM_API_EXTERN void wafer_wasi_config_inherit_env(wafer_wasi_config_t*);
/* A host directory that the guest sees as `guest`. */
WASM_API_EXTERN void wafer_wasi_config_dir(wafer_wasi_config_t*, const char* host,
                                           const char* guest, bool read_only);
/* Input of the guest: these bytes (copied). Without, input is empty. */
WASM_API_EXTERN void wafer_wasi_config_stdin_bytes(wafer_wasi_config_t*, const void* bytes,
                                                   size_t size);
/* Calls `read` for input: it fills at most `size` bytes and gives how many, 0 at the end, or a
 * negative number for an I/O error. */
WASM_API_EXTERN void wafer_wasi_config_stdin(wafer_wasi_config_t*,
                                             int64_t (*read)(void* env, void* data, size_t size),
                                             void* env);
/* A file system in memory, of at most `capacity` bytes. */
typedef struct wafer_wasi_files_t wafer_wasi_files_t;
WASM_API_EXTERN own wafer_wasi_files_t* wafer_wasi_files_new(uint64_t capacity);
WASM_API_EXTERN void wafer_wasi_files_delete(own wafer_wasi_files_t*);
/* Writes a file, and makes the directories on the way. Errors: Io. */
WASM_API_EXTERN own wafer_error_t* wafer_wasi_files_put(wafer_wasi_files_t*, const char* path,
                                                        const void* bytes, size_t size);
/* What a file has. Errors: Io. */
WASM_API_EXTERN own wafer_error_t* wafer_wasi_files_get(const wafer_wasi_files_t*, const char* path,
                                                        own wasm_byte_vec_t* out);
/* Its files, which the guest sees as `guest`; they stay for as long as the guest has them. */
WASM_API_EXTERN void wafer_wasi_config_files(wafer_wasi_config_t*, const wafer_wasi_files_t*,
                                             const char* guest, bool read_only);
/* The host's own input, output and error. */
WASM_API_EXTERN void wafer_wasi_config_inherit_stdin(wafer_wasi_config_t*);
WASM_API_EXTERN void wafer_wasi_config_inherit_stdout(wafer_wasi_config_t*);
WASM_API_EXTERN void wafer_wasi_config_inherit_stderr(wafer_wasi_config_t*);
/* Calls `write` with each piece of output; it gives false for an I/O error. */
WASM_API_EXTERN void wafer_wasi_config_stdout(
    wafer_wasi_config_t*, bool (*write)(void* env, const void* data, size_t size), void* env);
WASM_API_EXTERN void wafer_wasi_config_stderr(
    wafer_wasi_config_t*, bool (*write)(void* env, const void* data, size_t size), void* env);
/* Defines the functions of WASI 0.1 in the linker, for one guest process. */
WASM_API_EXTERN own wafer_error_t* wafer_linker_define_wasi(wafer_linker_t*,
                                                            own wafer_wasi_config_t*);

#undef own

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* WAFER_H */

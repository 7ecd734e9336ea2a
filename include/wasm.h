/* The standard C API of WebAssembly engines ("wasm-c-api"), as Wafer implements it.
 *
 * Programs written for any engine's <wasm.h> build against this one. What goes beyond
 * the standard (text format, WASI, fuel, linker, errors with details) is in <wafer.h>.
 *
 * Ownership. A pointer or vector marked `own` belongs to whoever holds it: as a
 * result, to the caller; as a parameter, it passes to the callee; as an `out`
 * parameter, what is written there passes to the caller. Owned things are given back
 * with their `_delete`, which takes NULL too. A vector owns its elements.
 *
 * The `_as_` functions give another view of the same handle, not a new one, and NULL
 * if it is of another kind.
 *
 * A store and everything in it is used by one thread at a time; engines and shared
 * modules may be used by many.
 */
#ifndef WASM_H
#define WASM_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifndef WASM_API_EXTERN
#if defined(_WIN32) && defined(WAFER_SHARED)
#define WASM_API_EXTERN __declspec(dllimport)
#else
#define WASM_API_EXTERN
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* `own` is for readers only. */
#define own

typedef char byte_t;
typedef float float32_t;
typedef double float64_t;

/* ---- Byte vectors and names */

typedef byte_t wasm_byte_t;

typedef struct wasm_byte_vec_t {
  size_t size;
  wasm_byte_t* data;
} wasm_byte_vec_t;
WASM_API_EXTERN void wasm_byte_vec_new_empty(own wasm_byte_vec_t* out);
WASM_API_EXTERN void wasm_byte_vec_new_uninitialized(own wasm_byte_vec_t* out, size_t size);
WASM_API_EXTERN void wasm_byte_vec_new(own wasm_byte_vec_t* out, size_t size,
                                       own wasm_byte_t const data[]);
WASM_API_EXTERN void wasm_byte_vec_copy(own wasm_byte_vec_t* out, const wasm_byte_vec_t*);
WASM_API_EXTERN void wasm_byte_vec_delete(own wasm_byte_vec_t*);

/* A name: UTF-8, not terminated unless said so. */
typedef wasm_byte_vec_t wasm_name_t;

#define wasm_name wasm_byte_vec
#define wasm_name_new wasm_byte_vec_new
#define wasm_name_new_empty wasm_byte_vec_new_empty
#define wasm_name_new_uninitialized wasm_byte_vec_new_uninitialized
#define wasm_name_new_new_uninitialized wasm_byte_vec_new_uninitialized
#define wasm_name_copy wasm_byte_vec_copy
#define wasm_name_delete wasm_byte_vec_delete

/* The name `s`, without its terminator... */
static inline void wasm_name_new_from_string(own wasm_name_t* out, const char* s) {
  wasm_byte_vec_new(out, strlen(s), s);
}
/* ... and with it. */
static inline void wasm_name_new_from_string_nt(own wasm_name_t* out, const char* s) {
  wasm_byte_vec_new(out, strlen(s) + 1, s);
}

/* ---- Configuration, engine, store */

/* Settings; <wafer.h> has the functions that change them. */
typedef struct wasm_config_t wasm_config_t;
WASM_API_EXTERN void wasm_config_delete(own wasm_config_t*);

WASM_API_EXTERN own wasm_config_t* wasm_config_new(void);

typedef struct wasm_engine_t wasm_engine_t;
WASM_API_EXTERN void wasm_engine_delete(own wasm_engine_t*);

WASM_API_EXTERN own wasm_engine_t* wasm_engine_new(void);
WASM_API_EXTERN own wasm_engine_t* wasm_engine_new_with_config(own wasm_config_t*);

/* A store lives until it and every reference into it are deleted. */
typedef struct wasm_store_t wasm_store_t;
WASM_API_EXTERN void wasm_store_delete(own wasm_store_t*);

WASM_API_EXTERN own wasm_store_t* wasm_store_new(wasm_engine_t*);

/* ---- Value types */

typedef uint8_t wasm_mutability_t;
enum wasm_mutability_enum { WASM_CONST, WASM_VAR };

/* In pages or elements; larger 64-bit limits show as the largest 32-bit number. */
typedef struct wasm_limits_t {
  uint32_t min;
  uint32_t max; /* wasm_limits_max_default: none */
} wasm_limits_t;
static const uint32_t wasm_limits_max_default = 0xffffffff;

typedef struct wasm_valtype_t wasm_valtype_t;
WASM_API_EXTERN void wasm_valtype_delete(own wasm_valtype_t*);

typedef struct wasm_valtype_vec_t {
  size_t size;
  wasm_valtype_t** data;
} wasm_valtype_vec_t;
WASM_API_EXTERN void wasm_valtype_vec_new_empty(own wasm_valtype_vec_t* out);
WASM_API_EXTERN void wasm_valtype_vec_new_uninitialized(own wasm_valtype_vec_t* out, size_t size);
WASM_API_EXTERN void wasm_valtype_vec_new(own wasm_valtype_vec_t* out, size_t size,
                                          own wasm_valtype_t* const data[]);
WASM_API_EXTERN void wasm_valtype_vec_copy(own wasm_valtype_vec_t* out, const wasm_valtype_vec_t*);
WASM_API_EXTERN void wasm_valtype_vec_delete(own wasm_valtype_vec_t*);

WASM_API_EXTERN own wasm_valtype_t* wasm_valtype_copy(const wasm_valtype_t*);

typedef uint8_t wasm_valkind_t;
enum wasm_valkind_enum {
  WASM_I32,
  WASM_I64,
  WASM_F32,
  WASM_F64,
  WASM_EXTERNREF = 128,
  WASM_FUNCREF
};

WASM_API_EXTERN own wasm_valtype_t* wasm_valtype_new(wasm_valkind_t);
WASM_API_EXTERN wasm_valkind_t wasm_valtype_kind(const wasm_valtype_t*);

static inline bool wasm_valkind_is_num(wasm_valkind_t k) { return k < WASM_EXTERNREF; }
static inline bool wasm_valkind_is_ref(wasm_valkind_t k) { return k >= WASM_EXTERNREF; }
static inline bool wasm_valtype_is_num(const wasm_valtype_t* t) {
  return wasm_valkind_is_num(wasm_valtype_kind(t));
}
static inline bool wasm_valtype_is_ref(const wasm_valtype_t* t) {
  return wasm_valkind_is_ref(wasm_valtype_kind(t));
}

/* ---- Types of functions, globals, tables, memories */

typedef struct wasm_functype_t wasm_functype_t;
WASM_API_EXTERN void wasm_functype_delete(own wasm_functype_t*);

typedef struct wasm_functype_vec_t {
  size_t size;
  wasm_functype_t** data;
} wasm_functype_vec_t;
WASM_API_EXTERN void wasm_functype_vec_new_empty(own wasm_functype_vec_t* out);
WASM_API_EXTERN void wasm_functype_vec_new_uninitialized(own wasm_functype_vec_t* out, size_t size);
WASM_API_EXTERN void wasm_functype_vec_new(own wasm_functype_vec_t* out, size_t size,
                                           own wasm_functype_t* const data[]);
WASM_API_EXTERN void wasm_functype_vec_copy(own wasm_functype_vec_t* out,
                                            const wasm_functype_vec_t*);
WASM_API_EXTERN void wasm_functype_vec_delete(own wasm_functype_vec_t*);

WASM_API_EXTERN own wasm_functype_t* wasm_functype_copy(const wasm_functype_t*);

WASM_API_EXTERN own wasm_functype_t* wasm_functype_new(own wasm_valtype_vec_t* params,
                                                       own wasm_valtype_vec_t* results);
WASM_API_EXTERN const wasm_valtype_vec_t* wasm_functype_params(const wasm_functype_t*);
WASM_API_EXTERN const wasm_valtype_vec_t* wasm_functype_results(const wasm_functype_t*);

typedef struct wasm_globaltype_t wasm_globaltype_t;
WASM_API_EXTERN void wasm_globaltype_delete(own wasm_globaltype_t*);

typedef struct wasm_globaltype_vec_t {
  size_t size;
  wasm_globaltype_t** data;
} wasm_globaltype_vec_t;
WASM_API_EXTERN void wasm_globaltype_vec_new_empty(own wasm_globaltype_vec_t* out);
WASM_API_EXTERN void wasm_globaltype_vec_new_uninitialized(own wasm_globaltype_vec_t* out,
                                                           size_t size);
WASM_API_EXTERN void wasm_globaltype_vec_new(own wasm_globaltype_vec_t* out, size_t size,
                                             own wasm_globaltype_t* const data[]);
WASM_API_EXTERN void wasm_globaltype_vec_copy(own wasm_globaltype_vec_t* out,
                                              const wasm_globaltype_vec_t*);
WASM_API_EXTERN void wasm_globaltype_vec_delete(own wasm_globaltype_vec_t*);

WASM_API_EXTERN own wasm_globaltype_t* wasm_globaltype_copy(const wasm_globaltype_t*);

WASM_API_EXTERN own wasm_globaltype_t* wasm_globaltype_new(own wasm_valtype_t*, wasm_mutability_t);
WASM_API_EXTERN const wasm_valtype_t* wasm_globaltype_content(const wasm_globaltype_t*);
WASM_API_EXTERN wasm_mutability_t wasm_globaltype_mutability(const wasm_globaltype_t*);

typedef struct wasm_tabletype_t wasm_tabletype_t;
WASM_API_EXTERN void wasm_tabletype_delete(own wasm_tabletype_t*);

typedef struct wasm_tabletype_vec_t {
  size_t size;
  wasm_tabletype_t** data;
} wasm_tabletype_vec_t;
WASM_API_EXTERN void wasm_tabletype_vec_new_empty(own wasm_tabletype_vec_t* out);
WASM_API_EXTERN void wasm_tabletype_vec_new_uninitialized(own wasm_tabletype_vec_t* out,
                                                          size_t size);
WASM_API_EXTERN void wasm_tabletype_vec_new(own wasm_tabletype_vec_t* out, size_t size,
                                            own wasm_tabletype_t* const data[]);
WASM_API_EXTERN void wasm_tabletype_vec_copy(own wasm_tabletype_vec_t* out,
                                             const wasm_tabletype_vec_t*);
WASM_API_EXTERN void wasm_tabletype_vec_delete(own wasm_tabletype_vec_t*);

WASM_API_EXTERN own wasm_tabletype_t* wasm_tabletype_copy(const wasm_tabletype_t*);

WASM_API_EXTERN own wasm_tabletype_t* wasm_tabletype_new(own wasm_valtype_t*, const wasm_limits_t*);
WASM_API_EXTERN const wasm_valtype_t* wasm_tabletype_element(const wasm_tabletype_t*);
WASM_API_EXTERN const wasm_limits_t* wasm_tabletype_limits(const wasm_tabletype_t*);

typedef struct wasm_memorytype_t wasm_memorytype_t;
WASM_API_EXTERN void wasm_memorytype_delete(own wasm_memorytype_t*);

typedef struct wasm_memorytype_vec_t {
  size_t size;
  wasm_memorytype_t** data;
} wasm_memorytype_vec_t;
WASM_API_EXTERN void wasm_memorytype_vec_new_empty(own wasm_memorytype_vec_t* out);
WASM_API_EXTERN void wasm_memorytype_vec_new_uninitialized(own wasm_memorytype_vec_t* out,
                                                           size_t size);
WASM_API_EXTERN void wasm_memorytype_vec_new(own wasm_memorytype_vec_t* out, size_t size,
                                             own wasm_memorytype_t* const data[]);
WASM_API_EXTERN void wasm_memorytype_vec_copy(own wasm_memorytype_vec_t* out,
                                              const wasm_memorytype_vec_t*);
WASM_API_EXTERN void wasm_memorytype_vec_delete(own wasm_memorytype_vec_t*);

WASM_API_EXTERN own wasm_memorytype_t* wasm_memorytype_copy(const wasm_memorytype_t*);

WASM_API_EXTERN own wasm_memorytype_t* wasm_memorytype_new(const wasm_limits_t*);
WASM_API_EXTERN const wasm_limits_t* wasm_memorytype_limits(const wasm_memorytype_t*);

/* ---- External types */

typedef struct wasm_externtype_t wasm_externtype_t;
WASM_API_EXTERN void wasm_externtype_delete(own wasm_externtype_t*);

typedef struct wasm_externtype_vec_t {
  size_t size;
  wasm_externtype_t** data;
} wasm_externtype_vec_t;
WASM_API_EXTERN void wasm_externtype_vec_new_empty(own wasm_externtype_vec_t* out);
WASM_API_EXTERN void wasm_externtype_vec_new_uninitialized(own wasm_externtype_vec_t* out,
                                                           size_t size);
WASM_API_EXTERN void wasm_externtype_vec_new(own wasm_externtype_vec_t* out, size_t size,
                                             own wasm_externtype_t* const data[]);
WASM_API_EXTERN void wasm_externtype_vec_copy(own wasm_externtype_vec_t* out,
                                              const wasm_externtype_vec_t*);
WASM_API_EXTERN void wasm_externtype_vec_delete(own wasm_externtype_vec_t*);

WASM_API_EXTERN own wasm_externtype_t* wasm_externtype_copy(const wasm_externtype_t*);

typedef uint8_t wasm_externkind_t;
enum wasm_externkind_enum {
  WASM_EXTERN_FUNC,
  WASM_EXTERN_GLOBAL,
  WASM_EXTERN_TABLE,
  WASM_EXTERN_MEMORY
};

WASM_API_EXTERN wasm_externkind_t wasm_externtype_kind(const wasm_externtype_t*);

WASM_API_EXTERN wasm_externtype_t* wasm_functype_as_externtype(wasm_functype_t*);
WASM_API_EXTERN wasm_functype_t* wasm_externtype_as_functype(wasm_externtype_t*);
WASM_API_EXTERN const wasm_externtype_t* wasm_functype_as_externtype_const(const wasm_functype_t*);
WASM_API_EXTERN const wasm_functype_t* wasm_externtype_as_functype_const(const wasm_externtype_t*);

WASM_API_EXTERN wasm_externtype_t* wasm_globaltype_as_externtype(wasm_globaltype_t*);
WASM_API_EXTERN wasm_globaltype_t* wasm_externtype_as_globaltype(wasm_externtype_t*);
WASM_API_EXTERN const wasm_externtype_t* wasm_globaltype_as_externtype_const(
    const wasm_globaltype_t*);
WASM_API_EXTERN const wasm_globaltype_t* wasm_externtype_as_globaltype_const(
    const wasm_externtype_t*);

WASM_API_EXTERN wasm_externtype_t* wasm_tabletype_as_externtype(wasm_tabletype_t*);
WASM_API_EXTERN wasm_tabletype_t* wasm_externtype_as_tabletype(wasm_externtype_t*);
WASM_API_EXTERN const wasm_externtype_t* wasm_tabletype_as_externtype_const(
    const wasm_tabletype_t*);
WASM_API_EXTERN const wasm_tabletype_t* wasm_externtype_as_tabletype_const(
    const wasm_externtype_t*);

WASM_API_EXTERN wasm_externtype_t* wasm_memorytype_as_externtype(wasm_memorytype_t*);
WASM_API_EXTERN wasm_memorytype_t* wasm_externtype_as_memorytype(wasm_externtype_t*);
WASM_API_EXTERN const wasm_externtype_t* wasm_memorytype_as_externtype_const(
    const wasm_memorytype_t*);
WASM_API_EXTERN const wasm_memorytype_t* wasm_externtype_as_memorytype_const(
    const wasm_externtype_t*);

typedef struct wasm_importtype_t wasm_importtype_t;
WASM_API_EXTERN void wasm_importtype_delete(own wasm_importtype_t*);

typedef struct wasm_importtype_vec_t {
  size_t size;
  wasm_importtype_t** data;
} wasm_importtype_vec_t;
WASM_API_EXTERN void wasm_importtype_vec_new_empty(own wasm_importtype_vec_t* out);
WASM_API_EXTERN void wasm_importtype_vec_new_uninitialized(own wasm_importtype_vec_t* out,
                                                           size_t size);
WASM_API_EXTERN void wasm_importtype_vec_new(own wasm_importtype_vec_t* out, size_t size,
                                             own wasm_importtype_t* const data[]);
WASM_API_EXTERN void wasm_importtype_vec_copy(own wasm_importtype_vec_t* out,
                                              const wasm_importtype_vec_t*);
WASM_API_EXTERN void wasm_importtype_vec_delete(own wasm_importtype_vec_t*);

WASM_API_EXTERN own wasm_importtype_t* wasm_importtype_copy(const wasm_importtype_t*);

WASM_API_EXTERN own wasm_importtype_t* wasm_importtype_new(own wasm_name_t* module,
                                                           own wasm_name_t* name,
                                                           own wasm_externtype_t*);
WASM_API_EXTERN const wasm_name_t* wasm_importtype_module(const wasm_importtype_t*);
WASM_API_EXTERN const wasm_name_t* wasm_importtype_name(const wasm_importtype_t*);
WASM_API_EXTERN const wasm_externtype_t* wasm_importtype_type(const wasm_importtype_t*);

typedef struct wasm_exporttype_t wasm_exporttype_t;
WASM_API_EXTERN void wasm_exporttype_delete(own wasm_exporttype_t*);

typedef struct wasm_exporttype_vec_t {
  size_t size;
  wasm_exporttype_t** data;
} wasm_exporttype_vec_t;
WASM_API_EXTERN void wasm_exporttype_vec_new_empty(own wasm_exporttype_vec_t* out);
WASM_API_EXTERN void wasm_exporttype_vec_new_uninitialized(own wasm_exporttype_vec_t* out,
                                                           size_t size);
WASM_API_EXTERN void wasm_exporttype_vec_new(own wasm_exporttype_vec_t* out, size_t size,
                                             own wasm_exporttype_t* const data[]);
WASM_API_EXTERN void wasm_exporttype_vec_copy(own wasm_exporttype_vec_t* out,
                                              const wasm_exporttype_vec_t*);
WASM_API_EXTERN void wasm_exporttype_vec_delete(own wasm_exporttype_vec_t*);

WASM_API_EXTERN own wasm_exporttype_t* wasm_exporttype_copy(const wasm_exporttype_t*);

WASM_API_EXTERN own wasm_exporttype_t* wasm_exporttype_new(own wasm_name_t*,
                                                           own wasm_externtype_t*);
WASM_API_EXTERN const wasm_name_t* wasm_exporttype_name(const wasm_exporttype_t*);
WASM_API_EXTERN const wasm_externtype_t* wasm_exporttype_type(const wasm_exporttype_t*);

/* ---- Values */

struct wasm_ref_t;

typedef struct wasm_val_t {
  wasm_valkind_t kind;
  union {
    int32_t i32;
    int64_t i64;
    float32_t f32;
    float64_t f64;
    struct wasm_ref_t* ref; /* NULL is the null reference */
  } of;
} wasm_val_t;

WASM_API_EXTERN void wasm_val_delete(own wasm_val_t* v);
WASM_API_EXTERN void wasm_val_copy(own wasm_val_t* out, const wasm_val_t*);

typedef struct wasm_val_vec_t {
  size_t size;
  wasm_val_t* data;
} wasm_val_vec_t;
WASM_API_EXTERN void wasm_val_vec_new_empty(own wasm_val_vec_t* out);
WASM_API_EXTERN void wasm_val_vec_new_uninitialized(own wasm_val_vec_t* out, size_t size);
WASM_API_EXTERN void wasm_val_vec_new(own wasm_val_vec_t* out, size_t size,
                                      own wasm_val_t const data[]);
WASM_API_EXTERN void wasm_val_vec_copy(own wasm_val_vec_t* out, const wasm_val_vec_t*);
WASM_API_EXTERN void wasm_val_vec_delete(own wasm_val_vec_t*);

/* ---- References */

/* Host information is kept with the object, not with the handle: every handle to one
 * object sees the same. Its finalizer runs when the object dies or the information is
 * replaced. */
typedef struct wasm_ref_t wasm_ref_t;
WASM_API_EXTERN void wasm_ref_delete(own wasm_ref_t*);

WASM_API_EXTERN own wasm_ref_t* wasm_ref_copy(const wasm_ref_t*);

WASM_API_EXTERN bool wasm_ref_same(const wasm_ref_t*, const wasm_ref_t*);
WASM_API_EXTERN void* wasm_ref_get_host_info(const wasm_ref_t*);
WASM_API_EXTERN void wasm_ref_set_host_info(wasm_ref_t*, void* info);
WASM_API_EXTERN void wasm_ref_set_host_info_with_finalizer(wasm_ref_t*, void* info,
                                                           void (*finalizer)(void*));

/* ---- Traps */

typedef struct wasm_frame_t wasm_frame_t;
WASM_API_EXTERN void wasm_frame_delete(own wasm_frame_t*);

typedef struct wasm_frame_vec_t {
  size_t size;
  wasm_frame_t** data;
} wasm_frame_vec_t;
WASM_API_EXTERN void wasm_frame_vec_new_empty(own wasm_frame_vec_t* out);
WASM_API_EXTERN void wasm_frame_vec_new_uninitialized(own wasm_frame_vec_t* out, size_t size);
WASM_API_EXTERN void wasm_frame_vec_new(own wasm_frame_vec_t* out, size_t size,
                                        own wasm_frame_t* const data[]);
WASM_API_EXTERN void wasm_frame_vec_copy(own wasm_frame_vec_t* out, const wasm_frame_vec_t*);
WASM_API_EXTERN void wasm_frame_vec_delete(own wasm_frame_vec_t*);

WASM_API_EXTERN own wasm_frame_t* wasm_frame_copy(const wasm_frame_t*);

/* The instance that the frame's function belongs to; not owned. */
WASM_API_EXTERN struct wasm_instance_t* wasm_frame_instance(const wasm_frame_t*);
WASM_API_EXTERN uint32_t wasm_frame_func_index(const wasm_frame_t*);
/* Byte offsets from the start of the function's body, and of the module. */
WASM_API_EXTERN size_t wasm_frame_func_offset(const wasm_frame_t*);
WASM_API_EXTERN size_t wasm_frame_module_offset(const wasm_frame_t*);

/* Terminated by a zero byte, which counts. */
typedef wasm_name_t wasm_message_t;

typedef struct wasm_trap_t wasm_trap_t;
WASM_API_EXTERN void wasm_trap_delete(own wasm_trap_t*);

WASM_API_EXTERN own wasm_trap_t* wasm_trap_copy(const wasm_trap_t*);

WASM_API_EXTERN bool wasm_trap_same(const wasm_trap_t*, const wasm_trap_t*);
WASM_API_EXTERN void* wasm_trap_get_host_info(const wasm_trap_t*);
WASM_API_EXTERN void wasm_trap_set_host_info(wasm_trap_t*, void* info);
WASM_API_EXTERN void wasm_trap_set_host_info_with_finalizer(wasm_trap_t*, void* info,
                                                            void (*finalizer)(void*));

WASM_API_EXTERN wasm_ref_t* wasm_trap_as_ref(wasm_trap_t*);
WASM_API_EXTERN wasm_trap_t* wasm_ref_as_trap(wasm_ref_t*);
WASM_API_EXTERN const wasm_ref_t* wasm_trap_as_ref_const(const wasm_trap_t*);
WASM_API_EXTERN const wasm_trap_t* wasm_ref_as_trap_const(const wasm_ref_t*);

WASM_API_EXTERN own wasm_trap_t* wasm_trap_new(wasm_store_t* store, const wasm_message_t*);
WASM_API_EXTERN void wasm_trap_message(const wasm_trap_t*, own wasm_message_t* out);
/* The innermost frame, or NULL; and all of them, innermost first. */
WASM_API_EXTERN own wasm_frame_t* wasm_trap_origin(const wasm_trap_t*);
WASM_API_EXTERN void wasm_trap_trace(const wasm_trap_t*, own wasm_frame_vec_t* out);

/* ---- Foreign objects: host values that travel as externref */

typedef struct wasm_foreign_t wasm_foreign_t;
WASM_API_EXTERN void wasm_foreign_delete(own wasm_foreign_t*);

WASM_API_EXTERN own wasm_foreign_t* wasm_foreign_copy(const wasm_foreign_t*);

WASM_API_EXTERN bool wasm_foreign_same(const wasm_foreign_t*, const wasm_foreign_t*);
WASM_API_EXTERN void* wasm_foreign_get_host_info(const wasm_foreign_t*);
WASM_API_EXTERN void wasm_foreign_set_host_info(wasm_foreign_t*, void* info);
WASM_API_EXTERN void wasm_foreign_set_host_info_with_finalizer(wasm_foreign_t*, void* info,
                                                               void (*finalizer)(void*));

WASM_API_EXTERN wasm_ref_t* wasm_foreign_as_ref(wasm_foreign_t*);
WASM_API_EXTERN wasm_foreign_t* wasm_ref_as_foreign(wasm_ref_t*);
WASM_API_EXTERN const wasm_ref_t* wasm_foreign_as_ref_const(const wasm_foreign_t*);
WASM_API_EXTERN const wasm_foreign_t* wasm_ref_as_foreign_const(const wasm_ref_t*);

WASM_API_EXTERN own wasm_foreign_t* wasm_foreign_new(wasm_store_t*);

/* ---- Modules */

typedef struct wasm_module_t wasm_module_t;
WASM_API_EXTERN void wasm_module_delete(own wasm_module_t*);

WASM_API_EXTERN own wasm_module_t* wasm_module_copy(const wasm_module_t*);

WASM_API_EXTERN bool wasm_module_same(const wasm_module_t*, const wasm_module_t*);
WASM_API_EXTERN void* wasm_module_get_host_info(const wasm_module_t*);
WASM_API_EXTERN void wasm_module_set_host_info(wasm_module_t*, void* info);
WASM_API_EXTERN void wasm_module_set_host_info_with_finalizer(wasm_module_t*, void* info,
                                                              void (*finalizer)(void*));

WASM_API_EXTERN wasm_ref_t* wasm_module_as_ref(wasm_module_t*);
WASM_API_EXTERN wasm_module_t* wasm_ref_as_module(wasm_ref_t*);
WASM_API_EXTERN const wasm_ref_t* wasm_module_as_ref_const(const wasm_module_t*);
WASM_API_EXTERN const wasm_module_t* wasm_ref_as_module_const(const wasm_ref_t*);

typedef struct wasm_shared_module_t wasm_shared_module_t;
WASM_API_EXTERN void wasm_shared_module_delete(own wasm_shared_module_t*);

WASM_API_EXTERN own wasm_shared_module_t* wasm_module_share(const wasm_module_t*);
WASM_API_EXTERN own wasm_module_t* wasm_module_obtain(wasm_store_t*, const wasm_shared_module_t*);

/* NULL if the binary is malformed or invalid; wafer_module_new says why. */
WASM_API_EXTERN own wasm_module_t* wasm_module_new(wasm_store_t*, const wasm_byte_vec_t* binary);
WASM_API_EXTERN bool wasm_module_validate(wasm_store_t*, const wasm_byte_vec_t* binary);
WASM_API_EXTERN void wasm_module_imports(const wasm_module_t*, own wasm_importtype_vec_t* out);
WASM_API_EXTERN void wasm_module_exports(const wasm_module_t*, own wasm_exporttype_vec_t* out);
WASM_API_EXTERN void wasm_module_serialize(const wasm_module_t*, own wasm_byte_vec_t* out);
WASM_API_EXTERN own wasm_module_t* wasm_module_deserialize(wasm_store_t*, const wasm_byte_vec_t*);

/* ---- Functions */

typedef struct wasm_func_t wasm_func_t;
WASM_API_EXTERN void wasm_func_delete(own wasm_func_t*);

WASM_API_EXTERN own wasm_func_t* wasm_func_copy(const wasm_func_t*);

WASM_API_EXTERN bool wasm_func_same(const wasm_func_t*, const wasm_func_t*);
WASM_API_EXTERN void* wasm_func_get_host_info(const wasm_func_t*);
WASM_API_EXTERN void wasm_func_set_host_info(wasm_func_t*, void* info);
WASM_API_EXTERN void wasm_func_set_host_info_with_finalizer(wasm_func_t*, void* info,
                                                            void (*finalizer)(void*));

WASM_API_EXTERN wasm_ref_t* wasm_func_as_ref(wasm_func_t*);
WASM_API_EXTERN wasm_func_t* wasm_ref_as_func(wasm_ref_t*);
WASM_API_EXTERN const wasm_ref_t* wasm_func_as_ref_const(const wasm_func_t*);
WASM_API_EXTERN const wasm_func_t* wasm_ref_as_func_const(const wasm_ref_t*);

/* A host function: fills `results` and returns NULL, or returns a trap. */
typedef own wasm_trap_t* (*wasm_func_callback_t)(const wasm_val_vec_t* args,
                                                 own wasm_val_vec_t* results);
typedef own wasm_trap_t* (*wasm_func_callback_with_env_t)(void* env, const wasm_val_vec_t* args,
                                                          wasm_val_vec_t* results);

WASM_API_EXTERN own wasm_func_t* wasm_func_new(wasm_store_t*, const wasm_functype_t*,
                                               wasm_func_callback_t);
WASM_API_EXTERN own wasm_func_t* wasm_func_new_with_env(wasm_store_t*, const wasm_functype_t*,
                                                        wasm_func_callback_with_env_t, void* env,
                                                        void (*finalizer)(void*));
WASM_API_EXTERN own wasm_functype_t* wasm_func_type(const wasm_func_t*);
WASM_API_EXTERN size_t wasm_func_param_arity(const wasm_func_t*);
WASM_API_EXTERN size_t wasm_func_result_arity(const wasm_func_t*);
/* NULL, with `results` filled in (as many as there is room for); or a trap, also for
 * arguments that do not fit. */
WASM_API_EXTERN own wasm_trap_t* wasm_func_call(const wasm_func_t*, const wasm_val_vec_t* args,
                                                wasm_val_vec_t* results);

/* ---- Globals */

typedef struct wasm_global_t wasm_global_t;
WASM_API_EXTERN void wasm_global_delete(own wasm_global_t*);

WASM_API_EXTERN own wasm_global_t* wasm_global_copy(const wasm_global_t*);

WASM_API_EXTERN bool wasm_global_same(const wasm_global_t*, const wasm_global_t*);
WASM_API_EXTERN void* wasm_global_get_host_info(const wasm_global_t*);
WASM_API_EXTERN void wasm_global_set_host_info(wasm_global_t*, void* info);
WASM_API_EXTERN void wasm_global_set_host_info_with_finalizer(wasm_global_t*, void* info,
                                                              void (*finalizer)(void*));

WASM_API_EXTERN wasm_ref_t* wasm_global_as_ref(wasm_global_t*);
WASM_API_EXTERN wasm_global_t* wasm_ref_as_global(wasm_ref_t*);
WASM_API_EXTERN const wasm_ref_t* wasm_global_as_ref_const(const wasm_global_t*);
WASM_API_EXTERN const wasm_global_t* wasm_ref_as_global_const(const wasm_ref_t*);

WASM_API_EXTERN own wasm_global_t* wasm_global_new(wasm_store_t*, const wasm_globaltype_t*,
                                                   const wasm_val_t*);
WASM_API_EXTERN own wasm_globaltype_t* wasm_global_type(const wasm_global_t*);
WASM_API_EXTERN void wasm_global_get(const wasm_global_t*, own wasm_val_t* out);
WASM_API_EXTERN void wasm_global_set(wasm_global_t*, const wasm_val_t*);

/* ---- Tables */

typedef struct wasm_table_t wasm_table_t;
WASM_API_EXTERN void wasm_table_delete(own wasm_table_t*);

WASM_API_EXTERN own wasm_table_t* wasm_table_copy(const wasm_table_t*);

WASM_API_EXTERN bool wasm_table_same(const wasm_table_t*, const wasm_table_t*);
WASM_API_EXTERN void* wasm_table_get_host_info(const wasm_table_t*);
WASM_API_EXTERN void wasm_table_set_host_info(wasm_table_t*, void* info);
WASM_API_EXTERN void wasm_table_set_host_info_with_finalizer(wasm_table_t*, void* info,
                                                             void (*finalizer)(void*));

WASM_API_EXTERN wasm_ref_t* wasm_table_as_ref(wasm_table_t*);
WASM_API_EXTERN wasm_table_t* wasm_ref_as_table(wasm_ref_t*);
WASM_API_EXTERN const wasm_ref_t* wasm_table_as_ref_const(const wasm_table_t*);
WASM_API_EXTERN const wasm_table_t* wasm_ref_as_table_const(const wasm_ref_t*);

typedef uint32_t wasm_table_size_t;

WASM_API_EXTERN own wasm_table_t* wasm_table_new(wasm_store_t*, const wasm_tabletype_t*,
                                                 wasm_ref_t* init);
WASM_API_EXTERN own wasm_tabletype_t* wasm_table_type(const wasm_table_t*);
WASM_API_EXTERN own wasm_ref_t* wasm_table_get(const wasm_table_t*, wasm_table_size_t index);
WASM_API_EXTERN bool wasm_table_set(wasm_table_t*, wasm_table_size_t index, wasm_ref_t*);
WASM_API_EXTERN wasm_table_size_t wasm_table_size(const wasm_table_t*);
WASM_API_EXTERN bool wasm_table_grow(wasm_table_t*, wasm_table_size_t delta, wasm_ref_t* init);

/* ---- Memories */

typedef struct wasm_memory_t wasm_memory_t;
WASM_API_EXTERN void wasm_memory_delete(own wasm_memory_t*);

WASM_API_EXTERN own wasm_memory_t* wasm_memory_copy(const wasm_memory_t*);

WASM_API_EXTERN bool wasm_memory_same(const wasm_memory_t*, const wasm_memory_t*);
WASM_API_EXTERN void* wasm_memory_get_host_info(const wasm_memory_t*);
WASM_API_EXTERN void wasm_memory_set_host_info(wasm_memory_t*, void* info);
WASM_API_EXTERN void wasm_memory_set_host_info_with_finalizer(wasm_memory_t*, void* info,
                                                              void (*finalizer)(void*));

WASM_API_EXTERN wasm_ref_t* wasm_memory_as_ref(wasm_memory_t*);
WASM_API_EXTERN wasm_memory_t* wasm_ref_as_memory(wasm_ref_t*);
WASM_API_EXTERN const wasm_ref_t* wasm_memory_as_ref_const(const wasm_memory_t*);
WASM_API_EXTERN const wasm_memory_t* wasm_ref_as_memory_const(const wasm_ref_t*);

typedef uint32_t wasm_memory_pages_t;
static const size_t MEMORY_PAGE_SIZE = 0x10000;

WASM_API_EXTERN own wasm_memory_t* wasm_memory_new(wasm_store_t*, const wasm_memorytype_t*);
WASM_API_EXTERN own wasm_memorytype_t* wasm_memory_type(const wasm_memory_t*);
/* The bytes; they may move when the memory grows. */
WASM_API_EXTERN byte_t* wasm_memory_data(wasm_memory_t*);
WASM_API_EXTERN size_t wasm_memory_data_size(const wasm_memory_t*);
WASM_API_EXTERN wasm_memory_pages_t wasm_memory_size(const wasm_memory_t*);
WASM_API_EXTERN bool wasm_memory_grow(wasm_memory_t*, wasm_memory_pages_t delta);

/* ---- Externals */

typedef struct wasm_extern_t wasm_extern_t;
WASM_API_EXTERN void wasm_extern_delete(own wasm_extern_t*);

WASM_API_EXTERN own wasm_extern_t* wasm_extern_copy(const wasm_extern_t*);

WASM_API_EXTERN bool wasm_extern_same(const wasm_extern_t*, const wasm_extern_t*);
WASM_API_EXTERN void* wasm_extern_get_host_info(const wasm_extern_t*);
WASM_API_EXTERN void wasm_extern_set_host_info(wasm_extern_t*, void* info);
WASM_API_EXTERN void wasm_extern_set_host_info_with_finalizer(wasm_extern_t*, void* info,
                                                              void (*finalizer)(void*));

WASM_API_EXTERN wasm_ref_t* wasm_extern_as_ref(wasm_extern_t*);
WASM_API_EXTERN wasm_extern_t* wasm_ref_as_extern(wasm_ref_t*);
WASM_API_EXTERN const wasm_ref_t* wasm_extern_as_ref_const(const wasm_extern_t*);
WASM_API_EXTERN const wasm_extern_t* wasm_ref_as_extern_const(const wasm_ref_t*);

typedef struct wasm_extern_vec_t {
  size_t size;
  wasm_extern_t** data;
} wasm_extern_vec_t;
WASM_API_EXTERN void wasm_extern_vec_new_empty(own wasm_extern_vec_t* out);
WASM_API_EXTERN void wasm_extern_vec_new_uninitialized(own wasm_extern_vec_t* out, size_t size);
WASM_API_EXTERN void wasm_extern_vec_new(own wasm_extern_vec_t* out, size_t size,
                                         own wasm_extern_t* const data[]);
WASM_API_EXTERN void wasm_extern_vec_copy(own wasm_extern_vec_t* out, const wasm_extern_vec_t*);
WASM_API_EXTERN void wasm_extern_vec_delete(own wasm_extern_vec_t*);

WASM_API_EXTERN wasm_externkind_t wasm_extern_kind(const wasm_extern_t*);
WASM_API_EXTERN own wasm_externtype_t* wasm_extern_type(const wasm_extern_t*);

WASM_API_EXTERN wasm_extern_t* wasm_func_as_extern(wasm_func_t*);
WASM_API_EXTERN wasm_func_t* wasm_extern_as_func(wasm_extern_t*);
WASM_API_EXTERN const wasm_extern_t* wasm_func_as_extern_const(const wasm_func_t*);
WASM_API_EXTERN const wasm_func_t* wasm_extern_as_func_const(const wasm_extern_t*);

WASM_API_EXTERN wasm_extern_t* wasm_global_as_extern(wasm_global_t*);
WASM_API_EXTERN wasm_global_t* wasm_extern_as_global(wasm_extern_t*);
WASM_API_EXTERN const wasm_extern_t* wasm_global_as_extern_const(const wasm_global_t*);
WASM_API_EXTERN const wasm_global_t* wasm_extern_as_global_const(const wasm_extern_t*);

WASM_API_EXTERN wasm_extern_t* wasm_table_as_extern(wasm_table_t*);
WASM_API_EXTERN wasm_table_t* wasm_extern_as_table(wasm_extern_t*);
WASM_API_EXTERN const wasm_extern_t* wasm_table_as_extern_const(const wasm_table_t*);
WASM_API_EXTERN const wasm_table_t* wasm_extern_as_table_const(const wasm_extern_t*);

WASM_API_EXTERN wasm_extern_t* wasm_memory_as_extern(wasm_memory_t*);
WASM_API_EXTERN wasm_memory_t* wasm_extern_as_memory(wasm_extern_t*);
WASM_API_EXTERN const wasm_extern_t* wasm_memory_as_extern_const(const wasm_memory_t*);
WASM_API_EXTERN const wasm_memory_t* wasm_extern_as_memory_const(const wasm_extern_t*);

/* ---- Instances */

typedef struct wasm_instance_t wasm_instance_t;
WASM_API_EXTERN void wasm_instance_delete(own wasm_instance_t*);

WASM_API_EXTERN own wasm_instance_t* wasm_instance_copy(const wasm_instance_t*);

WASM_API_EXTERN bool wasm_instance_same(const wasm_instance_t*, const wasm_instance_t*);
WASM_API_EXTERN void* wasm_instance_get_host_info(const wasm_instance_t*);
WASM_API_EXTERN void wasm_instance_set_host_info(wasm_instance_t*, void* info);
WASM_API_EXTERN void wasm_instance_set_host_info_with_finalizer(wasm_instance_t*, void* info,
                                                                void (*finalizer)(void*));

WASM_API_EXTERN wasm_ref_t* wasm_instance_as_ref(wasm_instance_t*);
WASM_API_EXTERN wasm_instance_t* wasm_ref_as_instance(wasm_ref_t*);
WASM_API_EXTERN const wasm_ref_t* wasm_instance_as_ref_const(const wasm_instance_t*);
WASM_API_EXTERN const wasm_instance_t* wasm_ref_as_instance_const(const wasm_ref_t*);

/* Instantiates with `imports` in the module's order. On failure gives NULL and, if
 * `trap` is not NULL, what was wrong there: a trap of the start function or of a
 * segment, or an import that does not match. */
WASM_API_EXTERN own wasm_instance_t* wasm_instance_new(wasm_store_t*, const wasm_module_t*,
                                                       const wasm_extern_vec_t* imports,
                                                       own wasm_trap_t** trap);
WASM_API_EXTERN void wasm_instance_exports(const wasm_instance_t*, own wasm_extern_vec_t* out);

/* ---- Conveniences */

#define WASM_EMPTY_VEC {0, NULL}
#define WASM_ARRAY_VEC(array) {sizeof(array) / sizeof(*(array)), array}

static inline own wasm_valtype_t* wasm_valtype_new_i32(void) { return wasm_valtype_new(WASM_I32); }
static inline own wasm_valtype_t* wasm_valtype_new_i64(void) { return wasm_valtype_new(WASM_I64); }
static inline own wasm_valtype_t* wasm_valtype_new_f32(void) { return wasm_valtype_new(WASM_F32); }
static inline own wasm_valtype_t* wasm_valtype_new_f64(void) { return wasm_valtype_new(WASM_F64); }
static inline own wasm_valtype_t* wasm_valtype_new_externref(void) {
  return wasm_valtype_new(WASM_EXTERNREF);
}
static inline own wasm_valtype_t* wasm_valtype_new_funcref(void) {
  return wasm_valtype_new(WASM_FUNCREF);
}

/* wasm_functype_new_P_R: a type of P parameters and R results. */
static inline own wasm_functype_t* wasm_functype_new_0_0(void) {
  wasm_valtype_vec_t params, results;
  wasm_valtype_vec_new_empty(&params);
  wasm_valtype_vec_new_empty(&results);
  return wasm_functype_new(&params, &results);
}
static inline own wasm_functype_t* wasm_functype_new_1_0(own wasm_valtype_t* p1) {
  wasm_valtype_t* ps[1] = {p1};
  wasm_valtype_vec_t params, results;
  wasm_valtype_vec_new(&params, 1, ps);
  wasm_valtype_vec_new_empty(&results);
  return wasm_functype_new(&params, &results);
}
static inline own wasm_functype_t* wasm_functype_new_2_0(own wasm_valtype_t* p1,
                                                         own wasm_valtype_t* p2) {
  wasm_valtype_t* ps[2] = {p1, p2};
  wasm_valtype_vec_t params, results;
  wasm_valtype_vec_new(&params, 2, ps);
  wasm_valtype_vec_new_empty(&results);
  return wasm_functype_new(&params, &results);
}
static inline own wasm_functype_t* wasm_functype_new_3_0(own wasm_valtype_t* p1,
                                                         own wasm_valtype_t* p2,
                                                         own wasm_valtype_t* p3) {
  wasm_valtype_t* ps[3] = {p1, p2, p3};
  wasm_valtype_vec_t params, results;
  wasm_valtype_vec_new(&params, 3, ps);
  wasm_valtype_vec_new_empty(&results);
  return wasm_functype_new(&params, &results);
}
static inline own wasm_functype_t* wasm_functype_new_0_1(own wasm_valtype_t* r1) {
  wasm_valtype_t* rs[1] = {r1};
  wasm_valtype_vec_t params, results;
  wasm_valtype_vec_new_empty(&params);
  wasm_valtype_vec_new(&results, 1, rs);
  return wasm_functype_new(&params, &results);
}
static inline own wasm_functype_t* wasm_functype_new_1_1(own wasm_valtype_t* p1,
                                                         own wasm_valtype_t* r1) {
  wasm_valtype_t* ps[1] = {p1};
  wasm_valtype_t* rs[1] = {r1};
  wasm_valtype_vec_t params, results;
  wasm_valtype_vec_new(&params, 1, ps);
  wasm_valtype_vec_new(&results, 1, rs);
  return wasm_functype_new(&params, &results);
}
static inline own wasm_functype_t* wasm_functype_new_2_1(own wasm_valtype_t* p1,
                                                         own wasm_valtype_t* p2,
                                                         own wasm_valtype_t* r1) {
  wasm_valtype_t* ps[2] = {p1, p2};
  wasm_valtype_t* rs[1] = {r1};
  wasm_valtype_vec_t params, results;
  wasm_valtype_vec_new(&params, 2, ps);
  wasm_valtype_vec_new(&results, 1, rs);
  return wasm_functype_new(&params, &results);
}
static inline own wasm_functype_t* wasm_functype_new_3_1(own wasm_valtype_t* p1,
                                                         own wasm_valtype_t* p2,
                                                         own wasm_valtype_t* p3,
                                                         own wasm_valtype_t* r1) {
  wasm_valtype_t* ps[3] = {p1, p2, p3};
  wasm_valtype_t* rs[1] = {r1};
  wasm_valtype_vec_t params, results;
  wasm_valtype_vec_new(&params, 3, ps);
  wasm_valtype_vec_new(&results, 1, rs);
  return wasm_functype_new(&params, &results);
}
static inline own wasm_functype_t* wasm_functype_new_0_2(own wasm_valtype_t* r1,
                                                         own wasm_valtype_t* r2) {
  wasm_valtype_t* rs[2] = {r1, r2};
  wasm_valtype_vec_t params, results;
  wasm_valtype_vec_new_empty(&params);
  wasm_valtype_vec_new(&results, 2, rs);
  return wasm_functype_new(&params, &results);
}
static inline own wasm_functype_t* wasm_functype_new_1_2(own wasm_valtype_t* p1,
                                                         own wasm_valtype_t* r1,
                                                         own wasm_valtype_t* r2) {
  wasm_valtype_t* ps[1] = {p1};
  wasm_valtype_t* rs[2] = {r1, r2};
  wasm_valtype_vec_t params, results;
  wasm_valtype_vec_new(&params, 1, ps);
  wasm_valtype_vec_new(&results, 2, rs);
  return wasm_functype_new(&params, &results);
}
static inline own wasm_functype_t* wasm_functype_new_2_2(own wasm_valtype_t* p1,
                                                         own wasm_valtype_t* p2,
                                                         own wasm_valtype_t* r1,
                                                         own wasm_valtype_t* r2) {
  wasm_valtype_t* ps[2] = {p1, p2};
  wasm_valtype_t* rs[2] = {r1, r2};
  wasm_valtype_vec_t params, results;
  wasm_valtype_vec_new(&params, 2, ps);
  wasm_valtype_vec_new(&results, 2, rs);
  return wasm_functype_new(&params, &results);
}
static inline own wasm_functype_t* wasm_functype_new_3_2(own wasm_valtype_t* p1,
                                                         own wasm_valtype_t* p2,
                                                         own wasm_valtype_t* p3,
                                                         own wasm_valtype_t* r1,
                                                         own wasm_valtype_t* r2) {
  wasm_valtype_t* ps[3] = {p1, p2, p3};
  wasm_valtype_t* rs[2] = {r1, r2};
  wasm_valtype_vec_t params, results;
  wasm_valtype_vec_new(&params, 3, ps);
  wasm_valtype_vec_new(&results, 2, rs);
  return wasm_functype_new(&params, &results);
}

/* A host pointer as a number value. */
static inline void wasm_val_init_ptr(own wasm_val_t* out, void* p) {
#if UINTPTR_MAX == UINT32_MAX
  out->kind = WASM_I32;
  out->of.i32 = (int32_t)(intptr_t)p;
#else
  out->kind = WASM_I64;
  out->of.i64 = (int64_t)(intptr_t)p;
#endif
}
static inline void* wasm_val_ptr(const wasm_val_t* val) {
#if UINTPTR_MAX == UINT32_MAX
  return (void*)(intptr_t)val->of.i32;
#else
  return (void*)(intptr_t)val->of.i64;
#endif
}

#define WASM_I32_VAL(i)                 \
  {                                     \
    .kind = WASM_I32, .of = {.i32 = i } \
  }
#define WASM_I64_VAL(i)                 \
  {                                     \
    .kind = WASM_I64, .of = {.i64 = i } \
  }
#define WASM_F32_VAL(z)                 \
  {                                     \
    .kind = WASM_F32, .of = {.f32 = z } \
  }
#define WASM_F64_VAL(z)                 \
  {                                     \
    .kind = WASM_F64, .of = {.f64 = z } \
  }
#define WASM_REF_VAL(r)                       \
  {                                           \
    .kind = WASM_EXTERNREF, .of = {.ref = r } \
  }
#define WASM_INIT_VAL                            \
  {                                              \
    .kind = WASM_EXTERNREF, .of = {.ref = NULL } \
  }

#undef own

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* WASM_H */

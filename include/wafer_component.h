/* Components in C (Component Model): values, loading, host functions and resources, calls, streams
 * and futures, WASI 0.2 and 0.3. Not in embedded builds.
 *
 * Ownership is as in <wasm.h>: what is `own` belongs to whoever gets it. Functions that give a
 * `wafer_error_t*` give NULL on success. A component's objects are used by one thread at a time,
 * that of their store; answers may be given from any.
 */
#ifndef WAFER_COMPONENT_H
#define WAFER_COMPONENT_H

#include "wafer.h"

#ifdef __cplusplus
extern "C" {
#endif

#define own

/* ---- Values
 *
 * A value is told by its form; what type it has is known to the function that takes or gives it:
 *
 *   bool, integers, char, enum, flags    bits: sign-extended, a code point, the case, bit by bit
 *   f32, f64                             bits of the number
 *   string                               text, in UTF-8
 *   list<u8>                             bytes
 *   list, tuple, record, map             items, in order; a map's are tuples of key and value
 *   variant, option, result              a case by its index (option: 0 none, 1 some; result: 0
 *                                        ok, 1 error) and what it holds, if anything
 *   own, borrow                          a resource
 *   stream, future                       other: the readable end, to be passed on or taken
 *                                        (wafer_component_end_take)
 *   error-context                        other: to be passed on
 */
typedef struct wafer_component_val_t wafer_component_val_t;

typedef uint8_t wafer_component_form_t;
enum wafer_component_form_enum {
  WAFER_COMPONENT_BITS,
  WAFER_COMPONENT_TEXT,
  WAFER_COMPONENT_BYTES,
  WAFER_COMPONENT_ITEMS,
  WAFER_COMPONENT_CASE,
  WAFER_COMPONENT_RESOURCE,
  WAFER_COMPONENT_OTHER
};

WASM_API_EXTERN own wafer_component_val_t* wafer_component_val_bits(uint64_t);
WASM_API_EXTERN own wafer_component_val_t* wafer_component_val_int(int64_t);
WASM_API_EXTERN own wafer_component_val_t* wafer_component_val_f32(float);
WASM_API_EXTERN own wafer_component_val_t* wafer_component_val_f64(double);
/* The `size` bytes are copied. */
WASM_API_EXTERN own wafer_component_val_t* wafer_component_val_text(const char* utf8, size_t size);
WASM_API_EXTERN own wafer_component_val_t* wafer_component_val_bytes(const void* bytes,
                                                                     size_t size);
/* Takes the `count` values at `items`. */
WASM_API_EXTERN own wafer_component_val_t* wafer_component_val_items(
    own wafer_component_val_t* const items[], size_t count);
/* Takes `payload`, which is NULL for a case that holds nothing. */
WASM_API_EXTERN own wafer_component_val_t* wafer_component_val_case(
    uint32_t index, own wafer_component_val_t* payload);

WASM_API_EXTERN own wafer_component_val_t* wafer_component_val_copy(const wafer_component_val_t*);
WASM_API_EXTERN bool wafer_component_val_equal(const wafer_component_val_t*,
                                               const wafer_component_val_t*);
WASM_API_EXTERN void wafer_component_val_delete(own wafer_component_val_t*);

WASM_API_EXTERN wafer_component_form_t wafer_component_val_form(const wafer_component_val_t*);
/* Of a value of another form these give 0, NULL or false. What they point to is the value's. */
WASM_API_EXTERN uint64_t wafer_component_val_get_bits(const wafer_component_val_t*);
WASM_API_EXTERN float wafer_component_val_get_f32(const wafer_component_val_t*);
WASM_API_EXTERN double wafer_component_val_get_f64(const wafer_component_val_t*);
/* Terminated, but may have zeros inside; `*size`, unless `size` is NULL, is without the end. */
WASM_API_EXTERN const char* wafer_component_val_get_text(const wafer_component_val_t*,
                                                         size_t* size);
WASM_API_EXTERN const uint8_t* wafer_component_val_get_bytes(const wafer_component_val_t*,
                                                             size_t* size);
WASM_API_EXTERN size_t wafer_component_val_item_count(const wafer_component_val_t*);
WASM_API_EXTERN const wafer_component_val_t* wafer_component_val_item(const wafer_component_val_t*,
                                                                      size_t index);
WASM_API_EXTERN uint32_t wafer_component_val_case_index(const wafer_component_val_t*);
/* NULL if the case holds nothing. */
WASM_API_EXTERN const wafer_component_val_t* wafer_component_val_payload(
    const wafer_component_val_t*);

/* ---- Components */

typedef struct wafer_component_t wafer_component_t;

/* Whether the bytes begin like a component rather than a core module. */
WASM_API_EXTERN bool wafer_is_component(const void* bytes, size_t size);
/* Decodes and validates a component in binary form, which is copied. It may be used in several
 * stores of the engine and by several threads. */
WASM_API_EXTERN own wafer_error_t* wafer_component_new(wasm_engine_t*, const void* bytes,
                                                       size_t size, own wafer_component_t** out);
/* The same with `count` features besides those that are always there, by the names of
 * `wafer --enable` ("cm-memory64"). Errors: also WAFER_ERROR_USAGE for one that is not known. */
WASM_API_EXTERN own wafer_error_t* wafer_component_new_with(wasm_engine_t*, const void* bytes,
                                                            size_t size,
                                                            const char* const features[],
                                                            size_t count,
                                                            own wafer_component_t** out);
/* Machine code of all that is in the component, for wafer_component_load_compiled in engines with
 * the same settings; what `wafer compile` writes. */
WASM_API_EXTERN own wafer_error_t* wafer_component_precompile(wasm_engine_t*, const void* bytes,
                                                              size_t size,
                                                              own wasm_byte_vec_t* out);
/* A component from what wafer_component_precompile gave, copied, or mapped from a file with it.
 * The bytes are trusted, as those of wafer_module_load_compiled. */
WASM_API_EXTERN own wafer_error_t* wafer_component_load_compiled(wasm_engine_t*, const void* code,
                                                                 size_t size,
                                                                 own wafer_component_t** out);
WASM_API_EXTERN own wafer_error_t* wafer_component_load_compiled_file(wasm_engine_t*,
                                                                      const char* path,
                                                                      own wafer_component_t** out);
WASM_API_EXTERN void wafer_component_delete(own wafer_component_t*);
/* Names of what it imports and exports, in order; NULL beyond the last. */
WASM_API_EXTERN const char* wafer_component_import(const wafer_component_t*, size_t index);
WASM_API_EXTERN const char* wafer_component_export(const wafer_component_t*, size_t index);

/* ---- Linker
 *
 * What the host gives to components, by interface and name: an import of `a:b/c@0.2.3` is met by
 * `a:b/c@0.2.6`. An interface of NULL is for what is imported by itself. A linker has to outlive
 * the instances. */

typedef struct wafer_component_linker_t wafer_component_linker_t;
typedef struct wafer_component_resource_t wafer_component_resource_t;

WASM_API_EXTERN own wafer_component_linker_t* wafer_component_linker_new(void);
WASM_API_EXTERN void wafer_component_linker_delete(own wafer_component_linker_t*);

/* A call of a host function; valid during it. */
typedef struct wafer_component_call_t wafer_component_call_t;
typedef void (*wafer_component_callback_t)(void* env, wafer_component_call_t*);

/* `waits`: the function may answer later. `finalizer`, unless NULL, gets `env` in the end. */
WASM_API_EXTERN void wafer_component_linker_define_func(wafer_component_linker_t*,
                                                        const char* interface, const char* name,
                                                        wafer_component_callback_t, void* env,
                                                        void (*finalizer)(void*), bool waits);
WASM_API_EXTERN size_t wafer_component_call_arg_count(const wafer_component_call_t*);
/* NULL beyond the last. */
WASM_API_EXTERN const wafer_component_val_t* wafer_component_call_arg(const wafer_component_call_t*,
                                                                      size_t index);
/* The result. One of another type makes the guest trap. */
WASM_API_EXTERN void wafer_component_call_return(wafer_component_call_t*,
                                                 own wafer_component_val_t*);
/* Makes the guest trap, with that message. */
WASM_API_EXTERN void wafer_component_call_fail(wafer_component_call_t*, const char* message);

/* The answer that a function which waits gives later, once, from any thread. */
typedef struct wafer_component_answer_t wafer_component_answer_t;
WASM_API_EXTERN own wafer_component_answer_t* wafer_component_call_later(wafer_component_call_t*);
/* NULL: the function has no result. */
WASM_API_EXTERN void wafer_component_answer_return(own wafer_component_answer_t*,
                                                   own wafer_component_val_t*);
WASM_API_EXTERN void wafer_component_answer_fail(own wafer_component_answer_t*,
                                                 const char* message);

/* A resource type. `on_drop`, unless NULL, gets what represents a resource that nobody owns any
 * more. */
WASM_API_EXTERN own wafer_component_resource_t* wafer_component_linker_define_resource(
    wafer_component_linker_t*, const char* interface, const char* name,
    void (*on_drop)(void* env, uint64_t rep), void* env, void (*finalizer)(void*));
WASM_API_EXTERN void wafer_component_resource_delete(own wafer_component_resource_t*);
/* A resource that the host represents by `rep`, to be given to a guest. */
WASM_API_EXTERN own wafer_component_val_t* wafer_component_resource_new(
    const wafer_component_resource_t*, uint64_t rep);
/* True, with what represents it in `*rep`, if the value is a resource of that type. */
WASM_API_EXTERN bool wafer_component_resource_rep(const wafer_component_resource_t*,
                                                  const wafer_component_val_t*, uint64_t* rep);

/* A value for an import of one (`cm-values`). Resources in it go to the first instance that uses
 * it. */
WASM_API_EXTERN void wafer_component_linker_define_value(wafer_component_linker_t*,
                                                         const char* interface, const char* name,
                                                         own wafer_component_val_t*);

/* ---- Instances and functions */

typedef struct wafer_component_instance_t wafer_component_instance_t;
typedef struct wafer_component_func_t wafer_component_func_t;

/* Errors: WAFER_ERROR_UNLINKABLE tells every import that is not met. */
WASM_API_EXTERN own wafer_error_t* wafer_component_linker_instantiate(
    wafer_component_linker_t*, wasm_store_t*, const wafer_component_t*,
    own wafer_component_instance_t** out);
/* Before its store. */
WASM_API_EXTERN void wafer_component_instance_delete(own wafer_component_instance_t*);

/* The function that the instance exports under `name`, or that the interface does which it
 * exports; NULL if there is none. */
WASM_API_EXTERN own wafer_component_func_t* wafer_component_instance_func(
    const wafer_component_instance_t*, const char* interface, const char* name);
/* The value that it exports, in the same way. Errors: WAFER_ERROR_USAGE if there is none, or
 * resources in it were taken before. */
WASM_API_EXTERN own wafer_error_t* wafer_component_instance_value(const wafer_component_instance_t*,
                                                                  const char* interface,
                                                                  const char* name,
                                                                  own wafer_component_val_t** out);
WASM_API_EXTERN void wafer_component_func_delete(own wafer_component_func_t*);
/* Calls it, and runs everything in the store until it has a result, which is NULL if it has
 * none. Arguments are copied; but what they own (resources, ends of streams and futures) is given
 * away, also where the call fails: no copy of it may be used again. Errors: WAFER_ERROR_TRAP;
 * WAFER_ERROR_USAGE if arguments do not fit. */
WASM_API_EXTERN own wafer_error_t* wafer_component_func_call(
    const wafer_component_func_t*, const wafer_component_val_t* const args[], size_t count,
    own wafer_component_val_t** result);
/* The same with arguments and result in WAVE: "(\"a\", {x: 1})". */
WASM_API_EXTERN own wafer_error_t* wafer_component_func_call_text(const wafer_component_func_t*,
                                                                  const char* arguments,
                                                                  own wasm_byte_vec_t* result);

/* What has come of running what calls left behind. */
typedef uint8_t wafer_component_outcome_t;
enum wafer_component_outcome_enum {
  WAFER_COMPONENT_DONE,
  WAFER_COMPONENT_WAITS,  /* for what is outside: answers that come later, a wafer_component_post_t,
                             WASI; or there was no time for more */
  WAFER_COMPONENT_STALLED /* nothing will go on before the host does something */
};
/* Run everything in the store that calls have left behind: tasks that go on after they have given
 * their result, what ends of streams and futures are to be told, and what comes of WASI's files,
 * sockets and timers. A store is idle when nothing in it can go on, and nothing outside is waited
 * for. Errors, which leave `*out` as it was: WAFER_ERROR_TRAP; WAFER_ERROR_USAGE within functions
 * of the host, as code of a component runs already.
 *
 * What can be run now, without waiting for what is outside. WAFER_COMPONENT_DONE: no task is
 * left. */
WASM_API_EXTERN own wafer_error_t* wafer_component_run_until_idle(wasm_store_t*,
                                                                  wafer_component_outcome_t* out);
/* Until `done`, which is WAFER_COMPONENT_DONE, or it is idle, which is WAFER_COMPONENT_STALLED. */
WASM_API_EXTERN own wafer_error_t* wafer_component_run_until(wasm_store_t*, bool (*done)(void*),
                                                             void* env,
                                                             wafer_component_outcome_t* out);
/* The same for at most so many nanoseconds (WAFER_COMPONENT_WAITS). `done` is NULL: until it is
 * idle, WAFER_COMPONENT_DONE if no task is left. */
WASM_API_EXTERN own wafer_error_t* wafer_component_run_for(wasm_store_t*, uint64_t nanoseconds,
                                                           bool (*done)(void*), void* env,
                                                           wafer_component_outcome_t* out);

/* ---- Ends of streams and futures
 *
 * The host reads from streams and futures that components give, and writes to those that it gives
 * to them. An end is used by the thread that uses the store, which calls what was given to a read
 * or write while it runs components: in calls, or in wafer_component_run_until_idle and
 * wafer_component_run_until. What is called may use the end again. `finalizer`, unless NULL, gets
 * `env` in the end, also where there is an error. An end may outlive its store, and is told nothing
 * more then; a readable end that nobody took may not. */

typedef struct wafer_component_end_t wafer_component_end_t;

/* What is left of a stream or future after a read or a write. */
typedef uint8_t wafer_component_end_state_t;
enum wafer_component_end_state_enum {
  WAFER_COMPONENT_END_OPEN,
  WAFER_COMPONENT_END_ENDED,    /* the other end is gone, or the value of a future was taken */
  WAFER_COMPONENT_END_CANCELLED /* by the host */
};

/* A stream or future, of which this is the writable end. `*readable` is for a component, as an
 * argument or a result. `type` is as in WIT, but by its form alone: records are tuples, of a
 * resource there is nothing but `own`, variants, enums and flags have no names ("enum<3>"), and
 * what is absent is `_`; `*` is any type. "stream<u8>", "stream", "future<result<tuple<u32,
 * string>, _>>". Where a component has a stream or future of another type it traps, with both in
 * the message. Errors: WAFER_ERROR_USAGE if `type` is none. */
WASM_API_EXTERN own wafer_error_t* wafer_component_end_new(wasm_store_t*, const char* type,
                                                           own wafer_component_end_t** writable,
                                                           own wafer_component_val_t** readable);
/* The readable end that a value is. No copy of the value may be used again. Errors:
 * WAFER_ERROR_USAGE, with both types in the message, if the value is none of that type. */
WASM_API_EXTERN own wafer_error_t* wafer_component_end_take(wasm_store_t*, const char* type,
                                                            const wafer_component_val_t*,
                                                            own wafer_component_end_t** out);
/* Closes it, once nothing is under way. */
WASM_API_EXTERN void wafer_component_end_delete(own wafer_component_end_t*);
/* Whether a read or write is under way. */
WASM_API_EXTERN bool wafer_component_end_is_busy(const wafer_component_end_t*);
/* Ends the read or write that is under way, which is told what was taken, or gets what came,
 * before. */
WASM_API_EXTERN void wafer_component_end_cancel(wafer_component_end_t*);
/* Nothing is written or read any more: the other end is told that this one is gone, and what is
 * under way is told nothing more. */
WASM_API_EXTERN void wafer_component_end_close(wafer_component_end_t*);

/* How many values were taken. */
typedef void (*wafer_component_written_t)(void* env, size_t taken, wafer_component_end_state_t);
/* Gives values until all are taken or the reader is gone, and calls `done` then, unless it is NULL.
 * Takes the values, also where there is an error; a future has one. Errors: WAFER_ERROR_USAGE if
 * something is under way, or the end is closed, or is no writable one. */
WASM_API_EXTERN own wafer_error_t* wafer_component_end_write(
    wafer_component_end_t*, own wafer_component_val_t* const values[], size_t count,
    wafer_component_written_t done, void* env, void (*finalizer)(void*));
/* The same with `count` numbers, as an array in C has them (copied), of a type that was said to
 * have such elements: "stream<u8>", "stream<f32>". */
WASM_API_EXTERN own wafer_error_t* wafer_component_end_write_numbers(
    wafer_component_end_t*, const void* numbers, size_t count, wafer_component_written_t done,
    void* env, void (*finalizer)(void*));

/* Values are the reader's own during the call. None: it has come to its end, or was cancelled. */
typedef void (*wafer_component_read_t)(void* env, const wafer_component_val_t* const values[],
                                       size_t count, wafer_component_end_state_t);
typedef void (*wafer_component_read_numbers_t)(void* env, const void* numbers, size_t count,
                                               wafer_component_end_state_t);
/* Calls `done` with what comes next: from one to `most` values, or none at the end. Errors:
 * WAFER_ERROR_USAGE as of wafer_component_end_write. */
WASM_API_EXTERN own wafer_error_t* wafer_component_end_read(wafer_component_end_t*, size_t most,
                                                            wafer_component_read_t done, void* env,
                                                            void (*finalizer)(void*));
/* The same with numbers, as of wafer_component_end_write_numbers. */
WASM_API_EXTERN own wafer_error_t* wafer_component_end_read_numbers(
    wafer_component_end_t*, size_t most, wafer_component_read_numbers_t done, void* env,
    void (*finalizer)(void*));

/* Has work done by the thread that uses the store, from any thread. While there is one, components
 * that wait are taken to wait for it; without it they are deadlocked, which is a trap. It is made
 * by the thread that uses the store, and deleted by any. */
typedef struct wafer_component_post_t wafer_component_post_t;
WASM_API_EXTERN own wafer_component_post_t* wafer_component_post_new(wasm_store_t*);
WASM_API_EXTERN void wafer_component_post_delete(own wafer_component_post_t*);
/* False: the store is gone, and only the finalizer is called. */
WASM_API_EXTERN bool wafer_component_post_send(const wafer_component_post_t*, void (*work)(void*),
                                               void* env, void (*finalizer)(void*));

/* ---- WASI 0.2 and 0.3 */

typedef uint8_t wafer_network_use_t;
enum wafer_network_use_enum {
  WAFER_NETWORK_TCP_CONNECT,
  WAFER_NETWORK_TCP_LISTEN,
  WAFER_NETWORK_UDP_SEND,
  WAFER_NETWORK_UDP_BIND
};
/* Lets components use the network, by a rule "HOST:PORT" as in docs/cli.md. Errors: Usage. */
WASM_API_EXTERN own wafer_error_t* wafer_wasi_config_allow(wafer_wasi_config_t*,
                                                           wafer_network_use_t, const char* rule);
WASM_API_EXTERN void wafer_wasi_config_allow_name_lookup(wafer_wasi_config_t*);
WASM_API_EXTERN void wafer_wasi_config_inherit_network(wafer_wasi_config_t*);
/* Clocks of the program's own, in nanoseconds: since 1970, and one that never goes back. */
WASM_API_EXTERN void wafer_wasi_config_clocks(wafer_wasi_config_t*, uint64_t (*realtime)(void* env),
                                              uint64_t (*monotonic)(void* env), void* env);
/* A request of a component, and what answers it. `fields` are field_count names, each followed by
 * its value. */
typedef struct wafer_http_request_t {
  const char *method, *scheme, *authority, *path;
  const char* const* fields;
  size_t field_count;
  const void* body;
  size_t body_size;
} wafer_http_request_t;
typedef struct wafer_http_response_t wafer_http_response_t;
WASM_API_EXTERN void wafer_http_response_status(wafer_http_response_t*, uint16_t status);
WASM_API_EXTERN void wafer_http_response_field(wafer_http_response_t*, const char* name,
                                               const char* value);
/* Appends to the body (copied). */
WASM_API_EXTERN void wafer_http_response_body(wafer_http_response_t*, const void* data,
                                              size_t size);
/* Answers HTTP requests of components; for false they fail with `HTTP-request-denied`, as do those
 * with a body of more than `most_body` bytes, with `HTTP-request-body-size`. */
WASM_API_EXTERN void wafer_wasi_config_http(wafer_wasi_config_t*,
                                            bool (*answer)(void* env, const wafer_http_request_t*,
                                                           wafer_http_response_t*),
                                            void* env, size_t most_body);
/* Makes all randomness predictable. */
WASM_API_EXTERN void wafer_wasi_config_random_seed(wafer_wasi_config_t*, uint64_t seed);

/* What WASI gives to the components of one store: there for as long as they run. */
typedef struct wafer_wasi_command_t wafer_wasi_command_t;
/* Defines the interfaces of both generations. Takes the config. */
WASM_API_EXTERN own wafer_error_t* wafer_component_linker_define_wasi(
    wafer_component_linker_t*, own wafer_wasi_config_t*, own wafer_wasi_command_t** out);
/* Before components that import WASI are instantiated in the store. */
WASM_API_EXTERN void wafer_wasi_command_attach(wafer_wasi_command_t*, wasm_store_t*);
/* Calls the export `wasi:cli/run`; gives the program's exit code, 1 if it failed. */
WASM_API_EXTERN own wafer_error_t* wafer_wasi_command_run(wafer_wasi_command_t*, wasm_store_t*,
                                                          const wafer_component_instance_t*,
                                                          int32_t* exit_code);
WASM_API_EXTERN void wafer_wasi_command_delete(own wafer_wasi_command_t*);

#undef own

#ifdef __cplusplus
}
#endif

#endif

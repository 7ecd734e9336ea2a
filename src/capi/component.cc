// Components in C.
#if WAFER_WITH_COMPONENT_RUN

#include "capi/component.h"

#include "api/component_state.h"
#if WAFER_WITH_WASI_COMMAND
#include "capi/wasi.h"
#include "host/http_callback.h"
#include "wasi/command/command.h"
#endif

using namespace wafer;
using namespace wafer::capi;

struct wafer_component_t {
  Component component;
  std::vector<std::string> imports, exports;
};
struct wafer_component_linker_t {
  ComponentLinker linker;
};
struct wafer_component_resource_t {
  ComponentResource resource;
};
struct wafer_component_instance_t {
  ComponentInstance instance;
};
struct wafer_component_func_t {
  ComponentFunc func;
};
struct wafer_component_answer_t {
  ComponentAnswer answer;
};

namespace {

std::string_view view(const char* text) { return text ? text : std::string_view(); }
ComponentCall& call_of(wafer_component_call_t* c) { return *reinterpret_cast<ComponentCall*>(c); }
const ComponentCall& call_of(const wafer_component_call_t* c) {
  return *reinterpret_cast<const ComponentCall*>(c);
}

wafer_error_t* outcome(Result<RunOutcome> result, wafer_component_outcome_t* out) {
  static_assert(WAFER_COMPONENT_STALLED == int(RunOutcome::Stalled));
  if (!result.ok()) return new_error(result.take_error());
  *out = wafer_component_outcome_t(*result);
  return nullptr;
}

}  // namespace

extern "C" {

// ---- Values

wafer_component_val_t* wafer_component_val_bits(uint64_t v) {
  return give(ComponentVal::of_bits(v));
}
wafer_component_val_t* wafer_component_val_int(int64_t v) { return give(ComponentVal::of_int(v)); }
wafer_component_val_t* wafer_component_val_f32(float v) { return give(ComponentVal::of_f32(v)); }
wafer_component_val_t* wafer_component_val_f64(double v) { return give(ComponentVal::of_f64(v)); }
wafer_component_val_t* wafer_component_val_text(const char* utf8, size_t size) {
  return give(ComponentVal::of_text(std::string(utf8, size)));
}
wafer_component_val_t* wafer_component_val_bytes(const void* bytes, size_t size) {
  const auto* first = static_cast<const uint8_t*>(bytes);
  return give(ComponentVal::of_bytes({first, first + size}));
}
wafer_component_val_t* wafer_component_val_items(wafer_component_val_t* const items[],
                                                 size_t count) {
  ComponentVal::Items all;
  all.reserve(count);
  for (size_t i = 0; i < count; ++i) all.push_back(take(items[i]));
  return give(ComponentVal::of_items(std::move(all)));
}
wafer_component_val_t* wafer_component_val_case(uint32_t index, wafer_component_val_t* payload) {
  return give(payload ? ComponentVal::of_case(index, take(payload)) : ComponentVal::of_case(index));
}

wafer_component_val_t* wafer_component_val_copy(const wafer_component_val_t* v) {
  return give(v->value);
}
bool wafer_component_val_equal(const wafer_component_val_t* a, const wafer_component_val_t* b) {
  return a->value == b->value;
}
void wafer_component_val_delete(wafer_component_val_t* v) { destroy(v); }

wafer_component_form_t wafer_component_val_form(const wafer_component_val_t* v) {
  const ComponentVal& value = v->value;
  return value.is_bits()       ? WAFER_COMPONENT_BITS
         : value.is_text()     ? WAFER_COMPONENT_TEXT
         : value.is_bytes()    ? WAFER_COMPONENT_BYTES
         : value.is_items()    ? WAFER_COMPONENT_ITEMS
         : value.is_case()     ? WAFER_COMPONENT_CASE
         : value.is_resource() ? WAFER_COMPONENT_RESOURCE
                               : WAFER_COMPONENT_OTHER;
}
uint64_t wafer_component_val_get_bits(const wafer_component_val_t* v) {
  return v->value.is_bits() ? v->value.bits() : 0;
}
float wafer_component_val_get_f32(const wafer_component_val_t* v) {
  return v->value.is_bits() ? v->value.as_f32() : 0;
}
double wafer_component_val_get_f64(const wafer_component_val_t* v) {
  return v->value.is_bits() ? v->value.as_f64() : 0;
}
const char* wafer_component_val_get_text(const wafer_component_val_t* v, size_t* size) {
  if (size) *size = v->value.is_text() ? v->value.str().size() : 0;
  return v->value.is_text() ? v->value.str().c_str() : nullptr;
}
const uint8_t* wafer_component_val_get_bytes(const wafer_component_val_t* v, size_t* size) {
  if (size) *size = v->value.is_bytes() ? v->value.bytes().size() : 0;
  return v->value.is_bytes() ? v->value.bytes().data() : nullptr;
}
size_t wafer_component_val_item_count(const wafer_component_val_t* v) {
  return v->value.is_items() ? v->value.items().size() : 0;
}
const wafer_component_val_t* wafer_component_val_item(const wafer_component_val_t* v,
                                                      size_t index) {
  return index < wafer_component_val_item_count(v) ? handle(&v->value.items()[index]) : nullptr;
}
uint32_t wafer_component_val_case_index(const wafer_component_val_t* v) {
  return v->value.is_case() ? v->value.index() : 0;
}
const wafer_component_val_t* wafer_component_val_payload(const wafer_component_val_t* v) {
  return v->value.is_case() ? handle(v->value.payload()) : nullptr;
}

// ---- Components

bool wafer_is_component(const void* bytes, size_t size) {
  return Component::is_component({static_cast<const uint8_t*>(bytes), size});
}
static wafer_error_t* give(Result<Component> loaded, wafer_component_t** out) {
  *out = nullptr;
  if (!loaded.ok()) return new_error(loaded.take_error());
  auto imports = loaded->imports(), exports = loaded->exports();
  *out = create<wafer_component_t>(
      wafer_component_t{*std::move(loaded), std::move(imports), std::move(exports)});
  return nullptr;
}
wafer_error_t* wafer_component_new(wasm_engine_t* engine, const void* bytes, size_t size,
                                   wafer_component_t** out) {
  return give(Component::load(Engine(engine->engine), {static_cast<const uint8_t*>(bytes), size}),
              out);
}
wafer_error_t* wafer_component_new_with(wasm_engine_t* engine, const void* bytes, size_t size,
                                        const char* const features[], size_t count,
                                        wafer_component_t** out) {
  wafer::ComponentOptions options;
  options.features.assign(features, features + count);
  return give(
      Component::load(Engine(engine->engine), {static_cast<const uint8_t*>(bytes), size}, options),
      out);
}
wafer_error_t* wafer_component_precompile(wasm_engine_t* engine, const void* bytes, size_t size,
                                          wasm_byte_vec_t* out) {
  wasm_byte_vec_new_empty(out);
  auto code =
      Component::precompile(Engine(engine->engine), {static_cast<const uint8_t*>(bytes), size});
  if (!code.ok()) return new_error(code.take_error());
  wasm_byte_vec_new(out, code->size(), reinterpret_cast<const wasm_byte_t*>(code->data()));
  return nullptr;
}
wafer_error_t* wafer_component_load_compiled(wasm_engine_t* engine, const void* code, size_t size,
                                             wafer_component_t** out) {
  return give(
      Component::load_compiled(Engine(engine->engine), {static_cast<const uint8_t*>(code), size}),
      out);
}
wafer_error_t* wafer_component_load_compiled_file(wasm_engine_t* engine, const char* path,
                                                  wafer_component_t** out) {
  return give(Component::load_compiled_file(Engine(engine->engine), path), out);
}
void wafer_component_delete(wafer_component_t* c) { destroy(c); }
const char* wafer_component_import(const wafer_component_t* c, size_t index) {
  return index < c->imports.size() ? c->imports[index].c_str() : nullptr;
}
const char* wafer_component_export(const wafer_component_t* c, size_t index) {
  return index < c->exports.size() ? c->exports[index].c_str() : nullptr;
}

// ---- Linker

wafer_component_linker_t* wafer_component_linker_new() {
  return create<wafer_component_linker_t>();
}
void wafer_component_linker_delete(wafer_component_linker_t* l) { destroy(l); }

void wafer_component_linker_define_func(wafer_component_linker_t* l, const char* interface,
                                        const char* name, wafer_component_callback_t callback,
                                        void* env, void (*finalizer)(void*), bool waits) {
  l->linker.func(
      view(interface), name,
      [callback, kept = environment(env, finalizer)](ComponentCall& call) {
        callback(kept.get(), reinterpret_cast<wafer_component_call_t*>(&call));
      },
      waits);
}
size_t wafer_component_call_arg_count(const wafer_component_call_t* c) {
  return call_of(c).args().size();
}
const wafer_component_val_t* wafer_component_call_arg(const wafer_component_call_t* c,
                                                      size_t index) {
  const auto args = call_of(c).args();
  return index < args.size() ? handle(&args[index]) : nullptr;
}
void wafer_component_call_return(wafer_component_call_t* c, wafer_component_val_t* result) {
  call_of(c).set_raw(take(result));
}
void wafer_component_call_fail(wafer_component_call_t* c, const char* message) {
  call_of(c).fail(message);
}
wafer_component_answer_t* wafer_component_call_later(wafer_component_call_t* c) {
  return create<wafer_component_answer_t>(wafer_component_answer_t{call_of(c).later()});
}
void wafer_component_answer_return(wafer_component_answer_t* a, wafer_component_val_t* result) {
  if (result)
    a->answer.complete_raw(take(result));
  else
    a->answer.complete();
  destroy(a);
}
void wafer_component_answer_fail(wafer_component_answer_t* a, const char* message) {
  a->answer.fail(message);
  destroy(a);
}

wafer_component_resource_t* wafer_component_linker_define_resource(
    wafer_component_linker_t* l, const char* interface, const char* name,
    void (*on_drop)(void*, uint64_t), void* env, void (*finalizer)(void*)) {
  std::function<void(uint64_t)> dropped;
  if (on_drop)
    dropped = [on_drop, kept = environment(env, finalizer)](uint64_t rep) {
      on_drop(kept.get(), rep);
    };
  else if (finalizer)
    dropped = [kept = environment(env, finalizer)](uint64_t) {};
  return create<wafer_component_resource_t>(
      wafer_component_resource_t{l->linker.resource(view(interface), name, std::move(dropped))});
}
void wafer_component_linker_define_value(wafer_component_linker_t* l, const char* interface,
                                         const char* name, wafer_component_val_t* v) {
  l->linker.value(view(interface), name, std::move(v->value));
  destroy(v);
}
void wafer_component_resource_delete(wafer_component_resource_t* r) { destroy(r); }
wafer_component_val_t* wafer_component_resource_new(const wafer_component_resource_t* r,
                                                    uint64_t rep) {
  return give(r->resource.make(rep));
}
bool wafer_component_resource_rep(const wafer_component_resource_t* r,
                                  const wafer_component_val_t* v, uint64_t* rep) {
  if (!r->resource.is(v->value)) return false;
  *rep = r->resource.rep(v->value);
  return true;
}

// ---- Instances and functions

wafer_error_t* wafer_component_linker_instantiate(wafer_component_linker_t* l, wasm_store_t* store,
                                                  const wafer_component_t* component,
                                                  wafer_component_instance_t** out) {
  *out = nullptr;
  auto made =
      l->linker.raw()->instantiate(component_state(store->store), component->component.raw());
  if (!made.ok()) return new_error(made.take_error());
  *out = create<wafer_component_instance_t>(
      wafer_component_instance_t{ComponentInstance(*std::move(made))});
  return nullptr;
}
void wafer_component_instance_delete(wafer_component_instance_t* i) { destroy(i); }

wafer_error_t* wafer_component_instance_value(const wafer_component_instance_t* i,
                                              const char* interface, const char* name,
                                              wafer_component_val_t** out) {
  *out = nullptr;
  auto value = i->instance.value(name, view(interface));
  if (!value.ok()) return new_error(value.take_error());
  *out = give(*std::move(value));
  return nullptr;
}
wafer_component_func_t* wafer_component_instance_func(const wafer_component_instance_t* i,
                                                      const char* interface, const char* name) {
  ComponentFunc func = i->instance.func(name, view(interface));
  return func ? create<wafer_component_func_t>(wafer_component_func_t{std::move(func)}) : nullptr;
}
void wafer_component_func_delete(wafer_component_func_t* f) { destroy(f); }

wafer_error_t* wafer_component_func_call(const wafer_component_func_t* f,
                                         const wafer_component_val_t* const args[], size_t count,
                                         wafer_component_val_t** result) {
  *result = nullptr;
  std::vector<ComponentVal> values;
  values.reserve(count);
  for (size_t i = 0; i < count; ++i) values.push_back(args[i]->value);
  auto results = f->func.call_raw(std::move(values));
  if (!results.ok()) return new_error(results.take_error());
  if (!results->empty()) *result = give(std::move((*results)[0]));
  return nullptr;
}
wafer_error_t* wafer_component_func_call_text(const wafer_component_func_t* f,
                                              const char* arguments, wasm_byte_vec_t* result) {
  wasm_byte_vec_new_empty(result);
  auto text = f->func.call_text(arguments);
  if (!text.ok()) return new_error(text.take_error());
  wasm_byte_vec_new(result, text->size(), text->data());
  return nullptr;
}

wafer_error_t* wafer_component_run_until_idle(wasm_store_t* s, wafer_component_outcome_t* out) {
  return wafer_component_run_for(s, 0, nullptr, nullptr, out);
}
wafer_error_t* wafer_component_run_until(wasm_store_t* s, bool (*done)(void*), void* env,
                                         wafer_component_outcome_t* out) {
  return wafer_component_run_for(s, INT64_MAX, done, env, out);
}
wafer_error_t* wafer_component_run_for(wasm_store_t* s, uint64_t nanoseconds, bool (*done)(void*),
                                       void* env, wafer_component_outcome_t* out) {
  std::function<bool()> reached;
  if (done) reached = [=] { return done(env); };
  const auto most = std::chrono::nanoseconds(int64_t(std::min<uint64_t>(nanoseconds, INT64_MAX)));
  return outcome(run_until(component_state(s->store), reached, most), out);
}

// ---- WASI

#if WAFER_WITH_WASI_COMMAND

static_assert(WAFER_NETWORK_UDP_BIND == int(host::Network::Use::UdpBind));

wafer_error_t* wafer_wasi_config_allow(wafer_wasi_config_t* c, wafer_network_use_t use,
                                       const char* rule) {
  if (use > WAFER_NETWORK_UDP_BIND)
    return new_error(Error(ErrorKind::Usage, "no such use of the network"));
  auto allowed = c->config.network.allow(host::Network::Use(use), rule);
  return allowed.ok() ? nullptr : new_error(allowed.take_error());
}
void wafer_wasi_config_allow_name_lookup(wafer_wasi_config_t* c) {
  c->config.network.allow_lookup();
}
void wafer_wasi_config_inherit_network(wafer_wasi_config_t* c) { c->config.network.allow_all(); }
void wafer_wasi_config_clocks(wafer_wasi_config_t* c, uint64_t (*realtime)(void*),
                              uint64_t (*monotonic)(void*), void* env) {
  c->config.clocks = host::callback_clocks([realtime, env] { return realtime(env); },
                                           [monotonic, env] { return monotonic(env); });
}

struct wafer_http_response_t {
  host::WholeResponse response;
};
void wafer_http_response_status(wafer_http_response_t* r, uint16_t status) {
  r->response.head.status = status;
}
void wafer_http_response_field(wafer_http_response_t* r, const char* name, const char* value) {
  r->response.head.fields.emplace_back(name, value);
}
void wafer_http_response_body(wafer_http_response_t* r, const void* data, size_t size) {
  r->response.body.append(static_cast<const char*>(data), size);
}
void wafer_wasi_config_http(wafer_wasi_config_t* c,
                            bool (*answer)(void*, const wafer_http_request_t*,
                                           wafer_http_response_t*),
                            void* env, size_t most_body) {
  c->config.http = host::make_http_callback(
      [answer, env](const host::WholeRequest& r) -> host::Outcome<host::WholeResponse> {
        std::vector<const char*> fields;
        for (const auto& [name, value] : r.head.fields) {
          fields.push_back(name.c_str());
          fields.push_back(value.c_str());
        }
        const wafer_http_request_t request{r.head.method.c_str(),
                                           r.head.scheme.c_str(),
                                           r.head.authority.c_str(),
                                           r.head.path_with_query.c_str(),
                                           fields.data(),
                                           r.head.fields.size(),
                                           r.body.data(),
                                           r.body.size()};
        wafer_http_response_t out;
        if (!answer(env, &request, &out))
          return host::http_failure(host::HttpError::HTTPRequestDenied);
        return std::move(out.response);
      },
      most_body);
}
void wafer_wasi_config_random_seed(wafer_wasi_config_t* c, uint64_t seed) {
  c->config.random_seed = seed;
}

struct wafer_wasi_command_t {
  std::unique_ptr<wasi::CommandHost> host;
};

wafer_error_t* wafer_component_linker_define_wasi(wafer_component_linker_t* l,
                                                  wafer_wasi_config_t* config,
                                                  wafer_wasi_command_t** out) {
  *out = nullptr;
  auto host = wasi::CommandHost::open(std::move(config->config), *l->linker.raw());
  destroy(config);
  if (!host.ok()) return new_error(host.take_error());
  *out = create<wafer_wasi_command_t>(wafer_wasi_command_t{*std::move(host)});
  return nullptr;
}
void wafer_wasi_command_attach(wafer_wasi_command_t* c, wasm_store_t* store) {
  c->host->attach(component_state(store->store));
}
wafer_error_t* wafer_wasi_command_run(wafer_wasi_command_t* c, wasm_store_t* store,
                                      const wafer_component_instance_t* i, int32_t* exit_code) {
  *exit_code = 1;
  auto code = c->host->run(component_state(store->store), *i->instance.raw());
  c->host->finish();
  if (!code.ok()) return new_error(code.take_error());
  *exit_code = *code;
  return nullptr;
}
void wafer_wasi_command_delete(wafer_wasi_command_t* c) { destroy(c); }

#endif

}  // extern "C"

#endif

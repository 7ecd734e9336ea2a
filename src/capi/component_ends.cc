// Ends of streams and futures that the host has, in C.
#if WAFER_WITH_COMPONENT_RUN

#include "api/component_state.h"
#include "capi/component.h"
#include "wafer/streams.hpp"

using namespace wafer;
using namespace wafer::capi;

struct wafer_component_end_t {
  std::shared_ptr<detail::HostEnd> end;
  uint32_t size;  // of an element, if it is a number
};
struct wafer_component_post_t {
  StorePost post;
};

namespace {

static_assert(WAFER_COMPONENT_END_CANCELLED == int(StreamState::Cancelled));

ComponentScope scope_of(wasm_store_t* store) { return {&component_state(store->store)}; }

std::string form(const char* type) {
  const std::string text = type;
  return text == "stream" || text == "future" ? text + "<_>" : text;
}
bool is_form(std::string_view type) {
  return (type.starts_with("stream<") || type.starts_with("future<")) && type.ends_with(">");
}

// Bytes of an element that is a number; 0: it is none.
uint32_t number_size(std::string_view form) {
  const size_t open = form.find('<') + 1;
  const std::string_view element = form.substr(open, form.size() - open - 1);
  using enum component::ScalarKind;
  for (const auto kind : {U8, S8, U16, S16, U32, S32, U64, S64, F32, F64})
    if (element == component::scalar_name(kind))
      return kind <= S8 ? 1 : kind <= S16 ? 2 : kind <= S32 || kind == F32 ? 4 : 8;
  return 0;
}

wafer_error_t* outcome(Result<void> result) {
  return result.ok() ? nullptr : new_error(result.take_error());
}
wafer_error_t* no_type(const char* type) {
  return new_error(Error(ErrorKind::Usage, "no type of a stream or future: " + std::string(type)));
}
wafer_error_t* no_numbers() {
  return new_error(Error(ErrorKind::Usage, "the elements are not said to be numbers"));
}

auto written(wafer_component_written_t done, void* env, void (*finalizer)(void*)) {
  return [done, kept = environment(env, finalizer)](size_t taken, StreamState state) {
    if (done) done(kept.get(), taken, wafer_component_end_state_t(state));
  };
}

}  // namespace

extern "C" {

wafer_error_t* wafer_component_end_new(wasm_store_t* store, const char* type,
                                       wafer_component_end_t** writable,
                                       wafer_component_val_t** readable) {
  *writable = nullptr;
  *readable = nullptr;
  const std::string text = form(type);
  if (!is_form(text)) return no_type(type);
  ComponentVal::End reader;
  auto writer = std::make_shared<detail::HostEnd>(scope_of(store), text, &reader);
  *writable =
      create<wafer_component_end_t>(wafer_component_end_t{std::move(writer), number_size(text)});
  *readable = give(ComponentVal::of_end(std::move(reader)));
  return nullptr;
}

wafer_error_t* wafer_component_end_take(wasm_store_t* store, const char* type,
                                        const wafer_component_val_t* v,
                                        wafer_component_end_t** out) {
  *out = nullptr;
  const std::string text = form(type);
  if (!is_form(text)) return no_type(type);
  if (!v->value.is_end())
    return new_error(Error(ErrorKind::Usage, "the value is no end of a stream or future"));
  const std::string why = component::other_end(v->value.end(), text);
  if (!why.empty()) return new_error(Error(ErrorKind::Usage, why));
  *out = create<wafer_component_end_t>(wafer_component_end_t{
      std::make_shared<detail::HostEnd>(scope_of(store), text, v->value.end()), number_size(text)});
  return nullptr;
}

void wafer_component_end_delete(wafer_component_end_t* e) { destroy(e); }
bool wafer_component_end_is_busy(const wafer_component_end_t* e) { return e->end->busy(); }
void wafer_component_end_cancel(wafer_component_end_t* e) { e->end->cancel(); }
void wafer_component_end_close(wafer_component_end_t* e) { e->end->close(); }

wafer_error_t* wafer_component_end_write(wafer_component_end_t* e,
                                         wafer_component_val_t* const values[], size_t count,
                                         wafer_component_written_t done, void* env,
                                         void (*finalizer)(void*)) {
  std::vector<ComponentVal> all;
  all.reserve(count);
  for (size_t i = 0; i < count; ++i) all.push_back(take(values[i]));
  return outcome(e->end->write(std::move(all), written(done, env, finalizer)));
}
wafer_error_t* wafer_component_end_write_numbers(wafer_component_end_t* e, const void* numbers,
                                                 size_t count, wafer_component_written_t done,
                                                 void* env, void (*finalizer)(void*)) {
  auto told = written(done, env, finalizer);
  if (!e->size) return no_numbers();
  const auto* const first = static_cast<const uint8_t*>(numbers);
  return outcome(e->end->write(std::vector<uint8_t>(first, first + count * e->size), e->size,
                               std::move(told)));
}

wafer_error_t* wafer_component_end_read(wafer_component_end_t* e, size_t most,
                                        wafer_component_read_t done, void* env,
                                        void (*finalizer)(void*)) {
  return outcome(e->end->read(most, [done, kept = environment(env, finalizer)](
                                        std::span<ComponentVal> values, StreamState state) {
    std::vector<const wafer_component_val_t*> handles;
    handles.reserve(values.size());
    for (const ComponentVal& v : values) handles.push_back(handle(&v));
    done(kept.get(), handles.data(), handles.size(), wafer_component_end_state_t(state));
  }));
}
wafer_error_t* wafer_component_end_read_numbers(wafer_component_end_t* e, size_t most,
                                                wafer_component_read_numbers_t done, void* env,
                                                void (*finalizer)(void*)) {
  const std::shared_ptr<void> kept = environment(env, finalizer);
  const uint32_t size = e->size;
  if (!size) return no_numbers();
  return outcome(e->end->read(
      most, size, [done, kept, size](std::span<const uint8_t> bytes, StreamState state) {
        done(kept.get(), bytes.data(), bytes.size() / size, wafer_component_end_state_t(state));
      }));
}

wafer_component_post_t* wafer_component_post_new(wasm_store_t* store) {
  return create<wafer_component_post_t>(wafer_component_post_t{StorePost(scope_of(store))});
}
bool wafer_component_post_send(const wafer_component_post_t* p, void (*work)(void*), void* env,
                               void (*finalizer)(void*)) {
  return p->post([work, kept = environment(env, finalizer)] { work(kept.get()); });
}
void wafer_component_post_delete(wafer_component_post_t* p) { destroy(p); }

}  // extern "C"

#endif

/* Several results, and the types of a module's imports and exports. */
#include "common.h"

static const char kText[] =
    "(module (import \"host\" \"base\" (global i64))"
    "  (func (export \"swap\") (param i32 i64) (result i64 i32)"
    "    (i64.add (global.get 0) (local.get 1)) (local.get 0)))";

static const char* kind_name(wasm_externkind_t kind) {
  switch (kind) {
    case WASM_EXTERN_FUNC:
      return "func";
    case WASM_EXTERN_GLOBAL:
      return "global";
    case WASM_EXTERN_TABLE:
      return "table";
    case WASM_EXTERN_MEMORY:
      return "memory";
    default:
      return "other";
  }
}

int main(void) {
  wasm_engine_t* engine = wasm_engine_new();
  wasm_store_t* store = wasm_store_new(engine);
  wasm_module_t* module = module_of(store, kText);

  wasm_importtype_vec_t import_types;
  wasm_module_imports(module, &import_types);
  for (size_t i = 0; i < import_types.size; ++i) {
    const wasm_name_t* name = wasm_importtype_name(import_types.data[i]);
    printf("import %s %.*s\n",
           kind_name(wasm_externtype_kind(wasm_importtype_type(import_types.data[i]))),
           (int)name->size, name->data);
  }
  wasm_importtype_vec_delete(&import_types);

  wasm_globaltype_t* type = wasm_globaltype_new(wasm_valtype_new_i64(), WASM_CONST);
  wasm_val_t base = WASM_I64_VAL(1000);
  wasm_global_t* global = wasm_global_new(store, type, &base);
  wasm_globaltype_delete(type);
  wasm_extern_t* list[] = {wasm_global_as_extern(global)};
  wasm_extern_vec_t imports = WASM_ARRAY_VEC(list);
  wasm_instance_t* instance = instance_of(store, module, &imports);
  wasm_func_t* swap = wafer_instance_func(instance, "swap");
  printf("swap takes %zu, gives %zu\n", wasm_func_param_arity(swap), wasm_func_result_arity(swap));

  wasm_val_t in[] = {WASM_I32_VAL(5), WASM_I64_VAL(6)}, out[] = {WASM_INIT_VAL, WASM_INIT_VAL};
  wasm_val_vec_t args = WASM_ARRAY_VEC(in), results = WASM_ARRAY_VEC(out);
  if (wasm_func_call(swap, &args, &results)) return 1;
  printf("swap: %lld %d\n", (long long)out[0].of.i64, (int)out[1].of.i32);

  wasm_func_delete(swap);
  wasm_instance_delete(instance);
  wasm_global_delete(global);
  wasm_module_delete(module);
  wasm_store_delete(store);
  wasm_engine_delete(engine);
  return 0;
}

#include "echo.h"

struct exports_t_all_types_counter_t {
  uint32_t value;
};
static uint32_t alive;

exports_t_all_types_own_counter_t exports_t_all_types_constructor_counter(uint32_t start) {
  exports_t_all_types_counter_t* c = malloc(sizeof *c);
  c->value = start;
  alive++;
  return exports_t_all_types_counter_new(c);
}
uint32_t exports_t_all_types_method_counter_add(exports_t_all_types_borrow_counter_t self,
                                                uint32_t n) {
  return self->value += n;
}
exports_t_all_types_own_counter_t exports_t_all_types_static_counter_merge(
    exports_t_all_types_own_counter_t a, exports_t_all_types_borrow_counter_t b) {
  uint32_t sum = exports_t_all_types_counter_rep(a)->value + b->value;
  exports_t_all_types_counter_drop_own(a);
  return exports_t_all_types_constructor_counter(sum);
}
void exports_t_all_types_counter_destructor(exports_t_all_types_counter_t* rep) {
  alive--;
  free(rep);
}
uint32_t exports_t_all_types_alive(void) { return alive; }
uint32_t exports_t_all_types_lend(exports_t_all_types_lent_t* l) { return l->who->value + l->more; }

double exports_t_all_ops_scalars(bool a, int8_t b, uint16_t c, int64_t d, float e, double f,
                                 uint32_t g) {
  return (a ? 1 : 0) + b + c + (double)d + e + f + g;
}
void exports_t_all_ops_text(echo_string_t* s, echo_string_t* ret) { *ret = *s; }
void exports_t_all_ops_pt(exports_t_all_ops_point_t* p, exports_t_all_ops_point_t* ret) {
  *ret = *p;
}
void exports_t_all_ops_pts(exports_t_all_ops_points_t* p, exports_t_all_ops_points_t* ret) {
  *ret = *p;
}
exports_t_all_ops_perm_t exports_t_all_ops_fl(exports_t_all_ops_perm_t p) {
  return p ^ EXPORTS_T_ALL_TYPES_PERM_EXEC;
}
exports_t_all_ops_color_t exports_t_all_ops_en(exports_t_all_ops_color_t c) { return c; }
void exports_t_all_ops_sh(exports_t_all_ops_shape_t* s, exports_t_all_ops_shape_t* ret) {
  *ret = *s;
}
bool exports_t_all_ops_opt(echo_string_t* maybe_o, echo_string_t* ret) {
  if (maybe_o) *ret = *maybe_o;
  return maybe_o != NULL;
}
bool exports_t_all_ops_res(echo_result_u32_string_t* r, uint32_t* ret, echo_string_t* err) {
  if (r->is_err)
    *err = r->val.err;
  else
    *ret = r->val.ok;
  return !r->is_err;
}
bool exports_t_all_ops_res2(bool fail) { return !fail; }
void exports_t_all_ops_tup(echo_tuple3_u8_list_u16_option_tuple2_f32_u64_t* t,
                           echo_tuple3_u8_list_u16_option_tuple2_f32_u64_t* ret) {
  *ret = *t;
}
void exports_t_all_ops_many(uint64_t a, echo_string_t* b, echo_string_t* c, echo_string_t* d,
                            exports_t_all_ops_point_t* e, exports_t_all_ops_point_t* f,
                            uint8_t* maybe_g, echo_list_string_t* h, uint32_t i,
                            echo_string_t* ret) {
  uint64_t sum =
      a + b->len + c->len + d->len + e->x + e->name.len + f->x + (maybe_g ? *maybe_g : 0) + i;
  for (size_t n = 0; n < h->len; n++) sum += h->ptr[n].len;
  char text[24];
  size_t at = sizeof text;
  text[--at] = 0;
  do text[--at] = (char)('0' + sum % 10);
  while (sum /= 10);
  echo_string_dup(ret, text + at);
  echo_string_free(b);
  echo_string_free(c);
  echo_string_free(d);
  exports_t_all_types_point_free(e);
  exports_t_all_types_point_free(f);
  echo_list_string_free(h);
}
void exports_t_all_ops_nested(echo_list_list_option_string_t* l,
                              echo_list_list_option_string_t* ret) {
  *ret = *l;
}
void exports_t_all_ops_dict(echo_map_string_u32_t* m, echo_map_string_u32_t* ret) { *ret = *m; }

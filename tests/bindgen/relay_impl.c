#include "relay.h"

#define CHECK(what, condition)     \
  do {                             \
    if (!(condition)) {            \
      relay_string_dup(err, what); \
      return false;                \
    }                              \
  } while (0)

static bool same(relay_string_t* a, const char* b) {
  return a->len == strlen(b) && !memcmp(a->ptr, b, a->len);
}

// Calls everything with something, and tells what was wrong.
bool exports_relay_run(relay_string_t* name, uint32_t* ret, relay_string_t* err) {
  relay_string_t text;
  t_all_ops_text(name, &text);
  CHECK("text", text.len == name->len && !memcmp(text.ptr, name->ptr, text.len));
  relay_string_free(&text);
  CHECK("scalars", t_all_ops_scalars(true, -2, 3, 4, 0.5f, 0.25, 'A') == 1 - 2 + 3 + 4 + 0.75 + 65);
  t_all_ops_point_t p = {7, -8, {0}}, q;
  relay_string_set(&p.name, "there");
  t_all_ops_pt(&p, &q);
  CHECK("pt", q.x == 7 && q.y == -8 && same(&q.name, "there"));
  t_all_types_point_free(&q);
  t_all_ops_point_t two[2] = {p, p};
  t_all_ops_points_t list = {two, 2}, back;
  t_all_ops_pts(&list, &back);
  CHECK("pts", back.len == 2 && back.ptr[1].x == 7 && same(&back.ptr[1].name, "there"));
  t_all_ops_points_free(&back);
  CHECK("fl",
        t_all_ops_fl(T_ALL_TYPES_PERM_READ) == (T_ALL_TYPES_PERM_READ | T_ALL_TYPES_PERM_EXEC));
  CHECK("en", t_all_ops_en(T_ALL_TYPES_COLOR_DARK_BLUE) == T_ALL_TYPES_COLOR_DARK_BLUE);
  t_all_ops_shape_t s = {T_ALL_TYPES_SHAPE_CIRCLE, {.circle = 1.5f}}, r;
  t_all_ops_sh(&s, &r);
  CHECK("circle", r.tag == T_ALL_TYPES_SHAPE_CIRCLE && r.val.circle == 1.5f);
  s.tag = T_ALL_TYPES_SHAPE_AT;
  s.val.at = p;
  t_all_ops_sh(&s, &r);
  CHECK("at", r.tag == T_ALL_TYPES_SHAPE_AT && r.val.at.y == -8 && same(&r.val.at.name, "there"));
  t_all_types_shape_free(&r);
  s.tag = T_ALL_TYPES_SHAPE_WIDE;
  s.val.wide = 2.25;
  t_all_ops_sh(&s, &r);
  CHECK("wide", r.tag == T_ALL_TYPES_SHAPE_WIDE && r.val.wide == 2.25);
  CHECK("no opt", !t_all_ops_opt(NULL, &text));
  CHECK("opt", t_all_ops_opt(name, &text) && text.len == name->len);
  relay_string_free(&text);
  relay_result_u32_string_t in = {false, {.ok = 5}};
  uint32_t ok;
  relay_string_t bad;
  CHECK("ok", t_all_ops_res(&in, &ok, &bad) && ok == 5);
  in.is_err = true;
  in.val.err = p.name;
  CHECK("err", !t_all_ops_res(&in, &ok, &bad) && same(&bad, "there"));
  relay_string_free(&bad);
  CHECK("res2", t_all_ops_res2(false) && !t_all_ops_res2(true));
  uint16_t numbers[3] = {1, 2, 65535};
  relay_tuple3_u8_list_u16_option_tuple2_f32_u64_t t = {9, {numbers, 3}, {true, {0.5f, 77}}}, u;
  t_all_ops_tup(&t, &u);
  CHECK("tup", u.f0 == 9 && u.f1.len == 3 && u.f1.ptr[2] == 65535 && u.f2.is_some &&
                   u.f2.val.f0 == 0.5f && u.f2.val.f1 == 77);
  relay_tuple3_u8_list_u16_option_tuple2_f32_u64_free(&u);
  uint8_t g = 3;
  relay_string_t strings[2] = {p.name, p.name};
  relay_list_string_t h = {strings, 2};
  t_all_ops_many(1000, &p.name, &p.name, &p.name, &p, &p, &g, &h, 1, &text);
  CHECK("many", same(&text, "1048"));
  relay_string_free(&text);
  relay_option_string_t inner[2] = {{true, p.name}, {false, {0}}};
  relay_list_option_string_t middle[2] = {{inner, 2}, {NULL, 0}};
  relay_list_list_option_string_t outer = {middle, 2}, other;
  t_all_ops_nested(&outer, &other);
  CHECK("nested", other.len == 2 && other.ptr[0].len == 2 && other.ptr[0].ptr[0].is_some &&
                      !other.ptr[0].ptr[1].is_some && other.ptr[1].len == 0);
  relay_list_list_option_string_free(&other);
  relay_map_string_u32_entry_t entries[1] = {{p.name, 12}};
  relay_map_string_u32_t map = {entries, 1}, map2;
  t_all_ops_dict(&map, &map2);
  CHECK("dict", map2.len == 1 && map2.ptr[0].value == 12 && same(&map2.ptr[0].key, "there"));
  relay_map_string_u32_free(&map2);
  t_all_types_own_counter_t a = t_all_types_constructor_counter(10),
                            b = t_all_types_constructor_counter(5);
  CHECK("add", t_all_types_method_counter_add(t_all_types_borrow_counter(a), 3) == 13);
  t_all_types_own_counter_t c = t_all_types_static_counter_merge(a, t_all_types_borrow_counter(b));
  CHECK("merge", t_all_types_method_counter_add(t_all_types_borrow_counter(c), 0) == 18);
  t_all_types_lent_t lent = {t_all_types_borrow_counter(c), 4};
  CHECK("lend", t_all_types_lend(&lent) == 22);
  CHECK("two alive", t_all_types_alive() == 2);
  t_all_types_counter_drop_own(b);
  t_all_types_counter_drop_own(c);
  CHECK("none alive", t_all_types_alive() == 0);
  *ret = (uint32_t)name->len;
  relay_string_free(name);
  return true;
}
void exports_both_pt(exports_both_point_t* p, exports_both_point_t* ret) {
  t_all_ops_pt(p, ret);
  t_all_types_point_free(p);
}
void exports_both_sh(exports_both_shape_t* s, exports_both_shape_t* ret) {
  t_all_ops_sh(s, ret);
  t_all_types_shape_free(s);
}

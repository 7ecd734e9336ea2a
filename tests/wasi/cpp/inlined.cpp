// Traps in a function that is inlined into another, which is inlined into main().
namespace shapes {

template <class T>
struct Box {
  T *at;
  [[gnu::always_inline]] inline T take(int i) const {
    if (i > 2) __builtin_trap();
    return at[i];
  }
};

[[gnu::always_inline]] static inline int sum(const Box<int> &box, int n) {
  int all = 0;
  for (int i = 0; i < n; ++i) all += box.take(i);
  return all;
}

[[gnu::noinline]] int total(const Box<int> &box, int n) { return sum(box, n) + 1; }

}  // namespace shapes

int main(int argc, char **) {
  int values[] = {1, 2, 3};
  const shapes::Box<int> box{values};
  return shapes::total(box, argc + 3) == 7 ? 0 : 1;
}

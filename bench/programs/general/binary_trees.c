// Builds, walks and frees many binary trees: the allocator and recursion.
#include "../bench.h"

typedef struct Tree {
  struct Tree *left, *right;
} Tree;

static Tree* grow(int depth) {
  Tree* tree = bench_allocate(sizeof *tree);
  tree->left = depth > 0 ? grow(depth - 1) : NULL;
  tree->right = depth > 0 ? grow(depth - 1) : NULL;
  return tree;
}

static int count(const Tree* tree) {
  return tree->left == NULL ? 1 : 1 + count(tree->left) + count(tree->right);
}

static void fell(Tree* tree) {
  if (tree->left != NULL) {
    fell(tree->left);
    fell(tree->right);
  }
  free(tree);
}

int main(int argc, char** argv) {
  int deepest = bench_start(argc, argv, 17, 12);
  Tree* lasting = grow(deepest);
  for (int depth = 4; depth <= deepest; depth += 2) {
    int trees = 1 << (deepest - depth + 4);
    uint64_t nodes = 0;
    for (int i = 0; i < trees; ++i) {
      Tree* tree = grow(depth);
      nodes += (uint64_t)count(tree);
      fell(tree);
    }
    bench_add(nodes);
  }
  bench_add((uint64_t)count(lasting));
  fell(lasting);
  return bench_finish("binary_trees");
}

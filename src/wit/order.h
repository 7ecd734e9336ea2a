// An order in which everything comes after what it depends on.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "wit/source.h"

namespace wafer::wit {

struct Edge {
  uint32_t to = 0;
  Span span;  // where the dependency is written
};

struct Order {
  std::vector<uint32_t> sorted;  // keeps the given order where it can
  bool cyclic = false;
  Edge cycle;  // the edge that closes a cycle
};

namespace detail {

// Walks from the roots in order, or from the last one back.
inline Order depth_first(const std::vector<std::vector<Edge>>& edges, bool backwards) {
  enum : uint8_t { kNew, kOpen, kDone };
  Order order;
  std::vector<uint8_t> state(edges.size(), kNew);
  struct Frame {
    uint32_t node;
    size_t next;
  };
  std::vector<Frame> stack;
  for (size_t i = 0; i < edges.size(); ++i) {
    const auto root = static_cast<uint32_t>(backwards ? edges.size() - 1 - i : i);
    if (state[root] != kNew) continue;
    state[root] = kOpen;
    stack.push_back({root, 0});
    while (!stack.empty()) {
      Frame& frame = stack.back();
      if (frame.next == edges[frame.node].size()) {
        state[frame.node] = kDone;
        order.sorted.push_back(frame.node);
        stack.pop_back();
        continue;
      }
      const Edge& edge = edges[frame.node][frame.next++];
      if (state[edge.to] == kOpen) {
        order.cyclic = true;
        order.cycle = edge;
        return order;
      }
      if (state[edge.to] == kNew) {
        state[edge.to] = kOpen;
        stack.push_back({edge.to, 0});
      }
    }
  }
  return order;
}

}  // namespace detail

// Sorts 0..edges.size()-1. Linear, and without recursion: chains may be long.
inline Order topological_order(const std::vector<std::vector<Edge>>& edges) {
  Order order = detail::depth_first(edges, /*backwards=*/false);
  // Of a cycle, what was written last is named: that is likely what was added.
  return order.cyclic ? detail::depth_first(edges, /*backwards=*/true) : order;
}

}  // namespace wafer::wit

// Components that are made of others (`wafer component plug` and `compose`).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/span.h"

namespace wafer::compose {

struct Graph {
  // An export of an instance, by its name; all of the instance if the name is empty.
  struct Source {
    size_t instance = 0;
    std::string name;
  };
  // An import that is filled with one thing.
  struct Link {
    std::string import;
    Source from;
  };
  // An instance of a component. Imports get what links say, then what one of `with` exports
  // under a name that matches; what is left is imported from outside.
  struct Instance {
    std::string name;
    size_t component = 0;
    std::vector<Link> links;
    std::vector<size_t> with;  // instances before this one
  };
  struct Export {
    Source from;
    std::string as;  // another name, if it is not empty
  };

  std::vector<std::string> files;  // of the components
  std::vector<Instance> instances;
  std::vector<Export> exports;
};

// Reads the script form, line by line ("#" begins a comment):
//   let NAME = "FILE" [with ITEM, ITEM...]    ITEM: NAME, or "IMPORT" = NAME."EXPORT"
//   export NAME[."EXPORT"] [as "OTHER"]
// Malformed gives line and column.
Result<Graph> parse_graph(std::string_view script);

// The graph that puts exports of `plugs` into imports of `socket` and exports what that does.
// Components are numbered by their order in the arguments, the socket being 0.
Graph plug_graph(size_t plugs);

// The component that a graph of `components`, in the order of its files, makes. Malformed or
// Invalid if one of them is, if a link names what is not there, if something that is linked does
// not fit, or, with `all_used`, if there is an instance of which nothing is used.
Result<Vec<uint8_t>> compose(const Graph& graph, const std::vector<Bytes>& components,
                             bool all_used = false);

}  // namespace wafer::compose

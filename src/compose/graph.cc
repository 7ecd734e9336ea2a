#include "compose/graph.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <memory>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "component/names.h"
#include "wit/decode.h"
#include "wit/encode.h"
#include "wit/merge.h"

namespace wafer::compose {

namespace {

namespace cm = component;
using wit::ItemKind;

Error invalid(const std::string& what) { return {ErrorKind::Invalid, what}; }

// ---- Scripts ------------------------------------------------------------------------

class ScriptReader {
 public:
  explicit ScriptReader(std::string_view text) : text_(text) {}

  Result<Graph> run() {
    WAFER_TRY(next());
    while (token_.kind != Kind::End) {
      if (token_.kind == Kind::Newline) {
        WAFER_TRY(next());
      } else if (token_.text == "let" && token_.kind == Kind::Word) {
        WAFER_TRY(let());
      } else if (token_.text == "export" && token_.kind == Kind::Word) {
        WAFER_TRY(export_());
      } else {
        return error("expected `let` or `export`");
      }
    }
    if (out_.exports.empty()) return error("the script exports nothing");
    return std::move(out_);
  }

 private:
  enum class Kind : uint8_t { Word, String, Sign, Newline, End };
  struct Token {
    Kind kind = Kind::End;
    std::string_view text;
  };

  Error error(const std::string& what) const {
    const std::string_view before = text_.substr(0, start_);
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    const size_t column = start_ - (before.rfind('\n') + 1) + 1;
    return {ErrorKind::Malformed,
            std::to_string(line) + ":" + std::to_string(column) + ": " + what};
  }

  Result<void> next() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\r'))
      ++at_;
    if (at_ < text_.size() && text_[at_] == '#')
      at_ = std::min(text_.find('\n', at_), text_.size());
    start_ = at_;
    if (at_ == text_.size()) {
      token_ = {Kind::End, {}};
      return {};
    }
    const char c = text_[at_];
    const auto word = [](char x) {
      return (x >= 'a' && x <= 'z') || (x >= 'A' && x <= 'Z') || (x >= '0' && x <= '9') ||
             x == '-' || x == '_';
    };
    if (c == '\n' || c == ';') {
      token_ = {Kind::Newline, text_.substr(at_++, 1)};
    } else if (c == '"') {
      const size_t end = text_.find_first_of("\"\n", at_ + 1);
      if (end == text_.npos || text_[end] != '"') return error("a string without an end");
      token_ = {Kind::String, text_.substr(at_ + 1, end - at_ - 1)};
      at_ = end + 1;
    } else if (word(c)) {
      size_t end = at_;
      while (end < text_.size() && word(text_[end])) ++end;
      token_ = {Kind::Word, text_.substr(at_, end - at_)};
      at_ = end;
    } else {
      token_ = {Kind::Sign, text_.substr(at_++, 1)};
    }
    return {};
  }

  bool is_sign(char c) const { return token_.kind == Kind::Sign && token_.text[0] == c; }
  bool is_word(std::string_view w) const { return token_.kind == Kind::Word && token_.text == w; }

  Result<std::string> take(Kind kind, const char* what) {
    if (token_.kind != kind) return error(std::string("expected ") + what);
    std::string out(token_.text);
    WAFER_TRY(next());
    return out;
  }
  Result<void> end_of_statement() {
    if (token_.kind != Kind::Newline && token_.kind != Kind::End)
      return error("expected the end of the line");
    return {};
  }

  Result<size_t> instance() {
    const size_t at = start_;
    WAFER_LET(name, take(Kind::Word, "the name of an instance"));
    if (const auto it = instances_.find(name); it != instances_.end()) return it->second;
    start_ = at;
    return error("there is no instance `" + name + "` yet");
  }

  Result<Graph::Source> source() {
    Graph::Source out;
    WAFER_LET(i, instance());
    out.instance = i;
    if (is_sign('.')) {
      WAFER_TRY(next());
      WAFER_LET(name, take(Kind::String, "the name of an export in quotes"));
      out.name = name;
    }
    return out;
  }

  Result<void> let() {
    WAFER_TRY(next());
    Graph::Instance made;
    const size_t at = start_;
    WAFER_LET(name, take(Kind::Word, "a name"));
    if (instances_.contains(name)) {
      start_ = at;
      return error("there is an instance `" + name + "` already");
    }
    made.name = name;
    if (!is_sign('=')) return error("expected `=`");
    WAFER_TRY(next());
    WAFER_LET(file, take(Kind::String, "the component's file in quotes"));
    const auto [known, fresh] = files_.try_emplace(file, out_.files.size());
    made.component = known->second;
    if (fresh) out_.files.push_back(file);
    if (is_word("with")) {
      do {
        WAFER_TRY(next());
        while (token_.kind == Kind::Newline) WAFER_TRY(next());
        if (token_.kind == Kind::String) {
          Graph::Link link;
          link.import = token_.text;
          WAFER_TRY(next());
          if (!is_sign('=')) return error("expected `=`");
          WAFER_TRY(next());
          WAFER_LET(from, source());
          link.from = from;
          made.links.push_back(std::move(link));
        } else {
          WAFER_LET(i, instance());
          made.with.push_back(i);
        }
      } while (is_sign(','));
    }
    instances_.emplace(name, out_.instances.size());
    out_.instances.push_back(std::move(made));
    return end_of_statement();
  }

  Result<void> export_() {
    WAFER_TRY(next());
    Graph::Export e;
    WAFER_LET(from, source());
    e.from = from;
    if (is_word("as")) {
      WAFER_TRY(next());
      WAFER_LET(name, take(Kind::String, "a name in quotes"));
      e.as = name;
    }
    out_.exports.push_back(std::move(e));
    return end_of_statement();
  }

  std::string_view text_;
  size_t at_ = 0, start_ = 0;
  Token token_;
  Graph out_;
  std::unordered_map<std::string, size_t> instances_, files_;  // places in out_
};

// ---- Composition --------------------------------------------------------------------

cm::DecodeOptions all_features() {
  cm::DecodeOptions out;
  for (unsigned f = 0; f < unsigned(cm::Feature::None); ++f) out.features.set(cm::Feature(f));
  out.core_features = wasm::FeatureSet::all();
  return out;
}

// Imports or exports by name, and by what compatible versions have in common.
class Names {
 public:
  explicit Names(const cm::EntityList& list) {
    for (const cm::NamedEntity& e : list) {
      same_.try_emplace(e.name, &e);
      compatible_.try_emplace(cm::common_name(e.name), &e);
    }
  }
  const cm::NamedEntity* same(std::string_view name) const { return find(same_, name); }
  const cm::NamedEntity* find(std::string_view name) const {
    const cm::NamedEntity* const e = same(name);
    return e ? e : find(compatible_, cm::common_name(name));
  }

 private:
  using Index = std::unordered_map<std::string_view, const cm::NamedEntity*>;
  static const cm::NamedEntity* find(const Index& index, std::string_view name) {
    const auto it = index.find(name);
    return it == index.end() ? nullptr : it->second;
  }
  Index same_, compatible_;
};

class Composer {
 public:
  // With `export_types`, interfaces that exports have types of are exported as well.
  Composer(const Graph& graph, const std::vector<Bytes>& bytes, bool export_types)
      : g_(graph), bytes_(bytes), export_types_(export_types) {}

  // Whether it was all but that the whole is not valid.
  bool invalid_as_a_whole() const { return invalid_; }

  Result<Vec<uint8_t>> run(bool all_used) {
    for (size_t i = 0; i < bytes_.size(); ++i) {
      auto decoded = cm::decode(bytes_[i], all_features());
      if (!decoded.ok())
        return Error(decoded.error().kind, file(i) + ": " + std::string(decoded.error().message));
      if (wit::is_package(**decoded))
        return invalid(file(i) + ": is a WIT package in binary form; a component was expected");
      components_.push_back(*decoded);
      imports_.emplace_back((*decoded)->shape().imports);
      exports_.emplace_back((*decoded)->shape().exports);
    }
    worlds_.resize(components_.size());
    used_.resize(g_.instances.size());
    for (const Graph::Export& e : g_.exports) used_[e.from.instance] = true;
    WAFER_TRY(link());
    for (size_t i = 0; i < g_.instances.size(); ++i) {
      if (all_used && !used_[i]) return unused(file(g_.instances[i].component), i, wanted());
      for (const size_t other : g_.instances[i].with)
        if (!all_used && !gives(other, i))
          return unused("`" + g_.instances[other].name + "`", other,
                        names(shape(i).imports, "nothing"));
    }
    WAFER_TRY(import_the_rest());
    for (Bytes b : bytes_) embedded_.push_back(out_.component(b));
    for (size_t i = 0; i < g_.instances.size(); ++i) instantiate(i);
    for (const Graph::Export& e : g_.exports) WAFER_TRY(export_(e));
    Vec<uint8_t> bytes = out_.finish();
    auto valid = cm::decode({bytes.data(), bytes.size()}, all_features());
    invalid_ = !valid.ok();
    if (invalid_)
      return invalid("the components do not fit together: " + std::string(valid.error().message));
    return bytes;
  }

 private:
  std::string file(size_t component) const {
    return component < g_.files.size() && !g_.files[component].empty()
               ? "`" + g_.files[component] + "`"
               : "component " + std::to_string(component);
  }
  const cm::Shape& shape(size_t instance) const {
    return components_[g_.instances[instance].component]->shape();
  }
  static std::string names(const cm::EntityList& list, const char* none) {
    std::string out;
    for (const cm::NamedEntity& e : list) out += (out.empty() ? "`" : ", `") + e.name + "`";
    return out.empty() ? none : out;
  }
  std::string wanted() const {
    std::string out;
    for (size_t i = 0; i < g_.instances.size(); ++i)
      if (!g_.instances[i].with.empty()) out += names(shape(i).imports, "nothing");
    return out;
  }

  Error unused(const std::string& what, size_t instance, const std::string& wanted) const {
    return invalid("nothing of " + what + " fits an import; it exports " +
                   names(shape(instance).exports, "nothing") + ", and wanted is " + wanted);
  }
  // Whether an instance fills an import of another.
  bool gives(size_t instance, size_t to) const {
    return std::any_of(sources_[to].begin(), sources_[to].end(),
                       [&](const auto& s) { return s.second.instance == instance; });
  }

  // Of an instance's component.
  const Names& imports(size_t instance) const { return imports_[g_.instances[instance].component]; }
  const Names& exports(size_t instance) const { return exports_[g_.instances[instance].component]; }

  Result<void> link() {
    sources_.resize(g_.instances.size());
    for (size_t i = 0; i < g_.instances.size(); ++i) {
      const Graph::Instance& instance = g_.instances[i];
      for (const Graph::Link& l : instance.links) {
        const cm::NamedEntity* const import = imports(i).find(l.import);
        if (!import)
          return invalid("`" + instance.name + "` has no import `" + l.import + "`; it imports " +
                         names(shape(i).imports, "nothing"));
        // Of a whole instance, what has the import's name.
        const std::string& wanted = l.from.name.empty() ? import->name : l.from.name;
        const cm::NamedEntity* e = exports(l.from.instance).find(wanted);
        if (!e)
          return invalid("`" + g_.instances[l.from.instance].name + "` has no export `" + wanted +
                         "`; it exports " + names(shape(l.from.instance).exports, "nothing"));
        if (e->entity.sort != import->entity.sort)
          return invalid("`" + instance.name + "` imports `" + import->name + "`: expected " +
                         std::string(cm::sort_name(import->entity.sort)) + ", found " +
                         std::string(cm::sort_name(e->entity.sort)) + " `" + e->name + "` of `" +
                         g_.instances[l.from.instance].name + "`");
        sources_[i][import->name] = {l.from.instance, e->name};
        used_[l.from.instance] = true;
      }
      for (const cm::NamedEntity& import : shape(i).imports) {
        if (sources_[i].contains(import.name)) continue;
        for (size_t other : instance.with) {
          const cm::NamedEntity* e = exports(other).find(import.name);
          if (!e || e->entity.sort != import.entity.sort) continue;
          sources_[i][import.name] = {other, e->name};
          used_[other] = true;
          break;
        }
      }
    }
    return {};
  }

  // What no instance gives is imported. Several may import one interface, each another part.
  Result<void> import_the_rest() {
    wit::World world;
    world.name = "root";
    wit::Package package;
    package.name = {"root", "composition", ""};
    package.worlds = {0};
    resolve_.packages.push_back(package);
    resolve_.worlds.push_back(world);
    for (size_t i = 0; i < g_.instances.size(); ++i) {
      if (!used_[i]) continue;
      auto theirs = wit::world_of(*components_[g_.instances[i].component]);
      if (!theirs.ok())
        return invalid(file(g_.instances[i].component) + ": " +
                       std::string(theirs.error().message));
      // Of its world only the imports that are left, in a package of its own.
      wit::Resolve& r = theirs->resolve;
      const wit::WorldId w = r.packages[theirs->main].worlds[0];
      r.packages[theirs->main].name = {"root", "part-" + std::to_string(i), ""};
      auto& imports = r.worlds[w].imports;
      r.worlds[w].exports.clear();
      std::unordered_set<wit::InterfaceId> needed;
      std::vector<wit::WorldItem> left;  // from the last to the first
      for (size_t n = imports.size(); n-- > 0;) {
        const wit::WorldItem& item = imports[n];
        const std::string name = item.name.empty() ? r.interface_name(item.interface) : item.name;
        const bool filled = sources_[i].contains(name);
        // An interface whose types others use has to be there for these.
        if (filled && !(item.kind == ItemKind::Interface && needed.contains(item.interface)))
          continue;
        if (item.kind == ItemKind::Interface)
          for (wit::InterfaceId need : wit::interface_dependencies(r, item.interface))
            needed.insert(need);
        left.push_back(std::move(imports[n]));
      }
      imports.assign(std::make_move_iterator(left.rbegin()), std::make_move_iterator(left.rend()));
      auto map = wit::merge(resolve_, r);
      if (!map.ok())
        return invalid("imports of `" + g_.instances[i].name +
                       "` and of others differ: " + std::string(map.error().message));
      auto merged = wit::merge_worlds(resolve_, map->worlds[w], 0);
      if (!merged.ok())
        return invalid("imports of `" + g_.instances[i].name +
                       "` and of others differ: " + std::string(merged.error().message));
    }
    imported_.emplace(resolve_, 0, out_);
    imported_->encode([](wit::TypeId) { return true; },
                      [](size_t, const wit::Function&) { return true; });
    const auto& imports = resolve_.worlds[0].imports;
    for (size_t n = 0; n < imports.size(); ++n) {
      const wit::WorldItem& item = imports[n];
      const std::string name =
          item.name.empty() ? resolve_.interface_name(item.interface) : item.name;
      const cm::Sort sort = item.kind == ItemKind::Interface  ? cm::Sort::Instance
                            : item.kind == ItemKind::Function ? cm::Sort::Func
                                                              : cm::Sort::Type;
      if (imported_->index(n)) outside_[name] = {sort, *imported_->index(n)};
    }
    return {};
  }

  uint32_t alias(size_t instance, const std::string& name, cm::Sort sort) {
    const auto [it, fresh] = aliases_.try_emplace({instance, name});
    if (fresh) it->second = out_.alias_export(indices_[instance], name, sort);
    return it->second;
  }

  void instantiate(size_t i) {
    indices_.push_back(0);
    if (!used_[i]) return;
    std::vector<cm::ComponentWriter::Arg> args;
    for (const cm::NamedEntity& import : shape(i).imports) {
      auto it = sources_[i].find(import.name);
      if (it != sources_[i].end()) {
        args.push_back({import.name,
                        {import.entity.sort,
                         alias(it->second.instance, it->second.name, import.entity.sort)}});
      } else if (auto out = outside_.find(import.name); out != outside_.end()) {
        args.push_back({import.name, out->second});
      }
    }
    indices_[i] = out_.instantiate(embedded_[g_.instances[i].component], args);
  }

  // Exports what gives types to an exported interface of an instance, if it is another instance.
  void export_types_of(size_t instance, const cm::NamedEntity& item) {
    if (item.entity.sort != cm::Sort::Instance) return;
    const ExportedInterfaces& theirs = exported_interfaces(g_.instances[instance].component);
    const auto interface = theirs.by_name.find(item.name);
    if (interface == theirs.by_name.end()) return;
    const wit::Resolve& r = theirs.resolve;
    for (wit::InterfaceId need : wit::interface_dependencies(r, interface->second)) {
      auto source = sources_[instance].find(r.interface_name(need));
      if (source == sources_[instance].end()) continue;
      const auto& [from, what] = source->second;
      const cm::NamedEntity* const x = exports(from).same(what);
      if (!x || !exported_.insert(what).second) continue;
      export_types_of(from, *x);
      out_.export_({what, x->attributes}, {x->entity.sort, alias(from, what, x->entity.sort)});
    }
  }

  // What a component exports as WIT has it; nothing, if that cannot be told.
  struct ExportedInterfaces {
    wit::Resolve resolve;
    std::unordered_map<std::string, wit::InterfaceId> by_name;
  };
  const ExportedInterfaces& exported_interfaces(size_t component) {
    std::unique_ptr<ExportedInterfaces>& known = worlds_[component];
    if (known) return *known;
    known = std::make_unique<ExportedInterfaces>();
    auto theirs = wit::world_of(*components_[component]);
    if (!theirs.ok()) return *known;
    known->resolve = std::move(theirs->resolve);
    const wit::Resolve& r = known->resolve;
    for (const wit::WorldItem& e : r.worlds[r.packages[theirs->main].worlds[0]].exports)
      if (e.kind == ItemKind::Interface)
        known->by_name.emplace(e.name.empty() ? r.interface_name(e.interface) : e.name,
                               e.interface);
    return *known;
  }

  Result<void> export_(const Graph::Export& e) {
    const auto one = [&](const cm::NamedEntity& item, const std::string& name) {
      if (export_types_) export_types_of(e.from.instance, item);
      if (!exported_.insert(name).second) return;
      out_.export_({name, item.attributes},
                   {item.entity.sort, alias(e.from.instance, item.name, item.entity.sort)});
    };
    if (e.from.name.empty()) {
      if (!e.as.empty()) {
        out_.export_(e.as, {cm::Sort::Instance, indices_[e.from.instance]});
        return {};
      }
      for (const cm::NamedEntity& item : shape(e.from.instance).exports) one(item, item.name);
      return {};
    }
    const cm::NamedEntity* item = exports(e.from.instance).find(e.from.name);
    if (!item)
      return invalid("`" + g_.instances[e.from.instance].name + "` has no export `" + e.from.name +
                     "`; it exports " + names(shape(e.from.instance).exports, "nothing"));
    one(*item, e.as.empty() ? item->name : e.as);
    return {};
  }

  const Graph& g_;
  const std::vector<Bytes>& bytes_;
  bool export_types_ = false, invalid_ = false;
  std::set<std::string> exported_;
  std::vector<std::shared_ptr<cm::Component>> components_;
  std::vector<Names> imports_, exports_;                     // of each component
  std::vector<std::unique_ptr<ExportedInterfaces>> worlds_;  // the same, where they were asked for
  std::vector<bool> used_;
  std::vector<std::map<std::string, Graph::Source>> sources_;  // by import
  wit::Resolve resolve_;
  cm::ComponentWriter out_;
  std::optional<wit::WorldImports> imported_;
  std::map<std::string, cm::SortIndex> outside_;
  std::vector<uint32_t> embedded_, indices_;
  std::map<std::pair<size_t, std::string>, uint32_t> aliases_;
};

}  // namespace

Result<Graph> parse_graph(std::string_view script) { return ScriptReader(script).run(); }

Graph plug_graph(size_t plugs) {
  Graph out;
  Graph::Instance socket;
  socket.name = "socket";
  for (size_t i = 0; i < plugs; ++i) {
    out.instances.push_back({"plug " + std::to_string(i + 1), i + 1, {}, {}});
    socket.with.push_back(i);
  }
  out.instances.push_back(std::move(socket));
  out.exports.push_back({{plugs, {}}, {}});
  return out;
}

Result<Vec<uint8_t>> compose(const Graph& graph, const std::vector<Bytes>& components,
                             bool all_used) {
  Composer plain(graph, components, /*export_types=*/false);
  auto out = plain.run(all_used);
  if (out.ok() || !plain.invalid_as_a_whole()) return out;
  // Types in exports need names outside, which those of the whole's inner instances have not.
  auto again = Composer(graph, components, /*export_types=*/true).run(all_used);
  return again.ok() ? std::move(again) : std::move(out);
}

}  // namespace wafer::compose

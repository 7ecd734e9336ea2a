// Packages: which there are, in which order, and what their files' names stand for.
#include <algorithm>

#include "base/semver.h"
#include "wit/scope.h"

namespace wafer::wit {

namespace {

// Calls `f` with each path to another interface or world, and which of them it has to be.
template <class F>
Result<void> each_path(const ast::Interface& interface, F&& f) {
  for (const ast::InterfaceItem& item : interface.items)
    if (const auto* use = std::get_if<ast::Use>(&item))
      WAFER_TRY(f(use->from, Entry::Kind::Interface));
  return {};
}

template <class F>
Result<void> each_path(const ast::World& world, F&& f) {
  for (const ast::WorldItem& item : world.items) {
    if (const auto* use = std::get_if<ast::Use>(&item))
      WAFER_TRY(f(use->from, Entry::Kind::Interface));
    if (const auto* include = std::get_if<ast::Include>(&item))
      WAFER_TRY(f(include->from, Entry::Kind::World));
    if (const auto* port = std::get_if<ast::Port>(&item)) {
      if (const auto* path = std::get_if<ast::UsePath>(&port->what))
        WAFER_TRY(f(*path, Entry::Kind::Interface));
      if (const auto* i = std::get_if<ast::Interface>(&port->what)) WAFER_TRY(each_path(*i, f));
    }
  }
  return {};
}

Span path_span(const ast::UsePath& path) {
  return path.package ? path.package->span : path.name.span;
}

}  // namespace

Result<PackageState*> Resolver::add_package(const ast::PackageBody& body) {
  const ast::PackagePath& path = *body.package;
  auto [it, fresh] = by_name_.try_emplace(path.name, static_cast<uint32_t>(packages_.size()));
  if (!fresh) {
    return error(path.span, "package " + ticked(path.name.text()) + " is defined twice; also at " +
                                sources_.place_text(packages_[it->second]->span));
  }
  packages_.push_back(std::make_unique<PackageState>());
  PackageState& p = *packages_.back();
  p.name = path.name;
  p.span = path.span;
  p.docs = body.docs;
  p.bodies.push_back(&body);
  return &p;
}

Result<void> Resolver::add_group(const std::vector<ast::File>& files, std::string_view path) {
  PackageState* main = nullptr;
  for (const ast::File& file : files) {
    const ast::PackageBody& body = file.main;
    if (!body.package) continue;
    if (!main) {
      WAFER_LET(package, add_package(body));
      main = package;
      continue;
    }
    if (body.package->name != main->name)
      return error(body.package->span, "package name " + ticked(body.package->name.text()) +
                                           " does not match the previous name " +
                                           ticked(main->name.text()));
    if (!body.docs.empty()) {
      if (!main->docs.empty())
        return error(body.docs_span, "found doc comments on multiple `package` items");
      main->docs = body.docs;
    }
    main->bodies.push_back(&body);
  }
  if (!main)
    return Error(ErrorKind::Invalid, std::string(path) + ": no file has a `package` header");
  main_ = by_name_[main->name];
  for (const ast::File& file : files) {
    if (!file.main.package) main->bodies.push_back(&file.main);
    for (const ast::PackageBody& nested : file.nested) WAFER_TRY(add_package(nested));
  }
  return {};
}

const PackageState* Resolver::package_of(const PackageName& name) const {
  auto it = by_name_.find(name);
  return it == by_name_.end() ? nullptr : packages_[it->second].get();
}

Result<std::vector<Edge>> Resolver::package_edges(const PackageState& package) {
  std::vector<Edge> edges;
  const auto add = [&](const ast::UsePath& path, Entry::Kind) -> Result<void> {
    if (!path.package) return {};
    auto it = by_name_.find(path.package->name);
    if (it == by_name_.end()) {
      std::string message = "package " + ticked(path.package->name.text()) + " not found; known:";
      for (const auto& [name, index] : by_name_) message += " " + name.text();
      return error(path.package->span, message);
    }
    edges.push_back({it->second, path.package->span});
    return {};
  };
  for (const ast::PackageBody* body : package.bodies) {
    for (const ast::TopItem& item : body->items) {
      if (const auto* use = std::get_if<ast::TopUse>(&item))
        WAFER_TRY(add(use->path, Entry::Kind::Interface));
      if (const auto* i = std::get_if<ast::Interface>(&item)) WAFER_TRY(each_path(*i, add));
      if (const auto* w = std::get_if<ast::World>(&item)) WAFER_TRY(each_path(*w, add));
    }
  }
  return edges;
}

Result<Resolved> Resolver::run() {
  std::vector<std::vector<Edge>> edges;
  for (const auto& package : packages_) {
    WAFER_LET(of_package, package_edges(*package));
    edges.push_back(std::move(of_package));
  }
  const Order order = topological_order(edges);
  if (order.cyclic)
    return error(order.cycle.span, "package " + ticked(packages_[order.cycle.to]->name.text()) +
                                       " creates a dependency cycle");
  for (uint32_t index : order.sorted) WAFER_TRY(resolve_package(*packages_[index]));
  Resolved result;
  result.resolve = std::move(out_);
  result.main = packages_[main_]->id;
  return result;
}

Result<bool> Resolver::included(const ast::Attributes& attributes, Span span) const {
  const Stability& s = attributes.stability;
  if (s.kind == Stability::Kind::Since || s.deprecated) {
    const std::string& has = current_->name.version;
    if (has.empty())
      return error(span, "package " + ticked(current_->name.text()) +
                             " needs a version, since a feature gate names one");
    if (s.kind == Stability::Kind::Since && compare_semver(s.text, has) > 0)
      return error(span, "feature gate refers to version " + s.text + ", which package " +
                             ticked(current_->name.text()) + " has not reached");
  }
  if (s.kind != Stability::Kind::Unstable || options_.all_features) return true;
  return std::find(options_.features.begin(), options_.features.end(), s.text) !=
         options_.features.end();
}

// What `path` stands for in a file. Packages that it names were resolved before.
Result<Entry> Resolver::look_up(const PackageState& package, const ast::PackageBody& body,
                                const ast::UsePath& path) const {
  if (path.package) {
    const PackageState* other =
        path.package->name == package.name ? &package : package_of(path.package->name);
    auto it = other->items.find(path.name.text);
    if (it == other->items.end())
      return error(path.name.span, ticked(path.name.text) + " not found in package " +
                                       ticked(path.package->name.text()));
    return it->second;
  }
  // A file's own `use` comes before the package's names; it may refer to another one.
  const auto& uses = package.uses.at(&body);
  const ast::UsePath* at = &path;
  for (size_t rounds = 0; rounds <= uses.size(); ++rounds) {
    auto use = uses.find(at->name.text);
    const ast::TopUse* found =
        use == uses.end() || at == &use->second->path ? nullptr : use->second;
    if (!found) {
      auto it = package.items.find(at->name.text);
      if (it == package.items.end())
        return error(path.name.span,
                     "interface or world " + ticked(path.name.text) + " does not exist");
      return it->second;
    }
    if (found->path.package) return look_up(package, body, found->path);
    at = &found->path;
  }
  return error(path.name.span, ticked(path.name.text) + " depends on itself");
}

Result<Entry> Resolver::wanted(const PackageState& package, const ast::PackageBody& body,
                               const ast::UsePath& path, Entry::Kind kind) const {
  WAFER_LET(entry, look_up(package, body, path));
  const char* what = kind == Entry::Kind::World ? "world" : "interface";
  if (entry.kind != kind)
    return error(path.name.span, ticked(path.name.text) + " is " +
                                     (kind == Entry::Kind::World ? "an interface, not a world"
                                                                 : "a world, not an interface"));
  if (entry.excluded)
    return error(path.name.span, std::string("found a reference to a ") + what +
                                     " whose feature gate leaves it out");
  return entry;
}

Result<void> Resolver::resolve_package(PackageState& package) {
  current_ = &package;
  package.id = static_cast<PackageId>(out_.packages.size());
  out_.packages.emplace_back();
  out_.packages.back().name = package.name;
  out_.packages.back().docs = package.docs;

  // Names first, since items refer to one another in any order. Until they have numbers of
  // their own, entries hold the item's place in `all`.
  struct Item {
    const ast::PackageBody* body;
    const ast::Interface* interface;
    const ast::World* world;
    const ast::Id& name() const { return interface ? interface->name : world->name; }
  };
  std::vector<Item> all;
  for (const ast::PackageBody* body : package.bodies) {
    std::unordered_map<std::string_view, Span> in_file;
    auto& uses = package.uses[body];
    for (const ast::TopItem& item : body->items) {
      const auto* use = std::get_if<ast::TopUse>(&item);
      const auto* interface = std::get_if<ast::Interface>(&item);
      const auto* world = std::get_if<ast::World>(&item);
      const ast::Id& name = use ? use->local() : interface ? interface->name : world->name;
      if (!use) {
        Entry entry;
        entry.kind = world ? Entry::Kind::World : Entry::Kind::Interface;
        entry.id = static_cast<uint32_t>(all.size());
        entry.package = &package;
        if (!package.items.try_emplace(name.text, entry).second)
          return error(name.span, "duplicate item named " + ticked(name.text));
        all.push_back({body, interface, world});
      }
      if (!in_file.try_emplace(name.text, name.span).second)
        return error(name.span, "duplicate name " + ticked(name.text) + " in this file");
      if (use) uses.emplace(name.text, use);
    }
  }

  std::vector<std::vector<Edge>> edges(all.size());
  for (size_t i = 0; i < all.size(); ++i) {
    const auto add = [&](const ast::UsePath& path, Entry::Kind kind) -> Result<void> {
      WAFER_LET(entry, look_up(package, *all[i].body, path));
      // Other packages' items are checked where they are used, if no gate leaves that out.
      if (entry.package != &package) return {};
      WAFER_TRY(wanted(package, *all[i].body, path, kind));
      edges[i].push_back({entry.id, path_span(path)});
      return {};
    };
    if (all[i].interface) WAFER_TRY(each_path(*all[i].interface, add));
    if (all[i].world) WAFER_TRY(each_path(*all[i].world, add));
  }
  // Top-level uses are checked even if nothing goes through them.
  for (const ast::PackageBody* body : package.bodies)
    for (const ast::TopItem& item : body->items)
      if (const auto* use = std::get_if<ast::TopUse>(&item)) {
        WAFER_LET(entry, look_up(package, *body, use->path));
        if (entry.kind != Entry::Kind::Interface && use->path.package &&
            use->path.package->name != package.name)
          return error(use->path.name.span, ticked(use->path.name.text) + " is not an interface");
      }
  const Order order = topological_order(edges);
  if (order.cyclic) {
    const ast::Id& name = all[order.cycle.to].name();
    return error(name.span, "interface or world " + ticked(name.text) + " depends on itself");
  }

  for (uint32_t index : order.sorted) {
    const Item& item = all[index];
    Entry& entry = package.items[item.name().text];
    const ast::Attributes& attributes =
        item.interface ? item.interface->attributes : item.world->attributes;
    WAFER_LET(in, included(attributes, item.name().span));
    entry.excluded = !in;
    if (item.interface) {
      if (!in) {
        // What it holds has to be left out as well.
        for (const ast::InterfaceItem& i : item.interface->items) {
          const auto* def = std::get_if<ast::TypeDef>(&i);
          const auto* func = std::get_if<ast::Func>(&i);
          if (!def && !func) continue;
          const ast::Id& name = def ? def->name : func->name;
          WAFER_LET(inner, included(def ? def->attributes : func->attributes, name.span));
          if (inner)
            return error(
                name.span,
                ticked(name.text) + " has no feature gate, but its interface is left out by one");
        }
        continue;
      }
      WAFER_LET(id, interface(package, *item.body, *item.interface, /*named=*/true));
      entry.id = id;
      out_.packages[package.id].interfaces.push_back(id);
    } else if (in) {
      WAFER_LET(id, world(package, *item.body, *item.world));
      entry.id = id;
      out_.packages[package.id].worlds.push_back(id);
    }
  }
  return {};
}

Result<Resolved> resolve(std::vector<PackageTexts> groups, const ResolveOptions& options) {
  SourceMap sources;
  // Views into texts stay good only when no further text is added, so all come first.
  std::vector<std::vector<uint32_t>> starts;
  std::vector<std::string> paths;
  for (PackageTexts& group : groups) {
    starts.emplace_back();
    paths.push_back(group.empty() ? std::string() : group.front().path);
    for (Text& text : group) {
      WAFER_LET(start, sources.add(std::move(text.path), std::move(text.text)));
      starts.back().push_back(start);
    }
  }
  std::vector<std::vector<ast::File>> files(groups.size());
  for (size_t i = 0; i < groups.size(); ++i) {
    for (uint32_t start : starts[i]) {
      WAFER_LET(file, ast::parse(sources, start));
      files[i].push_back(std::move(file));
    }
  }
  Resolver resolver(sources, options);
  for (size_t i = 0; i < groups.size(); ++i) WAFER_TRY(resolver.add_group(files[i], paths[i]));
  return resolver.run();
}

}  // namespace wafer::wit

// C++ of worlds: what bindings of hosts and of guests have in common. Every type has its place in
// namespaces ("world::ns::package::interface", those of exports in "world::exports::..."); all
// names are written in full, since those of WIT may hide others.
#pragma once

#include <set>

#include "bindgen/world.h"

namespace wafer::bindgen {

struct CppBindings {
  std::string name;    // of the file, without ending: the world's
  std::string header;  // NAME.hpp
};

// C++ for hosts of a world (`wafer bindgen host`), over wafer/bindings.hpp. Unsupported names what
// cannot be had.
Result<CppBindings> cpp_host_bindings(const wit::Resolve& resolve, wit::WorldId world);

struct CppGuestBindings {
  std::string name;     // of the files, without ending: the world's
  std::string header;   // NAME.hpp
  std::string source;   // NAME.cpp
  std::string support;  // wit.hpp
  Vec<uint8_t> object;  // NAME_component_type.o, as for C
};

// C++ for modules of a world (`wafer bindgen cpp`). Unsupported names what cannot be had.
Result<CppGuestBindings> cpp_guest_bindings(const wit::Resolve& resolve, wit::WorldId world);

class CppTypes : public WorldModel {
 public:
  CppTypes(const wit::Resolve& resolve, wit::WorldId world, std::string library);
  virtual ~CppTypes() = default;

 protected:
  // Handles as they are held in values, and what is declared of a resource before other types.
  virtual std::string own(TypeId resource, size_t side) const = 0;
  virtual std::string borrow(TypeId resource, size_t side) const = 0;
  virtual std::string declare_resource(TypeId resource, size_t side) = 0;
  // What is to follow a named type, outside of its namespace.
  virtual std::string describe(const TypeDef&, const std::string& /*name*/) { return {}; }

  // ---- Names

  // The namespace of an item's types, and the one around it.
  std::string space(const wit::WorldItem& item, size_t side) const;
  std::string outer_space(const wit::WorldItem& item, size_t side) const;
  // Of a named type: the namespace, and the name in full.
  std::string owner_space(const TypeDef& d, size_t side) const;
  std::string full_name(TypeId t, size_t side) const;
  // Classes for interfaces, for the world's exports, and for functions that it imports by itself.
  std::string class_name(const wit::WorldItem& item) const;
  std::string world_class() const;
  static constexpr std::string_view kRootClass = "Imports";
  // The name within a class whose `used` names are taken.
  std::string function_name(const wit::Function& f, bool in_resource,
                            std::set<std::string>& used) const;
  std::string type(Type t, size_t side) const;                  // "void" for none
  std::string structural(const TypeDef& d, size_t side) const;  // whatever its name is
  std::string value_type(Type t, size_t side) const;            // "Unit" for none

  // ---- Text

  // Writes `text` into a namespace.
  void put(const std::string& space, const std::string& text);
  void close_space();
  // Defines a type and those that it is made of, if they are not there yet.
  void define(Type t, size_t side);
  void define(const wit::Function& f, size_t side);

  const wit::WorldItem* item_ = nullptr;  // the imported item at hand
  const std::string library_;             // namespace of Expected and Unit
  const std::string world_space_;
  std::string out_;

 private:
  std::string path(wit::InterfaceId id) const;
  bool names_world_type(const std::string& name) const;
  std::set<std::string> world_types_;
  void define_named(TypeId id, size_t side);
  std::string variant(const TypeDef& d, const std::string& name, size_t side) const;

  std::set<std::string> defined_;
  std::string open_space_;
};

}  // namespace wafer::bindgen

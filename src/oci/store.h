// Images on this machine: a folder in the form of an OCI image layout.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/descriptor.h"
#include "oci/format/manifest.h"

namespace wafer::oci {

// Blobs by digest, and what they are called.
class Store {
 public:
  static constexpr uint64_t kMaxBlob = uint64_t{1} << 30;
  // All that an image consists of, and what it becomes when it is unpacked.
  static constexpr uint64_t kMaxImage = uint64_t{4} << 30;
  virtual ~Store() = default;
  // All of a blob, whose size and digest are right. Io, Invalid.
  Result<std::string> get(const Descriptor& descriptor) const;
  virtual bool has(const std::string& digest) const = 0;
  // Manifests and indexes with names, in order.
  virtual Result<std::vector<Descriptor>> names() const = 0;
  // The one that is called `name`; the only one if it is empty. Usage if there is none.
  Result<Descriptor> find(const std::string& name) const;

 protected:
  virtual Result<std::string> read(const std::string& digest, uint64_t limit) const = 0;
};

// A folder; the user's own is default_folder().
class Layout final : public Store {
 public:
  explicit Layout(std::string folder) : folder_(std::move(folder)) {}
  // $XDG_DATA_HOME/wafer/images or ~/.local/share/wafer/images; empty if there is neither.
  static std::string default_folder();
  bool has(const std::string& digest) const override;
  Result<std::vector<Descriptor>> names() const override;
  // Keeps a blob; gives its descriptor. Io.
  Result<Descriptor> put(std::string_view bytes, std::string media_type);
  // Calls `descriptor` by `name`, which is taken from any other.
  Result<void> set_name(const std::string& name, Descriptor descriptor);
  // Forgets a name, and all blobs that no name leads to any more. Usage if there is no such name.
  Result<void> remove(const std::string& name);
  // For who puts blobs, until they have a name: while it is open, others remove none.
  Result<UniqueFd> keep_blobs();

 protected:
  Result<std::string> read(const std::string& digest, uint64_t limit) const override;

 private:
  UniqueFd lock(const std::string& folder, int kind) const;
  Result<void> write_index(const std::vector<Descriptor>& names);
  std::string path_of(const std::string& digest) const;
  std::string folder_;
};

// An archive of `docker save`, or an OCI layout as a tar; in memory.
Result<std::unique_ptr<Store>> open_archive(const std::string& file);

// Every blob that `top` leads to, itself first.
Result<std::vector<Descriptor>> reachable(const Store& store, const Descriptor& top);

}  // namespace wafer::oci

// Values as bytes, for another process of the same build: numbers as they are in memory, one after
// the other.
//
// A structure is packed by its function `parts`, found where the structure is, which gives the
// members in a std::tie: each direction has the same.
#pragma once

#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <vector>

#include "base/span.h"

namespace wafer {

template <class T>
inline constexpr bool kPackedAsIs = std::is_arithmetic_v<T> || std::is_enum_v<T>;

class Packer {
 public:
  template <class T>
  void put(const T& value) {
    if constexpr (kPackedAsIs<T>) {
      out.append(reinterpret_cast<const char*>(&value), sizeof value);
    } else {
      std::apply([this](const auto&... part) { (this->put(part), ...); }, parts(value));
    }
  }
  template <class A>
  void put(const std::basic_string<char, std::char_traits<char>, A>& text) {
    put(std::span<const char>(text));
  }
  template <class T>
  void put(const std::optional<T>& value) {
    put(value.has_value());
    if (value) put(*value);
  }
  template <class T>
  void put(std::span<const T> list) {
    put(uint32_t(list.size()));
    if constexpr (kPackedAsIs<T>)
      out.append(reinterpret_cast<const char*>(list.data()), list.size_bytes());
    else
      for (const T& one : list) put(one);
  }
  template <class T, class A>
  void put(const std::vector<T, A>& list) {
    put(std::span<const T>(list));
  }
  template <class K, class V>
  void put(const std::map<K, V>& table) {
    put(uint32_t(table.size()));
    for (const auto& [key, value] : table) {
      put(key);
      put(value);
    }
  }
  std::string out;
};

// Each take() is false where there is too little, or what is no value.
class Unpacker {
 public:
  explicit Unpacker(std::string_view bytes) : rest_(bytes) {}
  template <class T>
  bool take(T& value) {
    if constexpr (kPackedAsIs<T>) {
      return take_bytes(&value, sizeof value);
    } else {
      return std::apply([this](auto&&... part) { return (this->take(part) && ...); }, parts(value));
    }
  }
  bool take(bool& value) {
    uint8_t byte = 0;
    if (!take(byte) || byte > 1) return false;
    value = byte;
    return true;
  }
  template <class A>
  bool take(std::basic_string<char, std::char_traits<char>, A>& text) {
    return take_all(text);
  }
  template <class T>
  bool take(std::optional<T>& value) {
    bool there = false;
    return take(there) && (!there || take(value.emplace()));
  }
  template <class T, class A>
  bool take(std::vector<T, A>& list) {
    if constexpr (kPackedAsIs<T>) {
      return take_all(list);
    } else {
      uint32_t size = 0;
      // Each takes a byte at least.
      if (!take(size) || rest_.size() < size) return false;
      list.resize(size);
      for (T& one : list)
        if (!take(one)) return false;
      return true;
    }
  }
  template <class K, class V>
  bool take(std::map<K, V>& table) {
    uint32_t size = 0;
    if (!take(size)) return false;
    for (uint32_t i = 0; i < size; ++i) {
      K key;
      if (!take(key) || !take(table[std::move(key)])) return false;
    }
    return true;
  }
  bool is_done() const { return rest_.empty(); }

 private:
  bool take_bytes(void* to, size_t size) {
    if (rest_.size() < size) return false;
    if (size > 0) std::memcpy(to, rest_.data(), size);
    rest_.remove_prefix(size);
    return true;
  }
  template <class List>
  bool take_all(List& list) {
    uint32_t count = 0;
    if (!take(count)) return false;
    const uint64_t size = uint64_t{count} * sizeof(typename List::value_type);
    if (rest_.size() < size) return false;
    list.resize(count);
    return take_bytes(list.data(), size_t(size));
  }
  std::string_view rest_;
};

template <class T>
std::string packed(const T& value) {
  Packer packer;
  packer.put(value);
  return std::move(packer.out);
}

// False if `bytes` are none of such a value, or more.
template <class T>
bool unpack_into(T& value, std::string_view bytes) {
  Unpacker unpacker(bytes);
  return unpacker.take(value) && unpacker.is_done();
}

}  // namespace wafer

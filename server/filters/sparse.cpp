// The payload of filtered updates.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "server/filters/methods.h"

namespace gossamer {
namespace {

constexpr std::size_t kEntryBytes = sizeof(std::uint32_t) + sizeof(float);

template <class T>
T value_at(std::span<const std::byte> bytes, std::size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

class SparseCodec final : public Compressor {
 public:
  CompressorTraits traits() const noexcept override {
    return {.linear = true, .unbiased = true, .norm_nonincreasing = true};
  }
  Compressed compress(SharedFloats values, std::span<float>, MessageContext, Rng&) const override {
    return encode_sparse(values.values);
  }

  Result<std::monostate> decompress_add(const Compressed& content, float weight,
                                        std::span<float> sum) const override {
    if (auto checked = check(content, sum.size()); !checked) return checked;
    visit(content, [&](std::size_t i, float value) { sum[i] += weight * value; });
    return std::monostate{};
  }
  Result<std::monostate> decompress(const Compressed& content, std::span<float> values) const override {
    if (auto checked = check(content, values.size()); !checked) return checked;
    std::ranges::fill(values, 0.0F);
    visit(content, [&](std::size_t i, float value) { values[i] = value; });
    return std::monostate{};
  }

 private:
  static bool is_dense(const Compressed& content) {
    return content.payload.size() == content.elements * sizeof(float);
  }

  // All that visit() relies on.
  static Result<std::monostate> check(const Compressed& content, std::size_t expected) {
    const auto bytes = content.payload.bytes;
    const auto malformed = [&](const std::string& why) {
      return Fault{FaultKind::malformed, "payload of " + std::to_string(bytes.size()) + " bytes for " +
                                             std::to_string(expected) + " floats: " + why};
    };
    if (content.elements != expected) return malformed("its header names another number of floats");
    if (!is_dense(content) && (bytes.size() % kEntryBytes != 0 || bytes.size() > expected * sizeof(float)))
      return malformed("neither all of them nor entries of 8 bytes");
    std::uint64_t next = 0;
    bool well = true;
    visit(content, [&](std::size_t i, float value) {
      well = well && i >= next && i < expected && std::isfinite(value);
      next = i + 1;
    });
    if (!well) return malformed("an index out of order or range, or a value that is not finite");
    return std::monostate{};
  }

  template <class Visitor>
  static void visit(const Compressed& content, Visitor visitor) {
    const auto bytes = content.payload.bytes;
    if (is_dense(content)) {
      for (std::size_t i = 0; i < content.elements; ++i)
        visitor(i, value_at<float>(bytes, i * sizeof(float)));
      return;
    }
    const std::size_t count = bytes.size() / kEntryBytes;
    for (std::size_t k = 0; k < count; ++k) {
      visitor(value_at<std::uint32_t>(bytes, k * sizeof(std::uint32_t)),
              value_at<float>(bytes, count * sizeof(std::uint32_t) + k * sizeof(float)));
    }
  }
};

}  // namespace

Compressed encode_sparse(std::span<const float> values) {
  const auto count =
      static_cast<std::size_t>(std::ranges::count_if(values, [](float value) { return value != 0; }));
  if (count * kEntryBytes >= values.size() * sizeof(float)) {
    ByteBuffer bytes(values.size() * sizeof(float));
    if (!values.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
    return {values.size(), SharedBytes::of(std::move(bytes))};
  }
  ByteBuffer bytes(count * kEntryBytes);
  std::byte* index = bytes.data();
  std::byte* entry = bytes.data() + count * sizeof(std::uint32_t);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i] == 0) continue;
    const auto where = static_cast<std::uint32_t>(i);
    std::memcpy(index, &where, sizeof where);
    std::memcpy(entry, &values[i], sizeof(float));
    index += sizeof where;
    entry += sizeof(float);
  }
  return {values.size(), SharedBytes::of(std::move(bytes))};
}

std::unique_ptr<Compressor> make_sparse_codec() { return std::make_unique<SparseCodec>(); }

}  // namespace gossamer

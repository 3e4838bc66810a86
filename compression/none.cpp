// No compression: little-endian IEEE 754 floats. Of a whole model they are sent from where they lie.
#include <algorithm>
#include <bit>
#include <cstring>

#include "compression/methods.h"
#include "core/checksum.h"
#include "core/simd.h"

namespace gossamer {
namespace {

static_assert(std::endian::native == std::endian::little, "payloads are little-endian and sent as they lie");

// How far ahead of its use the payload is asked for, and in which portions: the processor's own prefetching
// stops at the end of a page. It is read once, and should not drive the sums out of the caches.
constexpr std::size_t kAhead = 2048;
constexpr std::size_t kPortion = 1024;

// sum += weight * payload, whose bytes have any alignment.
GOSSAMER_MULTIVERSION
void add_floats(const std::byte* payload, float weight, float* __restrict sum, std::size_t n) {
  for (std::size_t begin = 0; begin < n; begin += kPortion) {
    const std::size_t end = std::min(n, begin + kPortion);
    for (std::size_t i = begin; i < end && i + kAhead < n; i += 16)
      __builtin_prefetch(payload + (i + kAhead) * sizeof(float), 0, 0);
    for (std::size_t i = begin; i < end; ++i) {
      float value;
      std::memcpy(&value, payload + i * sizeof value, sizeof value);
      sum[i] += weight * value;
    }
  }
}

Result<std::monostate> check(const Compressed& content, std::size_t expected) {
  const auto bytes = content.payload.bytes;
  if (content.elements != expected || bytes.size() != expected * sizeof(float)) {
    return Fault{FaultKind::malformed, "payload of " + std::to_string(bytes.size()) + " bytes for " +
                                           std::to_string(expected) + " floats"};
  }
  if (!content.payload.finite && !all_finite(bytes))
    return Fault{FaultKind::malformed, "payload holds NaN or infinity"};
  return std::monostate{};
}

class NoCompressor final : public Compressor {
 public:
  explicit NoCompressor(std::size_t floats) : floats_(floats) {}

  CompressorTraits traits() const noexcept override {
    return {.linear = true, .unbiased = true, .norm_nonincreasing = true};
  }
  std::optional<std::size_t> payload_bytes() const override { return floats_ * sizeof(float); }

  Compressed compress(SharedFloats values, std::span<float>, MessageContext, Rng&) const override {
    return as_they_are(std::move(values));
  }

  Result<std::monostate> decompress_add(const Compressed& content, float weight,
                                        std::span<float> sum) const override {
    if (auto checked = check(content, sum.size()); !checked) return checked;
    add_floats(content.payload.bytes.data(), weight, sum.data(), sum.size());
    return std::monostate{};
  }

  Result<std::monostate> decompress(const Compressed& content, std::span<float> values) const override {
    if (auto checked = check(content, values.size()); !checked) return checked;
    if (!values.empty()) std::memcpy(values.data(), content.payload.bytes.data(), values.size_bytes());
    return std::monostate{};
  }

 private:
  const std::size_t floats_;
};

// The same of a piece between others.
class Dense final : public Method {
 public:
  CompressorTraits traits() const noexcept override {
    return {.linear = true, .unbiased = true, .norm_nonincreasing = true};
  }
  std::size_t most_bytes(std::size_t floats) const noexcept override { return floats * sizeof(float); }
  std::optional<std::size_t> encode(std::span<const float> values, std::span<float>, EncodeContext,
                                    std::span<std::byte> payload) const override {
    const auto bytes = std::as_bytes(values);
    std::memcpy(payload.data(), bytes.data(), bytes.size());
    return all_finite(bytes) ? std::optional(bytes.size()) : std::nullopt;
  }
  bool is_valid(std::span<const std::byte> payload, std::size_t floats) const noexcept override {
    return payload.size() == floats * sizeof(float) && all_finite(payload);
  }
  void add(std::span<const std::byte> payload, float weight, std::span<float> sum) const noexcept override {
    add_floats(payload.data(), weight, sum.data(), sum.size());
  }
};

}  // namespace

std::unique_ptr<Method> make_dense() { return std::make_unique<Dense>(); }

Compressed as_they_are(SharedFloats values) {
  return {values.size(), {std::move(values.owner), std::as_bytes(values.values)}};
}

std::unique_ptr<Compressor> make_no_compressor(std::size_t floats) {
  return std::make_unique<NoCompressor>(floats);
}

}  // namespace gossamer

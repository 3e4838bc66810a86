// No compression: little-endian IEEE 754 floats, sent from where they lie.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "compression/methods.h"
#include "core/simd.h"

namespace gossamer {
namespace {

static_assert(std::endian::native == std::endian::little, "payloads are little-endian and sent as they lie");

// Reads floats from bytes of any alignment.
float float_at(std::span<const std::byte> bytes, std::size_t i) {
  float value;
  std::memcpy(&value, bytes.data() + i * sizeof(float), sizeof(float));
  return value;
}

// How far ahead of its use the payload is asked for, and in which portions: the processor's own prefetching
// stops at the end of a page. It is read once, and should not drive the sums out of the caches.
constexpr std::size_t kAhead = 2048;
constexpr std::size_t kPortion = 1024;

// sum = base + weight * payload; returns whether all of it was finite (all_finite() says why by bits).
GOSSAMER_MULTIVERSION
bool add_checked(const std::byte* payload, float weight, const float* __restrict base, float* __restrict sum,
                 std::size_t n) {
  std::uint32_t bad = 0;
  for (std::size_t begin = 0; begin < n; begin += kPortion) {
    const std::size_t end = std::min(n, begin + kPortion);
    for (std::size_t i = begin; i < end && i + kAhead < n; i += 16)
      __builtin_prefetch(payload + (i + kAhead) * sizeof(float), 0, 0);
    for (std::size_t i = begin; i < end; ++i) {
      float value;
      std::memcpy(&value, payload + i * sizeof(float), sizeof value);
      bad |= static_cast<std::uint32_t>((std::bit_cast<std::uint32_t>(value) & 0x7F800000U) == 0x7F800000U);
      sum[i] = base[i] + weight * value;
    }
  }
  return bad == 0;
}

// Finite means an exponent that is not all ones; written on bits so that the loop vectorises and survives
// -ffast-math.
bool all_finite(std::span<const std::byte> bytes) {
  std::uint32_t bad = 0;
  for (std::size_t i = 0; i < bytes.size() / sizeof(float); ++i) {
    std::uint32_t bits;
    std::memcpy(&bits, bytes.data() + i * sizeof(float), sizeof(bits));
    bad |= static_cast<std::uint32_t>((bits & 0x7F800000U) == 0x7F800000U);
  }
  return bad == 0;
}

Result<std::monostate> check_length(const Compressed& content, std::size_t expected) {
  const auto bytes = content.payload.bytes;
  if (content.elements != expected || bytes.size() != expected * sizeof(float)) {
    return Fault{FaultKind::malformed, "payload of " + std::to_string(bytes.size()) + " bytes for " +
                                           std::to_string(expected) + " floats"};
  }
  return std::monostate{};
}

Fault not_finite() { return {FaultKind::malformed, "payload holds NaN or infinity"}; }

Result<std::monostate> check(const Compressed& content, std::size_t expected) {
  if (auto checked = check_length(content, expected); !checked) return checked;
  if (!all_finite(content.payload.bytes)) return not_finite();
  return std::monostate{};
}

class NoCompressor final : public Compressor {
 public:
  std::optional<std::size_t> payload_bytes(std::size_t elements) const override {
    return elements * sizeof(float);
  }

  Compressed compress(SharedFloats values, Rng&) override {
    return {values.size(), {std::move(values.owner), std::as_bytes(values.values)}};
  }

  Result<std::monostate> decompress_add(const Compressed& content, float weight,
                                        std::span<float> sum) const override {
    if (auto checked = check(content, sum.size()); !checked) return checked;
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += weight * float_at(content.payload.bytes, i);
    return std::monostate{};
  }

  bool adds_in_one_pass() const noexcept override { return true; }
  Result<std::monostate> decompress_sum(const Compressed& content, float weight, std::span<const float> base,
                                        std::span<float> sum) const override {
    if (auto checked = check_length(content, sum.size()); !checked) return checked;
    if (!add_checked(content.payload.bytes.data(), weight, base.data(), sum.data(), sum.size()))
      return not_finite();
    return std::monostate{};
  }

  Result<std::monostate> decompress(const Compressed& content, std::span<float> values) const override {
    if (auto checked = check(content, values.size()); !checked) return checked;
    if (!values.empty()) std::memcpy(values.data(), content.payload.bytes.data(), values.size_bytes());
    return std::monostate{};
  }
};

}  // namespace

std::unique_ptr<Compressor> make_no_compressor(const Options&) { return std::make_unique<NoCompressor>(); }

}  // namespace gossamer

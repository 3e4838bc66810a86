// Top-k (Aji, Heafield: "Sparse communication for distributed gradient descent", EMNLP 2017): of each tensor
// the share compression.top_k.density of its values, at least one, that are the largest in magnitude; of
// equal ones the first. The payload is their indices (sparse_indices.h), then the values.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "compression/large_values.h"
#include "compression/methods.h"
#include "compression/random_subset.h"
#include "compression/sparse_indices.h"

namespace gossamer {
namespace {

// A threshold is guessed from so many values, in runs of a cache line.
constexpr std::size_t kSampled = 1U << 16U;
constexpr std::size_t kRun = 16;

class TopK final : public FusedMethod {
 public:
  explicit TopK(double density) : density_(density) {}

  CompressorTraits traits() const noexcept override { return {.norm_nonincreasing = true}; }
  bool by_tensor() const noexcept override { return true; }
  bool has_fixed_length() const noexcept override { return false; }
  // Encoding takes more room than the payload: for the candidates behind it.
  std::size_t most_bytes(std::size_t floats) const noexcept override {
    return payload_bytes(floats) + alignof(float) + 3 * floats * sizeof(float);
  }

  bool is_valid(std::span<const std::byte> payload, std::size_t floats) const noexcept override {
    const std::size_t k = kept(floats);
    if (payload.size() < k * sizeof(float)) return false;
    const IndexCode code(floats, k);
    IndexCode::Reader reader(code, payload.first(payload.size() - k * sizeof(float)));
    for (std::size_t i = 0; i < k; ++i) {
      if (!reader.next()) return false;
    }
    if (!reader.is_at_end()) return false;
    const std::byte* const sent = payload.data() + payload.size() - k * sizeof(float);
    for (std::size_t i = 0; i < k; ++i) {
      float value;
      std::memcpy(&value, sent + i * sizeof value, sizeof value);
      if (!std::isfinite(value)) return false;
    }
    return true;
  }
  void add(std::span<const std::byte> payload, float weight, std::span<float> sum) const noexcept override {
    const std::size_t k = kept(sum.size());
    const IndexCode code(sum.size(), k);
    const std::size_t index_bytes = payload.size() - k * sizeof(float);
    IndexCode::Reader reader(code, payload.first(index_bytes));
    // In portions, whose places in the sum are asked for before they are used.
    std::array<std::uint32_t, 64> indices;
    for (std::size_t begin = 0; begin < k; begin += indices.size()) {
      const std::size_t count = std::min(indices.size(), k - begin);
      for (std::size_t i = 0; i < count; ++i) {
        indices[i] = *reader.next();
        __builtin_prefetch(&sum[indices[i]], 1);
      }
      for (std::size_t i = 0; i < count; ++i) {
        float value;
        std::memcpy(&value, payload.data() + index_bytes + (begin + i) * sizeof value, sizeof value);
        sum[indices[i]] += weight * value;
      }
    }
  }

 private:
  std::size_t kept(std::size_t floats) const noexcept { return share_of(density_, floats); }
  std::size_t payload_bytes(std::size_t floats) const noexcept {
    return IndexCode(floats, kept(floats)).most_bytes() + kept(floats) * sizeof(float);
  }

  std::optional<std::size_t> write(std::span<const float> values, float* residual, EncodeContext,
                                   std::span<std::byte> payload) const override {
    const std::size_t n = values.size(), k = kept(n);
    void* behind = payload.data() + payload_bytes(n);
    std::size_t room = payload.size() - payload_bytes(n);
    auto* const listed = static_cast<float*>(std::align(alignof(float), 3 * n * sizeof(float), behind, room));
    float* const magnitudes = listed + n;
    auto* const indices = reinterpret_cast<std::uint32_t*>(magnitudes + n);

    float threshold = guess(values, residual, k, magnitudes);
    std::size_t count = list_large_values(values.data(), residual, n, threshold, indices, listed);
    if (residual != nullptr) values = {residual, n};
    for (; count<k; threshold = threshold> 1e-30F ? threshold / 2 : 0)
      count = list_large_values(values.data(), nullptr, n, threshold, indices, listed);
    if (count == SIZE_MAX) return std::nullopt;

    // The k-th largest magnitude; then all above it, and as many equal ones as there is room for.
    for (std::size_t i = 0; i < count; ++i) magnitudes[i] = std::abs(listed[i]);
    std::nth_element(magnitudes, magnitudes + (k - 1), magnitudes + count, std::greater<>());
    const float least = magnitudes[k - 1];
    std::size_t equal = k;
    for (std::size_t i = 0; i + 1 < k; ++i) equal -= magnitudes[i] > least ? 1 : 0;
    std::size_t sent = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const float magnitude = std::abs(listed[i]);
      if (magnitude < least || (magnitude == least && equal == 0)) continue;
      if (magnitude == least) --equal;
      listed[sent] = listed[i];
      indices[sent++] = indices[i];
    }
    if (residual != nullptr) {
      for (std::size_t i = 0; i < k; ++i) residual[indices[i]] = 0;
    }
    const std::size_t length = IndexCode(n, k).encode({indices, k}, payload.data());
    std::memcpy(payload.data() + length, listed, k * sizeof(float));
    return length + k * sizeof(float);
  }

  // A magnitude that rather more than k values are likely to have.
  static float guess(std::span<const float> values, const float* residual, std::size_t k, float* scratch) {
    const std::size_t n = values.size();
    const std::size_t runs = std::max<std::size_t>(1, std::min(n, kSampled) / kRun);
    std::size_t count = 0;
    for (std::size_t run = 0; run < runs; ++run) {
      const std::size_t begin = n / runs * run;
      const std::size_t end = std::min(n, begin + std::min(kRun, n / runs));
      for (std::size_t i = begin; i < end; ++i)
        scratch[count++] = std::abs(residual == nullptr ? values[i] : values[i] + residual[i]);
    }
    const double expected = static_cast<double>(k) * static_cast<double>(count) / static_cast<double>(n);
    const auto rank = static_cast<std::size_t>(expected + 3 * std::sqrt(expected) + 2);
    if (rank >= count) return 0;
    std::nth_element(scratch, scratch + rank, scratch + count, std::greater<>());
    return std::isfinite(scratch[rank]) ? scratch[rank] : 0;
  }

  const double density_;
};

}  // namespace

std::unique_ptr<Method> make_top_k(const Options& options) {
  return std::make_unique<TopK>(options.real("compression.top_k.density"));
}

}  // namespace gossamer

// Threshold quantization (Strom: "Scalable distributed DNN training using commodity GPU cloud computing",
// Interspeech 2015): of each value that is at least compression.threshold.tau away from zero that very tau,
// with its sign; what is more, and all that is less, is left to the residual. The payload is how many travel
// (u32), their indices (sparse_indices.h), and a bit for each, 1 where it is negative.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>

#include "compression/large_values.h"
#include "compression/methods.h"
#include "compression/sparse_indices.h"

namespace gossamer {
namespace {

class Threshold final : public FusedMethod {
 public:
  explicit Threshold(float tau) : tau_(tau) {}

  CompressorTraits traits() const noexcept override { return {.norm_nonincreasing = true}; }
  bool has_fixed_length() const noexcept override { return false; }
  std::size_t most_bytes(std::size_t floats) const noexcept override {
    return sizeof(Count) + IndexCode::most_bytes(floats) + (floats + 7) / 8;
  }
  std::size_t scratch_bytes(std::size_t floats) const noexcept override {
    return alignof(float) + 2 * (floats + kListPadding) * sizeof(float);
  }

  bool is_valid(std::span<const std::byte> payload, std::size_t floats) const noexcept override {
    const auto count = count_of(payload);
    if (!count || *count > floats) return false;
    if (*count == 0) return payload.size() == sizeof(Count);
    const std::size_t signs = (*count + 7) / 8;
    if (payload.size() < sizeof(Count) + signs) return false;
    const IndexCode code(floats, *count);
    IndexCode::Reader reader(code, payload.subspan(sizeof(Count), payload.size() - sizeof(Count) - signs));
    for (std::size_t i = 0; i < *count; ++i) {
      if (!reader.next()) return false;
    }
    const std::size_t used = *count % 8;
    return reader.is_at_end() && (used == 0 || std::to_integer<unsigned>(payload.back()) >> used == 0);
  }
  void add(std::span<const std::byte> payload, float weight, std::span<float> sum) const noexcept override {
    const std::size_t count = *count_of(payload);
    if (count == 0) return;
    const auto signs = payload.last((count + 7) / 8);
    const IndexCode code(sum.size(), count);
    IndexCode::Reader reader(code,
                             payload.subspan(sizeof(Count), payload.size() - sizeof(Count) - signs.size()));
    for (std::size_t i = 0; i < count; ++i) {
      const bool negative = (std::to_integer<unsigned>(signs[i / 8]) >> (i % 8) & 1U) != 0;
      sum[*reader.next()] += weight * (negative ? -tau_ : tau_);
    }
  }

 private:
  using Count = std::uint32_t;

  static std::optional<std::size_t> count_of(std::span<const std::byte> payload) noexcept {
    Count count;
    if (payload.size() < sizeof count) return std::nullopt;
    std::memcpy(&count, payload.data(), sizeof count);
    return count;
  }

  std::optional<std::size_t> write(std::span<const float> values, float* residual, EncodeContext,
                                   std::span<std::byte> payload) const override {
    const std::size_t n = values.size();
    void* behind = payload.data() + most_bytes(n);
    std::size_t room = payload.size() - most_bytes(n);
    const std::size_t list = n + kListPadding;
    auto* const listed =
        static_cast<float*>(std::align(alignof(float), 2 * list * sizeof(float), behind, room));
    auto* const indices = reinterpret_cast<std::uint32_t*>(listed + list);
    const std::size_t count = list_large_values(values.data(), residual, n, tau_, indices, listed);
    if (count == SIZE_MAX) return std::nullopt;

    const auto written = static_cast<Count>(count);
    std::memcpy(payload.data(), &written, sizeof written);
    std::size_t length = sizeof written;
    if (count == 0) return length;
    length += IndexCode(n, count).encode({indices, count}, payload.data() + length);
    std::fill_n(payload.data() + length, (count + 7) / 8, std::byte{0});
    for (std::size_t i = 0; i < count; ++i) {
      const bool negative = listed[i] < 0;
      if (negative) payload[length + i / 8] |= static_cast<std::byte>(1U << (i % 8));
      if (residual != nullptr) residual[indices[i]] -= negative ? -tau_ : tau_;
    }
    return length + (count + 7) / 8;
  }

  const float tau_;
};

}  // namespace

std::unique_ptr<Method> make_threshold(const Options& options) {
  return std::make_unique<Threshold>(static_cast<float>(options.real("compression.threshold.tau")));
}

}  // namespace gossamer

// Deep gradient compression (Lin, Han, Mao, Wang, Dally, ICLR 2018): of each tensor the share
// compression.dgc.density of its values, at least one, that are the largest in magnitude, of equal ones the
// first; the others are left to error feedback, which is part of the method. So are, unless switched off,
// momentum correction with factor masking, and local clipping (momentum_correction.cpp).
//
// Over the first compression.dgc.warmup_rounds rounds the share falls in four equal steps, as it does in the
// paper: 25%, 6.25%, 1.5625%, 0.390625%; it is never below compression.dgc.density. A receiver does not know
// the sender's round: the payload is how many values travel (u32), and these (sparse_floats.h).
#include <algorithm>
#include <cstring>

#include "compression/dgc_schedule.h"
#include "compression/methods.h"
#include "compression/sparse_floats.h"

namespace gossamer {
namespace {

class Dgc final : public FusedMethod {
 public:
  explicit Dgc(DgcSchedule schedule) : schedule_(schedule) {}

  CompressorTraits traits() const noexcept override { return {.norm_nonincreasing = true}; }
  bool by_tensor() const noexcept override { return true; }
  bool has_fixed_length() const noexcept override { return false; }
  std::size_t most_bytes(std::size_t floats) const noexcept override {
    std::size_t most = 0;
    for (const double density : schedule_.densities())
      most = std::max(most, sizeof(Count) + most_sparse_bytes(floats, kept_values(density, floats)));
    return most;
  }
  std::size_t scratch_bytes(std::size_t floats) const noexcept override { return choice_bytes(floats); }

  std::optional<EncodedVelocity> encode_velocity_with_residual(std::span<const float> values,
                                                               const Momentum& momentum,
                                                               std::span<float> residual,
                                                               EncodeContext context,
                                                               std::span<std::byte> payload) const override {
    const std::size_t n = values.size();
    const auto chosen =
        choose_largest(values, momentum, residual.data(), kept_values(schedule_.density_in(context.round), n),
                       payload.subspan(most_bytes(n)));
    if (!chosen) return std::nullopt;
    return encoded_velocity(*chosen, write(chosen->largest, n, payload));
  }

  bool is_valid(std::span<const std::byte> payload, std::size_t floats) const noexcept override {
    if (payload.size() < sizeof(Count)) return false;
    const std::size_t k = count_of(payload);
    const bool is_known = std::ranges::any_of(
        schedule_.densities(), [&](double density) { return k == kept_values(density, floats); });
    return is_known && is_valid_sparse(payload.subspan(sizeof(Count)), floats, k);
  }
  void add(std::span<const std::byte> payload, float weight, std::span<float> sum) const noexcept override {
    add_sparse(payload.subspan(sizeof(Count)), count_of(payload), weight, sum);
  }

 private:
  using Count = std::uint32_t;

  static std::size_t count_of(std::span<const std::byte> payload) noexcept {
    Count count;
    std::memcpy(&count, payload.data(), sizeof count);
    return count;
  }

  std::optional<std::size_t> write(std::span<const float> values, float* residual, EncodeContext context,
                                   std::span<std::byte> payload) const override {
    const std::size_t n = values.size(), k = kept_values(schedule_.density_in(context.round), n);
    const auto chosen = choose_largest(values, residual, k, payload.subspan(most_bytes(n)));
    return chosen ? std::optional(write(*chosen, n, payload)) : std::nullopt;
  }

  static std::size_t write(const SparseFloats& chosen, std::size_t floats, std::span<std::byte> payload) {
    const auto count = static_cast<Count>(chosen.indices.size());
    std::memcpy(payload.data(), &count, sizeof count);
    return sizeof count + write_sparse(chosen, floats, payload.data() + sizeof count);
  }

  const DgcSchedule schedule_;
};

}  // namespace

std::unique_ptr<Method> make_dgc(const Options& options) {
  return std::make_unique<Dgc>(
      DgcSchedule(options.real("compression.dgc.density"), options.integer("compression.dgc.warmup_rounds")));
}

}  // namespace gossamer

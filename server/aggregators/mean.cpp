// Weighted mean over the cohort that answered: sum of (n_k / m_t) * update_k with m_t the sum of the n_k that
// took part, not of the whole population (the renormalisation that McMahan et al.'s erratum makes).
#include <algorithm>

#include "server/aggregators/methods.h"

namespace gossamer {
namespace {

class Mean final : public Aggregator {
 public:
  bool is_elementwise() const noexcept override { return true; }
  void begin(std::size_t size) override {
    sum_.resize(size);
    std::ranges::fill(sum_, 0.0F);
    total_ = 0;
  }

  Result<std::monostate> accumulate(const Compressed& update, double weight,
                                    const Compressor& compressor) override {
    const auto factor = static_cast<float>(weight);
    auto added = compressor.decompress_add(update, factor, sum_);
    if (!added) return added;
    total_ += weight;
    return added;
  }

  void accumulate(std::span<const float> update, double weight) override {
    const auto factor = static_cast<float>(weight);
    for (std::size_t i = 0; i < sum_.size(); ++i) sum_[i] += factor * update[i];
    total_ += weight;
  }

  void finish(std::span<float> pseudo_gradient, std::optional<double> denominator) override {
    const double divisor = denominator.value_or(total_);
    for (std::size_t i = 0; i < sum_.size(); ++i) {
      pseudo_gradient[i] = static_cast<float>(static_cast<double>(sum_[i]) / divisor);
    }
  }

 private:
  FloatBuffer sum_;
  double total_ = 0;
};

}  // namespace

std::unique_ptr<Aggregator> make_mean(const Options&) { return std::make_unique<Mean>(); }

}  // namespace gossamer

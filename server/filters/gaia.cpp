// Gaia's significance filter (Hsieh, Harlap, Vijaykumar, Konomis, Ganger, Gibbons, Mutlu: "Gaia:
// geo-distributed machine learning approaching LAN speeds", NSDI 2017): updates add up until |sum u / w| > v0
// / sqrt(t). Compared without dividing, as |sum u| > v0 / sqrt(t) |w|, so that a value of 0 is significant as
// soon as it changes. What travels leaves the sum, and nothing else does: what was sent and what is left add
// up to the updates.
#include <cmath>

#include "server/filters/methods.h"

namespace gossamer {
namespace {

class Gaia final : public UpdateFilter {
 public:
  explicit Gaia(double threshold) : threshold_(threshold) {}

  Compressed pass(FloatBuffer update, std::span<const float> model, Round round) override {
    waiting_.resize(update.size(), 0.0F);
    const auto least = static_cast<float>(threshold_ / std::sqrt(static_cast<double>(round)));
    for (std::size_t i = 0; i < update.size(); ++i) {
      const float sum = waiting_[i] + update[i];
      const bool significant = std::abs(sum) > least * std::abs(model[i]);
      update[i] = significant ? sum : 0;
      waiting_[i] = significant ? 0 : sum;
    }
    return encode_sparse(update);
  }
  std::unique_ptr<Compressor> codec() const override { return make_sparse_codec(); }

 private:
  const double threshold_;
  FloatBuffer waiting_;
};

}  // namespace

std::unique_ptr<UpdateFilter> make_gaia(const Options& options) {
  return std::make_unique<Gaia>(options.real("topology.tree.filter.threshold"));
}

}  // namespace gossamer

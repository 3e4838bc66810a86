// Random parts whose sizes are drawn from Dir(alpha): the same distribution everywhere, much data at some
// clients and little at others. Li, Diao, Chen, He: "Federated learning on non-IID data silos: an
// experimental study", ICDE 2022.
#include <algorithm>
#include <cmath>

#include "client/datasets/methods.h"

namespace gossamer {
namespace {

class QuantitySkewPartition final : public Partition {
 public:
  explicit QuantitySkewPartition(double alpha) : alpha_(alpha) {}

  Division divide(const PartitionTask& task) const override {
    check_enough(task);
    Rng rng(task.seed, Purpose::partition);
    const auto weights = draw_dirichlet(rng, alpha_, static_cast<std::size_t>(task.clients));
    auto sizes = proportional_sizes(task.examples - task.clients, weights);
    for (auto& size : sizes) ++size;  // everyone has one
    return {sizes, shuffled_examples(task, rng)};
  }

  // The components of a Dirichlet draw over many clients are independent gammas over their (near constant)
  // sum, so one client's size needs its own gamma only.
  std::int64_t draw_size(std::uint64_t seed, ClientId client, std::int64_t mean) const override {
    Rng rng(seed, Purpose::partition, static_cast<std::uint64_t>(client));
    const double size = static_cast<double>(mean) * rng.gamma(alpha_) / alpha_;
    return std::max<std::int64_t>(1, std::llround(size));
  }

 private:
  double alpha_;
};

}  // namespace

std::unique_ptr<Partition> make_quantity_skew_partition(const Options& options) {
  return std::make_unique<QuantitySkewPartition>(options.real("data.alpha"));
}

}  // namespace gossamer

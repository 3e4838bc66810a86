// By who made the examples: the writer of a digit, the role that speaks a line.
#include <algorithm>
#include <numeric>

#include "client/datasets/methods.h"

namespace gossamer {
namespace {

class NaturalPartition final : public Partition {
 public:
  // Owners are numbered 0 .. clients - 1 in task.owners.
  Division divide(const PartitionTask& task) const override {
    if (task.owners.empty()) {
      throw ConfigError("data.partition = natural: " + task.dataset +
                        " does not say who made its examples; use iid, shards, dirichlet or quantity_skew");
    }
    std::vector<std::int64_t> sizes(static_cast<std::size_t>(task.clients));
    for (std::int32_t owner : task.owners) ++sizes[static_cast<std::size_t>(owner)];
    std::vector<std::uint32_t> order(static_cast<std::size_t>(task.examples));
    std::iota(order.begin(), order.end(), 0U);
    std::ranges::stable_sort(order, {}, [&](std::uint32_t example) { return task.owners[example]; });
    return {sizes, std::move(order)};
  }

  bool one_source() const override { return true; }
};

}  // namespace

std::unique_ptr<Partition> make_natural_partition(const Options&) {
  return std::make_unique<NaturalPartition>();
}

}  // namespace gossamer

// Equal random parts: sizes differ by at most one example.
#include "client/datasets/methods.h"

namespace gossamer {
namespace {

class IidPartition final : public Partition {
 public:
  Division divide(const PartitionTask& task) const override {
    check_enough(task);
    Rng rng(task.seed, Purpose::partition);
    return {equal_sizes(task.examples, task.clients), shuffled_examples(task, rng)};
  }
};

}  // namespace

std::unique_ptr<Partition> make_iid_partition(const Options&) { return std::make_unique<IidPartition>(); }

}  // namespace gossamer

// The examples sorted by label, cut into shards_per_client times as many equal shards as there are clients,
// and dealt at random: a client sees few classes. McMahan, Moore, Ramage, Hampson, Aguera y Arcas:
// "Communication-efficient learning of deep networks from decentralized data", AISTATS 2017 (with 2 shards).
#include <algorithm>
#include <numeric>

#include "client/datasets/methods.h"

namespace gossamer {
namespace {

class ShardsPartition final : public Partition {
 public:
  explicit ShardsPartition(std::int64_t shards_per_client) : shards_per_client_(shards_per_client) {}

  Division divide(const PartitionTask& task) const override {
    check_enough(task);
    check_labels(task, "shards");
    if (shards_per_client_ > task.examples / task.clients) {
      throw ConfigError("data.shards_per_client = " + std::to_string(shards_per_client_) + ": " +
                        std::to_string(task.clients) + " clients share " + std::to_string(task.examples) +
                        " examples, so at most " + std::to_string(task.examples / task.clients));
    }
    std::vector<std::uint32_t> sorted(static_cast<std::size_t>(task.examples));
    std::iota(sorted.begin(), sorted.end(), 0U);
    std::ranges::stable_sort(sorted, {}, [&](std::uint32_t example) { return task.labels[example]; });
    const Division shards(equal_sizes(task.examples, task.clients * shards_per_client_), std::move(sorted));

    PartitionTask deal = task;
    deal.examples = shards.clients();
    Rng rng(task.seed, Purpose::partition);
    const std::vector<std::uint32_t> order = shuffled_examples(deal, rng);
    std::vector<std::uint32_t> dealt;
    dealt.reserve(static_cast<std::size_t>(task.examples));
    std::vector<std::int64_t> sizes(static_cast<std::size_t>(task.clients));
    for (std::size_t i = 0; i < order.size(); ++i) {
      const auto shard = shards.of(order[i]);
      dealt.insert(dealt.end(), shard.begin(), shard.end());
      sizes[i / static_cast<std::size_t>(shards_per_client_)] += static_cast<std::int64_t>(shard.size());
    }
    return {sizes, std::move(dealt)};
  }

  std::vector<std::uint8_t> draw_labels(std::uint64_t seed, ClientId client, std::int64_t size,
                                        int classes) const override {
    Rng rng(seed, Purpose::digits_label, static_cast<std::uint64_t>(client));
    std::vector<std::uint8_t> labels;
    for (std::int64_t shard : equal_sizes(size, std::min(size, shards_per_client_))) {
      const auto label = static_cast<std::uint8_t>(rng.below(static_cast<std::uint64_t>(classes)));
      labels.insert(labels.end(), static_cast<std::size_t>(shard), label);
    }
    return labels;
  }

 private:
  std::int64_t shards_per_client_;
};

}  // namespace

std::unique_ptr<Partition> make_shards_partition(const Options& options) {
  return std::make_unique<ShardsPartition>(options.integer("data.shards_per_client"));
}

}  // namespace gossamer

#include "client/datasets/partition.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "client/datasets/methods.h"

namespace gossamer {

Division::Division(const std::vector<std::vector<std::uint32_t>>& lists) {
  offsets_.push_back(0);
  for (const auto& list : lists) {
    order_.insert(order_.end(), list.begin(), list.end());
    offsets_.push_back(order_.size());
  }
}

Division::Division(std::span<const std::int64_t> sizes, std::vector<std::uint32_t> order)
    : order_(std::move(order)) {
  offsets_.push_back(0);
  for (std::int64_t size : sizes) offsets_.push_back(offsets_.back() + static_cast<std::size_t>(size));
}

std::int64_t Partition::draw_size(std::uint64_t, ClientId, std::int64_t mean) const { return mean; }

std::vector<std::uint8_t> Partition::draw_labels(std::uint64_t seed, ClientId client, std::int64_t size,
                                                 int classes) const {
  Rng rng(seed, Purpose::digits_label, static_cast<std::uint64_t>(client));
  std::vector<std::uint8_t> labels(static_cast<std::size_t>(size));
  for (auto& label : labels)
    label = static_cast<std::uint8_t>(rng.below(static_cast<std::uint64_t>(classes)));
  return labels;
}

const Registry<Partition>& partitions() {
  static const Registry<Partition> table{
      "partitions",
      "data.partition",
      "iid",
      "how training examples are spread over clients (left alone: natural where the data set has it)",
      {
          {{"iid", "equal random parts", "", {}}, make_iid_partition},
          {{"shards",
            "parts of the examples sorted by label, a few for each client",
            "McMahan et al., Communication-efficient learning of deep networks from decentralized data, 2017",
            {}},
           make_shards_partition},
          {{"dirichlet",
            "each class spread over the clients by a Dirichlet distribution",
            "Yurochkin et al., Bayesian nonparametric federated learning of neural networks, 2019",
            {}},
           make_dirichlet_partition},
          {{"quantity_skew",
            "random parts with sizes from a Dirichlet distribution",
            "Li et al., Federated learning on non-IID data silos: an experimental study, 2022",
            {}},
           make_quantity_skew_partition},
          {{"natural", "by who made the examples: one writer (digits) or role (shakespeare) each", "", {}},
           make_natural_partition},
      }};
  return table;
}

void check_enough(const PartitionTask& task) {
  if (task.clients <= task.examples) return;
  throw ConfigError("data.clients = " + std::to_string(task.clients) + ": " + task.dataset + " has " +
                    std::to_string(task.examples) + " training examples, so at most that many clients");
}

void check_labels(const PartitionTask& task, const std::string& partition) {
  if (!task.labels.empty()) return;
  throw ConfigError("data.partition = " + partition + ": an example of " + task.dataset +
                    " has no single class; use natural, iid or quantity_skew");
}

std::vector<std::uint32_t> shuffled_examples(const PartitionTask& task, Rng& rng) {
  std::vector<std::uint32_t> order(static_cast<std::size_t>(task.examples));
  std::iota(order.begin(), order.end(), 0U);
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[rng.below(i)]);
  return order;
}

std::vector<std::int64_t> equal_sizes(std::int64_t total, std::int64_t parts) {
  std::vector<std::int64_t> sizes(static_cast<std::size_t>(parts), total / parts);
  for (std::int64_t i = 0; i < total % parts; ++i) ++sizes[static_cast<std::size_t>(i)];
  return sizes;
}

std::vector<double> draw_dirichlet(Rng& rng, double alpha, std::size_t dimensions) {
  std::vector<double> weights(dimensions);
  double sum = 0;
  for (double& weight : weights) sum += weight = rng.gamma(alpha);
  if (sum > 0) {
    for (double& weight : weights) weight /= sum;
  } else {
    // A tiny alpha underflows to zero everywhere; its limit is a point mass.
    weights[rng.below(dimensions)] = 1;
  }
  return weights;
}

std::vector<std::int64_t> proportional_sizes(std::int64_t total, std::span<const double> weights) {
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  std::vector<std::int64_t> sizes(weights.size());
  std::vector<std::size_t> by_remainder(weights.size());
  std::iota(by_remainder.begin(), by_remainder.end(), std::size_t{0});
  std::vector<double> remainders(weights.size());
  std::int64_t given = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const double exact = static_cast<double>(total) * weights[i] / sum;
    sizes[i] = std::min(static_cast<std::int64_t>(exact), total - given);
    remainders[i] = exact - static_cast<double>(sizes[i]);
    given += sizes[i];
  }
  std::ranges::stable_sort(by_remainder, std::greater{}, [&](std::size_t i) { return remainders[i]; });
  for (std::size_t i = 0; given < total; i = (i + 1) % sizes.size()) {
    ++sizes[by_remainder[i]];
    ++given;
  }
  return sizes;
}

}  // namespace gossamer
